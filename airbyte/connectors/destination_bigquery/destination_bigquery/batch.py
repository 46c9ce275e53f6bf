"""Sorting the platform's messages into batches: the rows of each stream, and the states that come after them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
from xxhash import xxh3_128, xxh3_128_digest

from destination_bigquery.catalog import Stream
from destination_bigquery.channel import Frame
from destination_bigquery.errors import ConnectorError
from destination_bigquery.values import parse

_DATA = b'"data":'
_EMITTED_AT = b',"emitted_at":'
#: The part of a RECORD line before its data is the same for many lines; as many different ones are remembered.
_HEADS = 1000
#: A batch also ends, without a state, at so many times the size at which it ends at one.
_HARD_FACTOR = 2
#: A slow source's states wait no longer than until the first one after so many seconds.
_BATCH_SECONDS = 60

StreamKey = tuple[str, str | None]
#: A RECORD line, or a frame of many records.
Row = bytes | Frame


@dataclass(frozen=True)
class Chunk:
    """Consecutive records of one stream, ``count`` of them, the first of which is the stream's ``first``-th here.

    ``digest`` is of the records (not of when they were read), and where it is ``closed`` of the STATE behind them: no
    state says that the records of another end here, so that a retry may cut them elsewhere. A chunk without records
    says that a state stands behind those that were passed on without one.
    """

    stream: Stream
    rows: list[Row]
    count: int
    first: int
    digest: str
    closed: bool


@dataclass
class Batch:
    """Chunks, then streams that are complete, then states (line, records)."""

    chunks: list[Chunk] = field(default_factory=list)
    completed: list[Stream] = field(default_factory=list)
    states: list[tuple[bytes, int]] = field(default_factory=list)


class _Pending:
    """A stream's records that are in no batch yet; the first ``closed`` rows have a state behind them."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.since_state = 0
        self.begun = False
        self.complete = False
        self._taken = 0
        self._open_taken = False
        self._begin([])

    def _begin(self, rows: list[tuple[Row, bytes, int]]) -> None:
        self._rows: list[Row] = []
        self._counts: list[int] = []
        self._digest = xxh3_128()
        self._closed = 0
        self._closed_digest = ""
        for row, content, count in rows:
            self.add(row, content, count)

    def add(self, row: Row, content: bytes, count: int) -> None:
        self._rows.append(row)
        self._counts.append(count)
        # Nothing is kept secret or signed by it, and it is ten times as fast as SHA-256.
        self._digest.update(xxh3_128_digest(content))

    def close(self, position: bytes) -> None:
        """Everything so far belongs before the state at ``position``."""
        self._closed = len(self._rows)
        digest = self._digest.copy()
        digest.update(xxh3_128_digest(position))
        self._closed_digest = digest.hexdigest()

    def take(self, *, whole: bool = False) -> list[Chunk]:
        """The closed rows, and with ``whole`` the open ones as a chunk of their own."""
        cut, chunks = self._closed, []
        if cut or (self._closed_digest and self._open_taken):
            chunks.append(self._chunk(0, cut, self._closed_digest, closed=True))
            self._open_taken = False
        if whole and cut < len(self._rows):
            chunks.append(self._chunk(cut, len(self._rows), self._digest.hexdigest(), closed=False))
            self._open_taken = True
            cut = len(self._rows)
        tail = list(zip(self._rows[cut:], self._counts[cut:], strict=True))
        self._begin([(row, _content(row), count) for row, count in tail])
        return chunks

    def _chunk(self, start: int, end: int, digest: str, *, closed: bool) -> Chunk:
        count = sum(self._counts[start:end])
        first = self._taken
        self._taken += count
        return Chunk(self.stream, self._rows[start:end], count, first, digest, closed)


def _content(row: Row) -> bytes:
    """What tells a record from another: not its envelope, nor when it was read."""
    if isinstance(row, Frame):
        return row.body
    start, end = row.find(_DATA), row.rfind(_EMITTED_AT)
    # In a record it is a number and at most the meta that follows; anything longer is the data's own.
    end = end if start < end and len(row) - end < 64 else len(row)
    return row[max(start, 0) : end]


def batches(
    messages: Iterable[Row],
    streams: list[Stream],
    batch_bytes: int,
    begun: Callable[[Stream], None] = lambda _: None,
) -> Iterator[Batch]:
    """The messages (lines, and frames where records come that way) in batches.

    A batch ends at the first STATE after ``batch_bytes`` of records or a minute, when a stream is complete, and,
    without a state, at twice as much. Records that no state stands behind wait for the next batch, except at that
    hard limit, where they make a batch of their own; at the end of the messages they are left out, for whoever resumes
    from the last state reads them again. ``begun`` is called when a stream is said to have started, or at its first
    record.

    Raises:
        ConnectorError: config_error for a record of a stream that the catalog lacks, system_error for a line that is
            not a message.
    """
    return _Sorter(streams, batch_bytes, begun).run(messages)


