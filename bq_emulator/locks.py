"""Who may change what: one writer a table, and nobody inside a dataset that is being dropped."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from bq_emulator.model import BigQueryError

TableKey = tuple[str, str]  # dataset, table; the table "" is the dataset's own record

#: Nobody waits longer; a job that holds a table for such a time is to be seen, not waited for.
MAX_WAIT_SECONDS = 600.0
#: How soon who waits notices that it is to stop.
_CHECK_SECONDS = 0.1


class Busy(Exception):
    """Somebody else holds a table that is not to be waited for."""


class Locks:
    """DuckDB fails the second of two transactions that change one table; here the second waits instead.

    A holder takes all it needs in one step, so holders cannot wait for each other in a circle. Who waits calls
    ``check`` now and then, which may raise to end the wait.

    Raises:
        BigQueryError: resourceInUse after ``max_wait`` seconds, naming what was waited for.
    """

    def __init__(self, max_wait: float = MAX_WAIT_SECONDS) -> None:
        self._max_wait = max_wait
        self._changed = threading.Condition()
        self._tables: set[TableKey] = set()
        self._shared: Counter[str] = Counter()  # dataset → holders of one of its tables
        self._exclusive: set[str] = set()
        self._awaited: Counter[str] = Counter()  # dataset → those who wait for the whole of it

    @contextmanager
    def tables(
        self, keys: Collection[TableKey], wait: bool = True, check: Callable[[], None] | None = None
    ) -> Iterator[None]:
        """Hold ``keys`` for writing. Who holds others already must not ``wait``, and gets :class:`Busy` instead."""
        wanted = set(keys)
        datasets = {dataset for dataset, _ in wanted}

        def taken() -> list[str]:
            # Who wants a whole dataset goes before those who come later; otherwise its turn might never come.
            whole = {dataset for dataset in datasets if dataset in self._exclusive or self._awaited[dataset]}
            return [f"table {d}.{t}" if t else f"dataset {d}" for d, t in wanted & self._tables] + [
                f"dataset {dataset}" for dataset in whole
            ]

        with self._changed:
            if not wait and taken():
                raise Busy
            self._wait_until_free(taken, check)
            self._tables |= wanted
            self._shared.update(datasets)
        try:
            yield
        finally:
            with self._changed:
                self._tables -= wanted
                self._shared.subtract(datasets)
                self._changed.notify_all()

    @contextmanager
    def dataset(self, dataset: str, check: Callable[[], None] | None = None) -> Iterator[None]:
        """Hold a dataset and everything in it."""

        def taken() -> list[str]:
            return [f"dataset {dataset}"] if self._shared[dataset] or dataset in self._exclusive else []

        with self._changed:
            self._awaited[dataset] += 1
            try:
                self._wait_until_free(taken, check)
            finally:
                self._awaited[dataset] -= 1
                self._changed.notify_all()
            self._exclusive.add(dataset)
        try:
            yield
        finally:
            with self._changed:
                self._exclusive.discard(dataset)
                self._changed.notify_all()

    def _wait_until_free(self, taken: Callable[[], list[str]], check: Callable[[], None] | None) -> None:
        deadline = time.monotonic() + self._max_wait
        while names := taken():
            if check is not None:
                check()
            if time.monotonic() > deadline:
                raise BigQueryError(
                    "resourceInUse",
                    f"Waited {self._max_wait:.0f} s for {', '.join(sorted(names))}, which another job is changing; "
                    "cancel that job, or try again once it is done.",
                )
            self._changed.wait(_CHECK_SECONDS)
