"""States on their way: what the source sent, kept until the destination says it has committed what came before."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import orjson

from airbyte_server.replication.progress import StreamKey, StreamProgress


@dataclass(frozen=True)
class StateRow:
    """A state to store, as the source wrote it. ``kind``: stream; global or legacy (then the key is empty)."""

    kind: str
    key: StreamKey
    state: bytes


@dataclass(frozen=True)
class Checkpoint:
    """One STATE message. ``covers`` are the (records, bytes) of each stream since the checkpoint before."""

    id: int
    rows: tuple[StateRow, ...]
    covers: dict[StreamKey, tuple[int, int]]
    sent: dict[str, Any]


class Checkpoints:
    """The states between the source and the destination's confirmation. Safe to use from two threads."""

    def __init__(self, streams: dict[StreamKey, StreamProgress]) -> None:
        self._streams = streams
        self._counted = {key: (0, 0) for key in streams}
        self._pending: dict[int, Checkpoint] = {}
        self._next_id = 1
        self.count_mismatches: list[str] = []
        self._lock = threading.Lock()

    def next_id(self) -> int:
        return self._next_id

    def add(self, rows: tuple[StateRow, ...], sent: dict[str, Any]) -> dict[StreamKey, tuple[int, int]]:
        """Remember a state under :meth:`next_id`; tell how many records and bytes it covers per stream.

        A state of one stream covers that stream; a global or legacy one covers all. ``sent`` is the ``state`` object
        the destination is sent, needed to recognise it in case the destination drops the id.
        """
        keys = [row.key for row in rows] if all(row.kind == "stream" for row in rows) else list(self._streams)
        with self._lock:
            covers = {}
            for key in keys:
                progress, (records, size) = self._streams[key], self._counted[key]
                covers[key] = (progress.emitted - records, progress.emitted_bytes - size)
                self._counted[key] = (progress.emitted, progress.emitted_bytes)
            self._pending[self._next_id] = Checkpoint(self._next_id, rows, covers, sent)
            self._next_id += 1
        return covers

    def confirm(self, echoed: dict[str, Any]) -> list[Checkpoint]:
        """The checkpoints that an echoed ``state`` object confirms: it and what came before it for the same streams.

        Empty for a state that was never sent, or was confirmed before.
        """
        with self._lock:
            confirmed = self._pending.get(echoed.get("id", -1)) or self._same_content(echoed)
            if confirmed is None:
                return []
            keys = confirmed.covers.keys()
            done = [c for c in self._pending.values() if c.id <= confirmed.id and c.covers.keys() <= keys]
            for checkpoint in done:
                del self._pending[checkpoint.id]
        for checkpoint in done:
            for key, (records, size) in checkpoint.covers.items():
                self._streams[key].committed += records
                self._streams[key].committed_bytes += size
        self._compare_counts(echoed, confirmed)
        for key, rejected in _rejected(echoed, confirmed).items():
            self._streams[key].rejected += rejected
            self._streams[key].committed -= rejected
        return done

    def _compare_counts(self, echoed: dict[str, Any], confirmed: Checkpoint) -> None:
        stats = echoed.get("destinationStats") or {}
        if stats.get("recordCount") is None:
            return
        claimed = int(stats["recordCount"]) + int(stats.get("rejectedRecordCount") or 0)
        counted = sum(records for records, _ in confirmed.covers.values())
        if claimed != counted:
            names = ", ".join(key[1] for key in confirmed.covers)
            self.count_mismatches.append(f"{names}: the destination counted {claimed} records, {counted} were sent")

    def finish(self) -> None:
        """After a successful end of both connectors everything emitted and not rejected is committed."""
        for progress in self._streams.values():
            progress.committed = progress.emitted - progress.rejected
            progress.committed_bytes = progress.emitted_bytes

    @property
    def unconfirmed(self) -> int:
        with self._lock:
            return len(self._pending)

    def _same_content(self, echoed: dict[str, Any]) -> Checkpoint | None:
        """For destinations that do not keep unknown members: the oldest pending state that reads the same."""
        wanted = _content(echoed)
        return next((c for c in self._pending.values() if _content(c.sent) == wanted), None)


def _content(state: dict[str, Any]) -> bytes:
    content = {key: state[key] for key in ("stream", "global", "data") if state.get(key) is not None}
    return orjson.dumps(_without_nulls(content), option=orjson.OPT_SORT_KEYS)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _rejected(echoed: dict[str, Any], checkpoint: Checkpoint) -> dict[StreamKey, int]:
    rejected = int((echoed.get("destinationStats") or {}).get("rejectedRecordCount") or 0)
    # Only a state of one stream says whose records were rejected.
    return {next(iter(checkpoint.covers)): rejected} if rejected and len(checkpoint.covers) == 1 else {}
