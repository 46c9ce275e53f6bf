"""Stream states: version 3 of the upstream connector's format; version 2 is read and converted.

``{"version": 3, "state_type": "cursor_based", "stream_name": …, "stream_namespace": …, "ctid": null or "(page,item)",
"cursors": {column: value}, "relation_filenode": null or number, "xmin": null}``
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from source_postgres.errors import ConnectorError

VERSION = 3


@dataclass(frozen=True)
class StreamState:
    """Where a stream's reading stands.

    ``cursor_field``/``cursor``: the value up to which rows have been read, as in the records. With ``ctid``, the first
    reading of the table is under way: rows up to that address are read, ``cursor`` is the maximum when it began, and
    ``filenode`` is the file the address is of.
    """

    cursor_field: str | None = None
    cursor: Any = None
    ctid: str | None = None
    filenode: int | None = None

    def as_json(self, name: str, namespace: str | None) -> dict[str, Any]:
        return {
            "version": VERSION,
            "state_type": "cursor_based" if self.cursor_field else "ctid_based",
            "stream_name": name,
            "stream_namespace": namespace,
            "ctid": self.ctid,
            "cursors": {self.cursor_field: _json_number(self.cursor)} if self.cursor_field else {},
            "relation_filenode": self.filenode,
            "xmin": None,
        }


def _json_number(value: Any) -> Any:
    """A decimal as a JSON number where a binary float holds it exactly, else as a text."""
    if not isinstance(value, Decimal):
        return value
    return float(value) if Decimal(repr(float(value))) == value else str(value)


def parse_states(raw: Any) -> dict[tuple[str, str | None], StreamState]:
    """States by (name, namespace) from the content of the ``--state`` file: a list of AirbyteStateMessages.

    Raises:
        ConnectorError: config_error for a state of another shape or replication method.
    """
    if not raw:
        return {}
    if isinstance(raw, dict):
        raw = [raw]
    states = {}
    for message in raw:
        body = message.get("state", message) if isinstance(message, dict) else None
        stream = body.get("stream") if isinstance(body, dict) and body.get("type", "STREAM") == "STREAM" else None
        if not isinstance(stream, dict):
            raise ConnectorError(
                "The saved state is not made of STREAM states (it may come from CDC); clear the connection's state."
            )
        descriptor = stream["stream_descriptor"]
        state = _parse(stream.get("stream_state"), descriptor["name"])
        if state is not None:
            states[descriptor["name"], descriptor.get("namespace")] = state
    return states


def _parse(raw: dict[str, Any] | None, stream: str) -> StreamState | None:
    if not raw:
        return None
    version, kind = raw.get("version"), raw.get("state_type")
    if version == VERSION and kind in ("cursor_based", "ctid_based"):
        cursors = raw.get("cursors") or {}
        field = next(iter(cursors), None)
        return StreamState(field, cursors.get(field), raw.get("ctid"), raw.get("relation_filenode"))
    if version == 2 and kind == "cursor_based":
        fields = raw.get("cursor_field") or []
        return StreamState(fields[0], raw.get("cursor")) if fields else None
    if version == 2 and kind == "ctid":
        inner = _parse(raw.get("incremental_state"), stream) or StreamState()
        return StreamState(inner.cursor_field, inner.cursor, raw.get("ctid"), raw.get("relation_filenode"))
    raise ConnectorError(
        f"The saved state of stream {stream!r} (version {version!r}, type {kind!r}) cannot be continued by this "
        "connector version with the Standard method; clear the stream's state."
    )
