"""Who may change what: one writer a table, and nobody inside a dataset that is being created or dropped."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager

TableKey = tuple[str, str]  # dataset, table


class Busy(Exception):
    """Somebody else holds a table that is not to be waited for."""


class Locks:
    """DuckDB fails the second of two transactions that change one table; here the second waits instead.

    A holder takes all it needs in one step, so holders cannot wait for each other in a circle.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._tables: set[TableKey] = set()
        self._shared: Counter[str] = Counter()  # dataset → holders of one of its tables
        self._exclusive: set[str] = set()

    @contextmanager
    def tables(self, keys: Collection[TableKey], wait: bool = True) -> Iterator[None]:
        """Hold ``keys`` for writing. Who holds others already must not ``wait``, and gets :class:`Busy` instead."""
        wanted = set(keys)
        datasets = {dataset for dataset, _ in wanted}

        def are_free() -> bool:
            return not (wanted & self._tables or datasets & self._exclusive)

        with self._changed:
            if not wait and not are_free():
                raise Busy
            self._changed.wait_for(are_free)
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
    def dataset(self, dataset: str) -> Iterator[None]:
        """Hold a dataset and everything in it."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._shared[dataset] or dataset in self._exclusive))
            self._exclusive.add(dataset)
        try:
            yield
        finally:
            with self._changed:
                self._exclusive.discard(dataset)
                self._changed.notify_all()
