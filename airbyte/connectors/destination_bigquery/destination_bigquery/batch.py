"""Sorting the platform's messages into batches: the records of each stream, and the states that come after them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from destination_bigquery.catalog import Stream
from destination_bigquery.errors import ConnectorError

#: At a STATE a batch ends once it has as many rows or bytes, and anywhere at the hard limits. Rows before a STATE that
#: has not come yet would be sent again in other chunks by a retry, so it is better to end at one.
SOFT_ROWS, SOFT_BYTES = 40_000, 16 << 20
HARD_ROWS, HARD_BYTES = 200_000, 64 << 20

_DATA = b'"data":'
#: The part of a RECORD line before its data is the same for many lines; as many different ones are remembered.
_HEADS = 1000

StreamKey = tuple[str, str | None]


@dataclass
class Chunk:
    """Consecutive RECORD lines of one stream. ``key`` digests the records (not when they were read) and the STATE that
    closes the chunk; it is None for a chunk that no STATE closes."""

    stream: Stream
    lines: list[bytes] = field(default_factory=list)
    digest: Any = field(default_factory=hashlib.sha256)
    closing_state: bytes | None = None

    @property
    def key(self) -> str | None:
        if self.closing_state is None:
            return None
        digest = self.digest.copy()
        digest.update(self.closing_state)
        return digest.hexdigest()


@dataclass
class Batch:
    """What is to be committed together: chunks, then streams that are complete, then states (line, records)."""

    chunks: dict[StreamKey, Chunk] = field(default_factory=dict)
    completed: list[Stream] = field(default_factory=list)
    states: list[tuple[bytes, int]] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0


def batches(lines: Iterable[bytes], streams: list[Stream]) -> Iterator[Batch]:
    """The messages of ``lines`` in batches; every STATE comes with or after the records that came before it.

    Raises:
        ConnectorError: config_error for a record of a stream that the catalog lacks, system_error for a line that is
            not a message.
    """
    return _Sorter(streams).run(lines)


class _Sorter:
    def __init__(self, streams: list[Stream]) -> None:
        self._streams: dict[StreamKey, Stream] = {(stream.name, stream.namespace): stream for stream in streams}
        self._heads: dict[bytes, StreamKey] = {}
        self._since_state: dict[StreamKey, int] = dict.fromkeys(self._streams, 0)
        self._batch = Batch()

    def run(self, lines: Iterable[bytes]) -> Iterator[Batch]:
        for line in lines:
            end = line.find(_DATA)
            key = self._heads.get(line[:end]) if end >= 0 else None
            if key is not None:
                self._record(key, line, line[end:])
            elif line.strip() and self._message(line):
                yield self._take()
            if self._batch.rows >= HARD_ROWS or self._batch.bytes >= HARD_BYTES:
                yield self._take()
        yield self._take()

    def _message(self, line: bytes) -> bool:
        """Take in a message of any type; True if the batch should end with it."""
        try:
            message = orjson.loads(line)
            kind = message["type"]
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise ConnectorError(
                f"A line on stdin is not an Airbyte message: {line[:200]!r}", "system_error"
            ) from error
        if kind == "RECORD":
            record = message["record"]
            key = (record["stream"], record.get("namespace") or None)
            self._learn_head(line, key)
            end = line.find(_DATA)
            self._record(key, line, line[end:] if end >= 0 else line)
        elif kind == "STATE":
            self._state(line, message["state"])
            return self._batch.rows >= SOFT_ROWS or self._batch.bytes >= SOFT_BYTES
        elif kind == "TRACE" and (status := message["trace"].get("stream_status")):
            descriptor = status["stream_descriptor"]
            if status["status"] == "COMPLETE":
                self._batch.completed.append(self._stream((descriptor["name"], descriptor.get("namespace") or None)))
                return True
        return False

    def _learn_head(self, line: bytes, key: StreamKey) -> None:
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
            if key[1] is None and any(name == key[0] and namespace for name, namespace in self._streams):
                return  # a namespace may follow the data
            if len(self._heads) >= _HEADS:
                self._heads.clear()
            self._heads[head] = key

    def _record(self, key: StreamKey, line: bytes, content: bytes) -> None:
        chunk = self._batch.chunks.get(key)
        if chunk is None:
            chunk = self._batch.chunks[key] = Chunk(self._stream(key))
        chunk.lines.append(line)
        chunk.digest.update(content)
        chunk.closing_state = None
        self._since_state[key] += 1
        self._batch.rows += 1
        self._batch.bytes += len(line)

    def _state(self, line: bytes, state: dict[str, Any]) -> None:
        scope = self._scope(state)
        records = 0
        for key in scope:
            records += self._since_state[key]
            self._since_state[key] = 0
            if key in self._batch.chunks:
                position = {name: value for name, value in state.items() if not name.endswith("Stats")}
                self._batch.chunks[key].closing_state = orjson.dumps(position, option=orjson.OPT_SORT_KEYS)
        self._batch.states.append((line.strip(), records))

    def _scope(self, state: dict[str, Any]) -> list[StreamKey]:
        """The streams whose records a state covers: one, or all for GLOBAL and LEGACY states."""
        if state.get("type") != "STREAM":
            return list(self._streams)
        descriptor = state["stream"]["stream_descriptor"]
        key = (descriptor["name"], descriptor.get("namespace") or None)
        self._stream(key)
        return [key]

    def _stream(self, key: StreamKey) -> Stream:
        try:
            return self._streams[key]
        except KeyError:
            name = f"{key[1]}.{key[0]}" if key[1] else key[0]
            raise ConnectorError(f"Stream {name!r} came in but is not in the configured catalog.") from None

    def _take(self) -> Batch:
        batch, self._batch = self._batch, Batch()
        return batch
