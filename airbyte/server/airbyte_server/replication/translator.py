"""From what the source writes to what the destination reads.

Records are forwarded without decoding them: all that changes is the envelope in front of ``data``, and a source writes
the same envelope for every record of a stream. So the bytes up to ``data`` are looked up in a table that is filled the
slow and careful way, once for each envelope seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from airbyte_server.replication.checkpoints import Checkpoints, StateRow
from airbyte_server.replication.json_spans import Span, elements, members, splice
from airbyte_server.replication.mapping import NameMapping
from airbyte_server.replication.progress import StreamKey, StreamProgress

_DATA_KEY = re.compile(rb'"data"\s*:\s*')
# A source that writes emitted_at before data has a new envelope every millisecond; do not keep them all.
_ROUTES_KEPT = 4096
_OTHER_TYPE = (
    "The source sends a state of type {}, but the connection's are of type {}, as when the source's replication method "
    "has been changed. Clear the connection's data, then sync: all is read anew, and what was deleted is gone."
)


@dataclass(frozen=True, slots=True)
class _Route:
    """What to do with records of one envelope. ``tail_free``: what follows ``data`` cannot matter to the mapping."""

    progress: StreamProgress
    envelope: bytes
    tail_free: bool


class Translator:
    """Turns lines of the source into lines for the destination, counting on the way.

    ``on_other`` gets every message that is not forwarded (logs, errors, …), decoded; ``on_text`` every line that is not
    a protocol message, ``on_other_type`` why a state is not taken that is not of ``stored_type``, the type of the
    connection's states (None where it has none). ``settle`` is the data channel's, where there is one.
    """

    def __init__(
        self,
        streams: dict[StreamKey, StreamProgress],
        mapping: NameMapping,
        checkpoints: Checkpoints,
        on_other: Callable[[dict[str, Any]], None],
        on_text: Callable[[str], None],
        on_other_type: Callable[[str], None],
        settle: Callable[[int], int | None] | None = None,
        stored_type: str | None = None,
    ) -> None:
        self._streams = streams
        self._mapping = mapping
        self._checkpoints = checkpoints
        self._on_other = on_other
        self._on_text = on_text
        self._settle = settle
        self._on_other_type = on_other_type
        self._stored_type = stored_type
        self._routes: dict[bytes, _Route] = {}
        self.any_status = False
        self.unexpected: dict[str, int] = {}
        self.count_mismatches: list[str] = []

    def translate(self, lines: list[bytes]) -> list[bytes]:
        """The lines to forward, in order, without line ends."""
        forward: list[bytes] = []
        routes, find_data, append = self._routes, _DATA_KEY.search, forward.append
        for line in lines:
            found = find_data(line)
            if found is not None:
                data = found.end()
                route = routes.get(line[:data])
                if route is not None and (route.tail_free or line.find(b'"namespace"', data) < 0):
                    tail = line.rfind(b',"emitted_at"')
                    progress = route.progress
                    progress.emitted += 1
                    progress.emitted_bytes += (tail if tail > data else len(line) - 2) - data
                    append(route.envelope + line[data:])
                    continue
            translated = self._translate_slowly(line)
            if translated is not None:
                append(translated)
        return forward

    def stream_status(self, key: StreamKey, status: str) -> bytes:
        """A STREAM_STATUS message of the platform's own, for the destination."""
        self._streams[key].status = status
        descriptor = self._mapping.stream(_descriptor(key))
        return orjson.dumps(
            {
                "type": "TRACE",
                "trace": {
                    "type": "STREAM_STATUS",
                    "emitted_at": 0,
                    "stream_status": {"stream_descriptor": descriptor, "status": status},
                },
            }
        )

    def _translate_slowly(self, line: bytes) -> bytes | None:
        if not line.strip():
            return None
        try:
            message = orjson.loads(line)
            kind = message["type"]
            if kind == "RECORD":
                return self._record(line)
            if kind == "STATE":
                return self._state(line, message["state"])
            if kind == "TRACE" and message["trace"]["type"] == "STREAM_STATUS":
                return self._status(line, message["trace"]["stream_status"])
            if kind == "TRACE" and message["trace"]["type"] == "ESTIMATE":
                self._estimate(message["trace"]["estimate"])
                return None
            self._on_other(message)
        except (ValueError, KeyError, TypeError):
            self._on_text(line.decode(errors="replace"))
        return None

    def _record(self, line: bytes) -> bytes | None:
        top = members(line)
        record = members(line, top["record"].start)
        key = _key(line, record.get("namespace"), record["stream"])
        progress = self._streams.get(key)
        if progress is None:
            name = f"{key[0]}.{key[1]}" if key[0] else key[1]
            self.unexpected[name] = self.unexpected.get(name, 0) + 1
            return None
        data = record["data"]
        translated = self._renamed(line, record, "stream")
        progress.emitted += 1
        progress.emitted_bytes += data.end - data.start
        self._learn(line, top, record, progress)
        return translated

    def _learn(self, line: bytes, top: dict[str, Span], record: dict[str, Span], progress: StreamProgress) -> None:
        """Remember the envelope if everything needed to translate it stands before ``data``."""
        data, found = record["data"], _DATA_KEY.search(line)
        if found is None or found.end() != data.start or found.start() != data.key_start:
            return
        # Known from the front only: the message's type and the stream's name.
        if top["type"].end > data.start or record["stream"].end > data.start:
            return
        namespace = record.get("namespace")
        if namespace is not None and namespace.start > data.start:
            return
        front = {name: span for name, span in record.items() if span.end <= data.start}
        if len(self._routes) >= _ROUTES_KEPT:
            self._routes.clear()
        envelope = self._renamed(line[: data.start], front, "stream")
        self._routes[line[: data.start]] = _Route(progress, envelope, tail_free=namespace is not None)

    def _renamed(self, text: bytes, descriptor: dict[str, Span], name: str) -> bytes:
        """``text`` with the destination's name and namespace; ``name`` is the key of the stream's name."""
        key = _key(text, descriptor.get("namespace"), descriptor[name])
        mapped = self._mapping.stream(_descriptor(key))
        replacements = [(descriptor[name].start, descriptor[name].end, orjson.dumps(mapped["name"]))]
        namespace = descriptor.get("namespace")
        if namespace is not None:
            value = orjson.dumps(mapped.get("namespace"))
            replacements.append((namespace.start, namespace.end, value))
        elif mapped.get("namespace") is not None:
            start = descriptor[name].key_start
            replacements.append((start, start, b'"namespace":' + orjson.dumps(mapped["namespace"]) + b","))
        return splice(text, replacements)

    def _status(self, line: bytes, status: dict[str, Any]) -> bytes | None:
        progress = self._streams.get(_key_of(status["stream_descriptor"]))
        if progress is None:
            return None
        self.any_status = True
        progress.status = status["status"]
        trace = members(line, members(line)["trace"].start)
        descriptor = members(line, trace["stream_status"].start)["stream_descriptor"]
        return self._with_descriptors(line, [descriptor])

    def _state(self, line: bytes, state: dict[str, Any]) -> bytes | None:
        """Pass a state on with an id of ours, which the destination sends back with it."""
        spans = members(line, members(line)["state"].start)
        kind = state.get("type") or "LEGACY"
        # As upstream: only from LEGACY, which few sources still send, the type may change of itself.
        if self._stored_type not in (None, "LEGACY", kind):
            self._on_other_type(_OTHER_TYPE.format(kind, self._stored_type))
            return None
        descriptors: list[Span] = []
        if kind == "STREAM":
            row, descriptor = self._stream_row(line, spans["stream"])
            if row.key not in self._streams:
                return None
            rows: tuple[StateRow, ...] = (row,)
            descriptors.append(descriptor)
        elif kind == "GLOBAL":
            shared = members(line, spans["global"].start)
            found = [self._stream_row(line, span) for span in elements(line, shared["stream_states"].start)]
            descriptors = [descriptor for _, descriptor in found]
            whole = shared["shared_state"].of(line) if "shared_state" in shared else b"null"
            rows = (StateRow("global", ("", ""), whole), *(row for row, _ in found))
        else:
            rows = (StateRow("legacy", ("", ""), spans["data"].of(line)),)
        watermark = []
        if self._settle is not None and "arrow_seq" in (state.get("additionalData") or {}):
            last = self._settle(int(state["additionalData"]["arrow_seq"]))
            if last is None:
                return None
            span = members(line, spans["additionalData"].start)["arrow_seq"]
            watermark.append((span.start, span.end, b"%d" % last))
        translated = self._with_descriptors(line, descriptors, watermark)
        start = members(translated)["state"].start + 1
        identified = splice(translated, [(start, start, b'"id":%d,' % self._checkpoints.next_id())])
        for row in rows:
            if row.key in self._streams:
                self._streams[row.key].states_emitted += 1
        covers = self._checkpoints.add(rows, orjson.loads(translated)["state"])
        self._compare_counts(state, covers)
        return identified

    def _compare_counts(self, state: dict[str, Any], covers: dict[StreamKey, tuple[int, int]]) -> None:
        claimed = (state.get("sourceStats") or {}).get("recordCount")
        counted = sum(records for records, _ in covers.values())
        if claimed is not None and int(claimed) != counted:
            names = ", ".join(key[1] for key in covers)
            self.count_mismatches.append(f"{names}: the source counted {int(claimed)} records, {counted} arrived")

    def _stream_row(self, line: bytes, span: Span) -> tuple[StateRow, Span]:
        stream = members(line, span.start)
        descriptor = stream["stream_descriptor"]
        state = stream["stream_state"].of(line) if "stream_state" in stream else b"null"
        return StateRow("stream", _key_of(orjson.loads(descriptor.of(line))), state), descriptor

    def _with_descriptors(
        self, line: bytes, descriptors: list[Span], more: list[tuple[int, int, bytes]] | None = None
    ) -> bytes:
        """``line`` under the destination's names, and with ``more`` replacements."""
        mapped = [
            (span.start, span.end, orjson.dumps(self._mapping.stream(orjson.loads(span.of(line)))))
            for span in descriptors
        ]
        return splice(line, [*mapped, *(more or [])])

    def _estimate(self, estimate: dict[str, Any]) -> None:
        progress = self._streams.get((estimate.get("namespace") or "", estimate.get("name") or ""))
        if progress is not None:
            progress.estimated_records = estimate.get("row_estimate")
            progress.estimated_bytes = estimate.get("byte_estimate")


def _key(text: bytes, namespace: Span | None, name: Span) -> StreamKey:
    return ((orjson.loads(namespace.of(text)) or "") if namespace else "", orjson.loads(name.of(text)))


def _key_of(descriptor: dict[str, Any]) -> StreamKey:
    return (descriptor.get("namespace") or "", descriptor["name"])


def _descriptor(key: StreamKey) -> dict[str, Any]:
    return {"namespace": key[0], "name": key[1]} if key[0] else {"name": key[1]}
