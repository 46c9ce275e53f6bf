"""A connection's streams: which are selected, how each is synced, and what connectors are told about them.

A stored stream is a dict with the public API's keys (``name``, ``namespace``, ``syncMode``, ``cursorField``,
``primaryKey``, ``selectedFields``, …) and ``stream``, the AirbyteStream as the source described it.
Rules: the platform's checks on ``POST``/``PATCH /connections``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airbyte_server.errors import bad_request


@dataclass(frozen=True)
class SyncMode:
    """One of the public API's modes, as the protocol says it. ``truncates``: each job replaces the stream's rows."""

    source: str
    destination: str
    truncates: bool = False

    @property
    def incremental(self) -> bool:
        return self.source == "incremental"

    @property
    def dedups(self) -> bool:
        return self.destination == "append_dedup"


DEFAULT_SYNC_MODE = "full_refresh_overwrite"
SYNC_MODES = {
    DEFAULT_SYNC_MODE: SyncMode("full_refresh", "overwrite", truncates=True),
    "full_refresh_append": SyncMode("full_refresh", "append"),
    "full_refresh_overwrite_deduped": SyncMode("full_refresh", "append_dedup", truncates=True),
    "incremental_append": SyncMode("incremental", "append"),
    "incremental_deduped_history": SyncMode("incremental", "append_dedup"),
}


def stream_key(stream: dict[str, Any]) -> tuple[str, str]:
    """(namespace, name); no namespace is the empty string."""
    return (stream.get("namespace") or "", stream["name"])


def default_streams(discovered: dict[str, Any]) -> list[dict[str, Any]]:
    """Every discovered stream in the default mode: what a connection gets that names none."""
    return [configured_stream({"name": s["name"], "namespace": s.get("namespace")}, s) for s in discovered["streams"]]


def select_streams(requested: list[dict[str, Any]], discovered: dict[str, Any]) -> list[dict[str, Any]]:
    """The stored form of the streams a client asks for; raises a 400 problem naming the first that is wrong."""
    result: list[dict[str, Any]] = []
    seen: set[tuple[str, str]] = set()
    for request in requested:
        stream = _find(request, discovered)
        if stream_key(stream) in seen:
            raise bad_request(f"Duplicate stream found in configuration for: {request['name']}.")
        seen.add(stream_key(stream))
        result.append(configured_stream(request, stream))
    return result


def _find(request: dict[str, Any], discovered: dict[str, Any]) -> dict[str, Any]:
    name, namespace = request["name"], request.get("namespace")
    candidates = [
        stream
        for stream in discovered["streams"]
        if stream["name"] == name and namespace in (None, "", stream.get("namespace"))
    ]
    if not candidates:
        known = ", ".join(sorted(stream["name"] for stream in discovered["streams"])) or "none"
        where = f" in namespace {namespace!r}" if namespace else ""
        raise bad_request(f"Invalid stream found: {name!r}{where}. The source has: {known}.")
    if len(candidates) > 1:
        namespaces = ", ".join(sorted(stream.get("namespace") or "''" for stream in candidates))
        raise bad_request(f"Stream {name!r} exists in several namespaces ({namespaces}): give its namespace.")
    return candidates[0]


def configured_stream(request: dict[str, Any], stream: dict[str, Any]) -> dict[str, Any]:
    """Check one requested stream against the discovered one and complete it. Raises a 400 problem."""
    name = stream["name"]
    public_mode = request.get("syncMode") or DEFAULT_SYNC_MODE
    mode = SYNC_MODES.get(public_mode)
    if mode is None or mode.source not in stream.get("supported_sync_modes", ["full_refresh"]):
        offered = [m for m, sync in SYNC_MODES.items() if sync.source in stream.get("supported_sync_modes", [])]
        raise bad_request(f"Cannot set sync mode to {public_mode} for stream {name}. Valid are: {', '.join(offered)}.")
    for unsupported in ("mappers", "includeFiles", "destinationObjectName"):
        if request.get(unsupported):
            raise bad_request(f"{unsupported} (stream {name}) is not supported by this server; leave it out.")
    cursor = _cursor(request, stream, mode)
    primary_key = _primary_key(request, stream, mode)
    return {
        "name": name,
        "namespace": stream.get("namespace"),
        "syncMode": public_mode,
        "cursorField": cursor,
        "primaryKey": primary_key,
        "selectedFields": _selected_fields(request, stream, mode, cursor, primary_key),
        "stream": stream,
    }


def _cursor(request: dict[str, Any], stream: dict[str, Any], mode: SyncMode) -> list[str]:
    name, given = stream["name"], list(request.get("cursorField") or [])
    if not mode.incremental:
        return given if given and _has_field(stream, given) else []
    default = list(stream.get("default_cursor_field") or [])
    if stream.get("source_defined_cursor"):
        if given and given != default:
            raise bad_request(
                f"Cursor field {given} is not supported for stream {name}: the source defines it as {default}. "
                "Leave cursorField out."
            )
        return default
    cursor = given or default
    if not cursor:
        raise bad_request(
            f"No default cursor field found for stream {name}. Give cursorField, one of: {_fields(stream)}."
        )
    if not _has_field(stream, cursor):
        raise bad_request(f"Invalid cursor field {cursor} for stream {name}. Its fields are: {_fields(stream)}.")
    return cursor


def _primary_key(request: dict[str, Any], stream: dict[str, Any], mode: SyncMode) -> list[list[str]]:
    name, given = stream["name"], [list(path) for path in request.get("primaryKey") or []]
    defined = [list(path) for path in stream.get("source_defined_primary_key") or []]
    if defined:
        if mode.dedups and given and sorted(given) != sorted(defined):
            raise bad_request(
                f"Primary key {given} is not supported for stream {name}: the source defines it as {defined}. "
                "Leave primaryKey out."
            )
        return defined
    if mode.dedups and not given:
        raise bad_request(f"No primary key found for stream {name}, which {mode.destination} needs: give primaryKey.")
    for path in given:
        if not _has_field(stream, path):
            raise bad_request(f"Invalid primary key field {path} for stream {name}. Its fields are: {_fields(stream)}.")
    return given


def _selected_fields(
    request: dict[str, Any], stream: dict[str, Any], mode: SyncMode, cursor: list[str], primary_key: list[list[str]]
) -> list[dict[str, Any]] | None:
    requested = request.get("selectedFields")
    if requested is None:
        return None
    name, paths = stream["name"], [list(field.get("fieldPath") or []) for field in requested]
    if not paths:
        raise bad_request(f"No fields selected for stream {name}: leave selectedFields out to select all.")
    for path in paths:
        if len(path) != 1:
            raise bad_request(f"Nested field selection is not supported for stream {name}: {path}.")
        if not _has_field(stream, path):
            raise bad_request(f"Invalid selected field {path} for stream {name}. Its fields are: {_fields(stream)}.")
    needed = ([cursor] if mode.incremental else []) + (primary_key if mode.dedups else [])
    for path in needed:
        if path[:1] not in paths:
            raise bad_request(f"The cursor or primary key field {path} of stream {name} must be in selectedFields.")
    return [{"fieldPath": path} for path in paths]


def field_paths(schema: dict[str, Any], parent: tuple[str, ...] = ()) -> list[list[str]]:
    """The paths of all fields of a JSON Schema, nested ones after their parent."""
    paths: list[list[str]] = []
    for name, field in (schema.get("properties") or {}).items():
        paths.append([*parent, name])
        if isinstance(field, dict):
            paths += field_paths(field, (*parent, name))
    return paths


def _has_field(stream: dict[str, Any], path: list[str]) -> bool:
    return path in field_paths(stream["json_schema"])


def _fields(stream: dict[str, Any]) -> str:
    return ", ".join(path[0] for path in field_paths(stream["json_schema"]) if len(path) == 1)


def public_sync_modes(stream: dict[str, Any]) -> list[str]:
    """The public API's modes that the stream's source side allows."""
    supported = stream.get("supported_sync_modes", ["full_refresh"])
    return [name for name, mode in SYNC_MODES.items() if mode.source in supported]


def protocol_stream(stored: dict[str, Any], *, generation_id: int, minimum_generation_id: int, sync_id: int) -> dict:
    """The ConfiguredAirbyteStream that tells connectors how to sync a stored stream."""
    mode = SYNC_MODES[stored["syncMode"]]
    stream = dict(stored["stream"])
    if stored.get("selectedFields") is not None:
        selected = {field["fieldPath"][0] for field in stored["selectedFields"]}
        schema = dict(stream["json_schema"])
        schema["properties"] = {name: field for name, field in schema["properties"].items() if name in selected}
        stream["json_schema"] = schema
        if any(path[0] not in selected for path in stream.get("source_defined_primary_key") or []):
            # Rows that come once more after an interruption could not be told from others.
            stream["is_resumable"] = False
    return {
        "stream": stream,
        "sync_mode": mode.source,
        "destination_sync_mode": mode.destination,
        "cursor_field": stored["cursorField"],
        "primary_key": stored["primaryKey"],
        "generation_id": generation_id,
        "minimum_generation_id": minimum_generation_id,
        "sync_id": sync_id,
    }
