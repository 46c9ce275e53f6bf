"""When states are due, and how they are written: of one stream, or of all of them together (CDC)."""

from __future__ import annotations

import time
from typing import Any

from source_postgres.protocol import Output
from source_postgres.state import StreamKey, StreamState
from source_postgres.stream import ConfiguredStream

#: A checkpoint comes after about as many rows or bytes: the destination holds in memory what no state stands behind.
CHECKPOINT_ROWS = 50_000
CHECKPOINT_BYTES = 16 << 20


class Checkpoints:
    """Counts the records since the last state of a stream, and writes its STREAM states."""

    def __init__(self, output: Output, seconds: int) -> None:
        self._output = output
        self._seconds = seconds
        self._records: dict[StreamKey, int] = {}
        self._bytes = 0
        self._last = time.monotonic()

    def add(self, stream: ConfiguredStream, records: int, size: int) -> None:
        """Note records that have been written, of so many bytes."""
        if stream.key not in self._records and records:
            self._output.status(stream.name, stream.namespace, "RUNNING")
        self._records[stream.key] = self._records.get(stream.key, 0) + records
        self._bytes += size

    @property
    def due(self) -> bool:
        rows = sum(self._records.values())
        overdue = rows > 0 and time.monotonic() - self._last > self._seconds
        return overdue or rows >= CHECKPOINT_ROWS or self._bytes >= CHECKPOINT_BYTES

    def emit(self, stream: ConfiguredStream, state: StreamState | None) -> None:
        """Write a state that covers all records of the stream so far."""
        body = state.as_json(stream.name, stream.namespace) if state else None
        self._output.state(stream.name, stream.namespace, body, self._records.get(stream.key, 0))
        self._reset([stream.key])

    def _reset(self, keys: list[StreamKey]) -> None:
        for key in keys:
            if key in self._records:
                self._records[key] = 0
        self._bytes = 0
        self._last = time.monotonic()


class GlobalCheckpoints(Checkpoints):
    """The same for streams that share one position in the log: each state is a GLOBAL one of all streams."""

    def __init__(
        self, output: Output, seconds: int, shared: dict[str, Any], streams: dict[StreamKey, StreamState]
    ) -> None:
        super().__init__(output, seconds)
        self._shared = shared
        self._streams = dict(streams)

    def emit(self, stream: ConfiguredStream, state: StreamState | None) -> None:
        if state is None:
            self._streams.pop(stream.key, None)
        else:
            self._streams[stream.key] = state
        self._emit()

    def state(self, stream: ConfiguredStream) -> StreamState | None:
        """The stream's last state."""
        return self._streams.get(stream.key)

    def forget(self, stream: ConfiguredStream) -> None:
        """Leave the stream out of further states: it will be read from its start."""
        self._streams.pop(stream.key, None)

    def advance(self, shared: dict[str, Any], streams: dict[StreamKey, StreamState]) -> None:
        """Write a state that covers all records of all streams so far, at a new position; ``streams`` have changed."""
        self._shared = shared
        self._streams |= streams
        self._emit()

    def _emit(self) -> None:
        states = [
            {
                "stream_descriptor": {"name": name, "namespace": namespace},
                "stream_state": state.as_json(name, namespace),
            }
            for (name, namespace), state in self._streams.items()
        ]
        # The platform may keep states of streams that are no longer read: those listed here are up to date.
        streams = [list(key) for key in self._streams]
        self._output.global_state({**self._shared, "streams": streams}, states, sum(self._records.values()))
        self._reset(list(self._records))