class _Sorter:
    def __init__(self, streams: list[Stream], batch_bytes: int, begun: Callable[[Stream], None]) -> None:
        self._begun = begun
        self._pending = {(stream.name, stream.namespace): _Pending(stream) for stream in streams}
        self._heads: dict[bytes, _Pending] = {}
        self._soft_bytes = batch_bytes
        self._bytes = 0
        self._taken_at = time.monotonic()
        self._states: list[tuple[bytes, int]] = []
        self._completed: list[Stream] = []

    def run(self, messages: Iterable[Row]) -> Iterator[Batch]:
        for message in messages:
            if isinstance(message, Frame):
                self._add(self._of(message.key), message, message.body, message.rows)
            else:
                end = message.find(_DATA)
                known = self._heads.get(message[:end]) if end >= 0 else None
                if known is not None:
                    self._add(known, message, _content(message), 1)
                elif message.strip() and self._message(message):
                    yield self._take()
            if self._bytes >= self._soft_bytes * _HARD_FACTOR:
                yield self._take()
                opened = [chunk for pending in self._pending.values() for chunk in pending.take(whole=True)]
                if opened:
                    yield Batch(opened)
                self._bytes = 0
        yield self._take()

    def _message(self, line: bytes) -> bool:
        """Take in a message of any type; True if the batch should end with it."""
        try:
            message = _parsed(line)
            kind = message["type"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ConnectorError(
                f"A line on stdin is not an Airbyte message: {line[:200]!r}", "system_error"
            ) from error
        if kind == "RECORD":
            record = message["record"]
            key = (record["stream"], record.get("namespace") or None)
            pending = self._of(key)
            self._learn_head(line, key, pending)
            self._add(pending, line, _content(line), 1)
        elif kind == "STATE":
            self._state(line, message["state"])
            overdue = time.monotonic() - self._taken_at >= _BATCH_SECONDS
            return overdue or self._bytes >= self._soft_bytes
        elif kind == "TRACE":
            status = message["trace"].get("stream_status") or {}
            if status.get("status") == "STARTED":
                started = self._pending.get(_key(status["stream_descriptor"]))
                if started is not None:
                    self._begin(started)
            elif status.get("status") == "COMPLETE":
                pending = self._of(_key(status["stream_descriptor"]))
                pending.close(b"complete")
                pending.complete = True
                self._completed.append(pending.stream)
                return True
        return False

    def _learn_head(self, line: bytes, key: StreamKey, pending: _Pending) -> None:
        """Remember what stands before the data, if that alone tells the stream."""
        head = line[: line.find(_DATA)]
        try:
            record = orjson.loads(head + b'"data":{}}}')
        except orjson.JSONDecodeError:
            return
        complete = (
            isinstance(record, dict) and record.get("type") == "RECORD" and isinstance(record.get("record"), dict)
        )
        if complete and (record["record"].get("stream"), record["record"].get("namespace") or None) == key:
            if key[1] is None and any(name == key[0] and namespace for name, namespace in self._pending):
                return  # a namespace may follow the data
            if len(self._heads) >= _HEADS:
                self._heads.clear()
            self._heads[head] = pending

    def _add(self, pending: _Pending, row: Row, content: bytes, count: int) -> None:
        if pending.complete:
            raise ConnectorError(f"Stream {pending.stream} sent records after its COMPLETE.", "system_error")
        self._begin(pending)
        pending.add(row, content, count)
        pending.since_state += count
        self._bytes += len(content)

    def _begin(self, pending: _Pending) -> None:
        if not pending.begun:
            pending.begun = True
            self._begun(pending.stream)

    def _state(self, line: bytes, state: dict[str, Any]) -> None:
        volatile = ("id", "additionalData", "sourceStats", "destinationStats")
        position = {name: value for name, value in state.items() if name not in volatile}
        text = json.dumps(position, sort_keys=True, default=str).encode()
        records = 0
        for pending in self._scope(state):
            records += pending.since_state
            pending.since_state = 0
            pending.close(text)
        self._states.append((line.strip(), records))

    def _scope(self, state: dict[str, Any]) -> list[_Pending]:
        """The streams whose records a state covers: one, or all for GLOBAL and LEGACY states."""
        if state.get("type") != "STREAM":
            return list(self._pending.values())
        return [self._of(_key(state["stream"]["stream_descriptor"]))]

    def _of(self, key: StreamKey) -> _Pending:
        try:
            return self._pending[key]
        except KeyError:
            name = f"{key[1]}.{key[0]}" if key[1] else key[0]
            raise ConnectorError(f"Stream {name!r} came in but is not in the configured catalog.") from None

    def _take(self) -> Batch:
        chunks = [chunk for pending in self._pending.values() for chunk in pending.take()]
        batch = Batch(chunks, self._completed, self._states)
        self._completed, self._states = [], []
        self._bytes = 0
        self._taken_at = time.monotonic()
        return batch


def _parsed(line: bytes) -> Any:
    """A record may hold what orjson refuses: NaN, a number beyond binary floats, half of a surrogate pair."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return parse(line)


def _key(descriptor: dict[str, Any]) -> StreamKey:
    return descriptor["name"], descriptor.get("namespace") or None
