"""Rows sent twice by insertAll are inserted once, for about a minute
(cloud.google.com/bigquery/docs/streaming-data-into-bigquery#dataconsistency: best effort)."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable

_WINDOW_SECONDS = 60.0
_MAX_IDS = 100_000


class InsertIds:
    """The ids of rows inserted lately, by table: a name, which a table made anew does not share."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._mutex = threading.Lock()

    def seen(self, table: str, insert_id: str | None) -> bool:
        with self._mutex:
            moment = self._seen.get((table, insert_id or ""))
        return moment is not None and moment > time.monotonic() - _WINDOW_SECONDS

    def remember(self, table: str, insert_ids: Iterable[str | None]) -> None:
        with self._mutex:
            for insert_id in insert_ids:
                if insert_id:
                    self._seen[table, insert_id] = time.monotonic()
                    self._seen.move_to_end((table, insert_id))
            while len(self._seen) > _MAX_IDS:
                self._seen.popitem(last=False)
