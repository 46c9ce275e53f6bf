"""Work that follows receiving: decoding and writing, done in order by a thread of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

#: Tasks that may wait; each holds a block of rows, so this bounds memory.
_DEPTH = 3


class Pipeline:
    """Runs tasks one after the other beside the caller. Once a task has failed, none runs any more: no state may
    follow records that were not written. The failure is raised by the next :meth:`put` or :meth:`drain`."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, "pipeline")
        self._pending: deque[Future[None]] = deque()
        self._failed = False

    def put(self, task: Callable[[], None]) -> None:
        """Run ``task`` after all that were put before; waits while too many are waiting."""
        while self._pending and (len(self._pending) >= _DEPTH or self._pending[0].done()):
            self._pending.popleft().result()
        self._pending.append(self._executor.submit(self._run, task))

    def drain(self) -> None:
        """Wait until everything put has been done."""
        while self._pending:
            self._pending.popleft().result()

    def close(self) -> None:
        self._executor.shutdown(cancel_futures=True)

    def _run(self, task: Callable[[], None]) -> None:
        if self._failed:
            return
        try:
            task()
        except BaseException:
            self._failed = True
            raise
