"""Stream states: version 3 of the upstream connector's format; version 2 is read and converted.

``{"version": 3, "state_type": …, "stream_name": …, "stream_namespace": …, "ctid": null or "(page,item)",
"cursors": {column: value}, "relation_filenode": null or number, "xmin": null or number}``, and, where they apply, keys
of our own: ``cursor_record_count``, ``cursor_record_xmins``, ``xmin_from``, ``lsn``, ``snapshot``, ``sequence`` and
``complete``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from source_postgres.errors import ConnectorError

VERSION = 3
Kind = Literal["ctid_based", "cursor_based", "xmin_based", "cdc_based"]


@dataclass(frozen=True)
class StreamState:
    """Where a stream's reading stands.

    With ``ctid`` a pass over the table is under way: rows up to that address of the file ``filenode`` are read.
    ``xmin`` is the oldest transaction that the pass's first snapshot did not see whole: what it and later ones wrote
    may have moved rows. Without ``ctid`` everything is read up to:

    * cursor_based: ``cursor``, as in the records, at which there were ``cursor_count`` rows, whose xmin have the sum
      ``cursor_xmins`` (None: not known);
    * xmin_based: transaction ``xmin``; a pass under way reads what changed since ``xmin_from`` (None: all rows);
    * cdc_based: the log position ``lsn`` of the (last) snapshot; changes since are the global state's. While that has
      not reached ``lsn``, ``snapshot`` (as pg_current_snapshot) tells which transactions the (first) snapshot has seen
      (None: all before ``lsn`` have been read), and ``sequence`` how many changes have been given numbers behind it.
    """

    kind: Kind
    cursor_field: str | None = None
    cursor: Any = None
    cursor_count: int | None = None
    cursor_xmins: int | None = None
    ctid: str | None = None
    filenode: int | None = None
    xmin: int | None = None
    xmin_from: int | None = None
    lsn: int | None = None
    snapshot: str | None = None
    sequence: int | None = None
    complete: bool | None = None

    def as_json(self, name: str, namespace: str | None) -> dict[str, Any]:
        state: dict[str, Any] = {
            "version": VERSION,
            "state_type": self.kind,
            "stream_name": name,
            "stream_namespace": namespace,
            "ctid": self.ctid,
            "cursors": {self.cursor_field: self.cursor} if self.cursor_field else {},
            "relation_filenode": self.filenode,
            "xmin": self.xmin,
        }
        own = {
            "cursor_record_count": self.cursor_count,
            "cursor_record_xmins": self.cursor_xmins,
            "xmin_from": self.xmin_from,
            "lsn": self.lsn,
            "snapshot": self.snapshot,
            "sequence": self.sequence,
            "complete": self.complete,
        }
        return state | {key: value for key, value in own.items() if value is not None}


StreamKey = tuple[str, str | None]


@dataclass(frozen=True)
class SavedStates:
    """The content of the ``--state`` file: states by (name, namespace), and a GLOBAL state's shared part."""

    streams: dict[StreamKey, StreamState]
    shared: dict[str, Any] | None = None


def parse_states(raw: Any) -> SavedStates:
    """States from a list of AirbyteStateMessages, or one of them.

    Raises:
        ConnectorError: config_error for a state of another shape.
    """
    found: dict[StreamKey, StreamState] = {}
    shared = None
    for message in [raw] if raw and isinstance(raw, dict) else raw or []:
        body = message.get("state", message) if isinstance(message, dict) else None
        if not isinstance(body, dict):
            raise ConnectorError(f"The saved state holds {message!r}, which is no state; clear the connection's state.")
        kind = body.get("type", "STREAM")
        if kind == "STREAM" and isinstance(body.get("stream"), dict):
            streams = [body["stream"]]
        elif kind == "GLOBAL" and isinstance(body.get("global"), dict):
            streams = body["global"].get("stream_states") or []
            shared = body["global"].get("shared_state")
        else:
            raise ConnectorError(
                f"The saved state is of type {kind!r}, not STREAM or GLOBAL states; clear the connection's state."
            )
        for stream in streams:
            descriptor = stream["stream_descriptor"]
            state = _parse(stream.get("stream_state"), descriptor["name"])
            if state is None and kind == "GLOBAL":
                # Upstream's state of a stream whose snapshot is complete holds nothing.
                state = StreamState("cdc_based", lsn=0)
            if state is not None:
                found[descriptor["name"], descriptor.get("namespace")] = state
    return SavedStates(found, shared)


def _parse(raw: dict[str, Any] | None, stream: str) -> StreamState | None:
    if not raw:
        return None
    version, kind = raw.get("version"), raw.get("state_type")
    if version == VERSION and kind in ("cursor_based", "ctid_based", "xmin_based", "cdc_based"):
        cursors = raw.get("cursors") or {}
        field = next(iter(cursors), None)
        return StreamState(
            kind,
            field,
            cursors.get(field),
            raw.get("cursor_record_count"),
            raw.get("cursor_record_xmins"),
            raw.get("ctid"),
            raw.get("relation_filenode"),
            raw.get("xmin"),
            raw.get("xmin_from"),
            raw.get("lsn"),
            raw.get("snapshot"),
            raw.get("sequence"),
            raw.get("complete"),
        )
    if version == 2:
        return _version_2(raw, stream)
    raise ConnectorError(
        f"The saved state of stream {stream!r} (version {version!r}, type {kind!r}) cannot be continued; clear it."
    )


def _version_2(raw: dict[str, Any], stream: str) -> StreamState | None:
    match raw.get("state_type"):
        case "cursor_based":
            fields = raw.get("cursor_field") or []
            count = raw.get("cursor_record_count")
            return StreamState("cursor_based", fields[0], raw.get("cursor"), count) if fields else None
        case "xmin":
            value, wraps = raw.get("xmin_xid_value"), raw.get("num_wraparound") or 0
            if value is None:
                return None
            return StreamState("xmin_based", xmin=value if value >> 32 else wraps << 32 | value)
        case "ctid":
            # What was saved beside it is where the incremental reading goes on; rows moved since are not known.
            inner = _parse(raw.get("incremental_state"), stream) or StreamState("ctid_based")
            return StreamState(
                inner.kind,
                inner.cursor_field,
                inner.cursor,
                ctid=raw.get("ctid"),
                filenode=raw.get("relation_filenode"),
                xmin=inner.xmin,
            )
    kind = raw.get("state_type")
    raise ConnectorError(
        f"The saved state of stream {stream!r} (version 2, type {kind!r}) cannot be continued; clear it."
    )
