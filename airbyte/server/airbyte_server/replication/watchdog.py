"""Ends what hangs: a source that says nothing, a destination that takes nothing, an attempt without end.

The platform's heartbeat and destination timeouts. A source that cannot go on because the destination does not read is
not to blame, so at any moment only one of the two is waited for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from airbyte_server.settings import Timeouts

Overdue = Callable[[str, str, str], None]
"""(role, failure type, message)"""


class Watchdog:
    """Between :meth:`start` and :meth:`stop` a thread looks at the clocks and calls ``on_overdue`` at most once.

    The others are called by the threads that move data.
    """

    def __init__(self, timeouts: Timeouts, on_overdue: Overdue) -> None:
        self._timeouts = timeouts
        self._on_overdue = on_overdue
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._started = self._heard = time.monotonic()
        self._writing: dict[int, float] = {}
        self._source_over = False

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def source_heard(self) -> None:
        self._heard = time.monotonic()

    def source_over(self) -> None:
        self._source_over = True

    def destination_heard(self) -> None:
        """What it says shows that it works, however long it takes to read on."""
        now = time.monotonic()
        for thread in list(self._writing):
            self._writing[thread] = now

    def waiting_for_destination(self) -> None:
        """The calling thread cannot go on before the destination does, until it calls :meth:`went_on`."""
        self._writing[threading.get_ident()] = time.monotonic()

    def went_on(self) -> None:
        self._writing.pop(threading.get_ident(), None)
        self._heard = time.monotonic()

    def _watch(self) -> None:
        limits = self._timeouts
        pause = min(5.0, min(limits.source_silence, limits.destination, limits.attempt) / 4)
        while not self._over.wait(pause):
            now = time.monotonic()
            waiting = list(self._writing.values())
            if now - self._started > limits.attempt:
                message = f"the attempt took longer than {limits.attempt:g} s"
                return self._on_overdue("platform", "system_error", message)
            if waiting and now - min(waiting) > limits.destination:
                message = f"the destination took nothing for {limits.destination:g} s"
                return self._on_overdue("destination", "destination_timeout", message)
            if not waiting and not self._source_over and now - self._heard > limits.source_silence:
                message = f"the source said nothing for {limits.source_silence:g} s"
                return self._on_overdue("source", "heartbeat_timeout", message)
        return None
