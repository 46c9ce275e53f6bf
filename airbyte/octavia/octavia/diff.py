"""What differs between a declared resource and the one on the server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from octavia.connection import SYNC_MODES, uses_cursor, uses_primary_key, without_zone
from octavia.secrets import MASK, is_masked, is_secret_name
from octavia.yamlfile import Document, KeyPath, dotted

MISSING = object()
"""Stands for a value that is not there."""

_MODE_NAMES = {mode: f"{source} | {destination}" for (source, destination), mode in SYNC_MODES.items()}

# Keys that most connectors name the place of the data by.
_PLACE_KEYS = {"host", "port", "database", "project_id", "dataset_id"}
_OTHER_PLACE = (
    "nothing, if the same data is there; else a refresh of the incremental streams, whose cursors stay as they are"
)
# The key of source connectors that can read in several ways.
_METHOD_KEY = ("replication_method", "method")
_OTHER_METHOD = "a clear of the source's connections: one method's state does not tell where another begins"


@dataclass(frozen=True)
class Change:
    """One difference, as text to show: ``before`` is None for what appears, ``after`` for what goes."""

    key: str
    before: str | None
    after: str | None
    cost: str | None = None
    """What the change will cost beyond itself: rows read again, tables left behind."""


@dataclass(frozen=True)
class Difference:
    """``secrets`` are the declared keys whose stored values cannot be read back, and so not be compared."""

    changes: list[Change]
    secrets: list[str]


def configuration(actor: Mapping[str, Any]) -> dict[str, Any]:
    """What was configured, out of the API's answer: it adds the connector's type, by which the SDK knows its models."""
    return {
        name: value for name, value in actor["configuration"].items() if name not in ("sourceType", "destinationType")
    }


def actor_difference(document: Document, remote: Mapping[str, Any]) -> Difference:
    """Compare a source's or destination's file with the API's answer."""
    changes: list[Change] = []
    secrets: list[str] = []

    def walk(before: Any, after: Any, key: KeyPath) -> None:
        if isinstance(before, dict) and isinstance(after, dict):
            for name in [*after, *(name for name in before if name not in after)]:
                walk(before.get(name, MISSING), after.get(name, MISSING), (*key, name))
        elif is_masked(before) and isinstance(after, str):
            secrets.append(dotted(key[1:]))
        elif before is MISSING:
            changes.append(Change(dotted(key), None, _as_written(document, key, after)))
        elif after is MISSING:
            changes.append(Change(dotted(key), _stored(key, before), None))
        elif json.dumps(before, sort_keys=True) != json.dumps(after, sort_keys=True):
            shown = MASK if document.is_secret(key) else _text(after)
            cost = _OTHER_PLACE if key[-1] in _PLACE_KEYS else _OTHER_METHOD if key[-2:] == _METHOD_KEY else None
            changes.append(Change(dotted(key), _stored(key, before), shown, cost))

    walk(configuration(remote), document.value["configuration"], ("configuration",))
    return Difference(changes, secrets)


def new_actor(document: Document) -> list[Change]:
    """The configuration of a source or destination that the server does not have, as its file has it."""
    return [
        Change(f"configuration.{name}", None, _as_written(document, ("configuration", name), value))
        for name, value in document.value["configuration"].items()
    ]


def connection_difference(desired: Mapping[str, Any], remote: Mapping[str, Any] | None) -> list[Change]:
    """Compare a connection in the API's words with the API's answer (None: there is none yet)."""
    return [*_settings_changes(desired, remote), *_stream_changes(desired, remote)]


def _as_written(document: Document, key: KeyPath, value: Any) -> str:
    """A value the server has not seen: variables by name, so that nothing from the environment is shown."""

    def shown(value: Any, key: KeyPath) -> Any:
        if isinstance(value, dict):
            return {name: shown(inner, (*key, name)) for name, inner in value.items()}
        if isinstance(value, list):
            return [shown(inner, (*key, position)) for position, inner in enumerate(value)]
        written = document.written.get(key, value)
        # A secret's variable may be named, but not a default beside it, nor literal text around it.
        if document.is_secret(key) and not re.fullmatch(r"\$\{\w+\}", str(written)):
            return MASK
        return written

    return _text(shown(value, key))


def _stored(key: KeyPath, value: Any) -> str:
    """A value from the server, which has masked what the connector calls secret."""
    return MASK if any(is_secret_name(str(part)) for part in key) else _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _settings(connection: Mapping[str, Any]) -> dict[str, str]:
    """The connection's own settings under the names they have in YAML; absent ones as the API's defaults."""
    schedule = connection.get("schedule") or {}
    expression = schedule.get("cronExpression") or schedule.get("basicTiming") or ""
    namespace = connection.get("namespaceDefinition") or "destination"
    return {
        "status": connection["status"],
        "namespace_definition": namespace,
        "namespace_format": (connection.get("namespaceFormat") or "") if namespace == "custom_format" else "",
        "prefix": connection.get("prefix") or "",
        "non_breaking_changes_preference": connection.get("nonBreakingSchemaUpdatesBehavior") or "ignore",
        "schedule": f"{schedule.get('scheduleType', 'manual')} {without_zone(expression)}".strip(),
    }


def _settings_changes(desired: Mapping[str, Any], remote: Mapping[str, Any] | None) -> Iterator[Change]:
    before = _settings(remote) if remote else {}
    for name, after in _settings(desired).items():
        if remote is None:
            if after:
                yield Change(name, None, after)
        elif before[name] != after:
            cost = None
            if name in ("prefix", "namespace_definition", "namespace_format"):
                cost = (
                    "other tables from the next sync on, which start empty: incremental streams need a refresh to have "
                    "their old rows there; the present tables stay as they are"
                )
            yield Change(name, before[name] or '""', after or '""', cost)


def _stream_changes(desired: Mapping[str, Any], remote: Mapping[str, Any] | None) -> Iterator[Change]:
    left = list((remote or {}).get("configurations", {}).get("streams") or [])
    for stream in desired["configurations"]["streams"]:
        # A file may leave the namespace to the server, if the name alone is unique.
        match = next((other for other in left if _same_stream(stream, other)), None)
        key = f"streams.{stream['name']}"
        if match is None:
            cost = "the next sync reads the whole stream" if remote else None
            yield Change(key, None, _summary(stream), cost)
            continue
        left.remove(match)
        yield from _stream_difference(key, match, stream)
    for stream in left:
        yield Change(
            f"streams.{stream['name']}",
            _summary(stream),
            None,
            "no longer read; its table stays as it is, and adding the stream again reads all of it",
        )


def _same_stream(declared: Mapping[str, Any], remote: Mapping[str, Any]) -> bool:
    if declared["name"] != remote["name"]:
        return False
    return declared.get("namespace") in (None, remote.get("namespace") or None)


def _stream_difference(key: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    old, new = before.get("syncMode") or "full_refresh_overwrite", after["syncMode"]
    if old != new:
        yield Change(f"{key}.sync_mode", _mode(old), _mode(new), _mode_cost(old, new))
    if after.get("cursorField") and before.get("cursorField") != after["cursorField"]:
        cost = "a refresh: the stored cursor means nothing for another field, the stream is read from the start"
        yield Change(
            f"{key}.cursor_field",
            _path(before.get("cursorField")),
            _path(after["cursorField"]),
            cost if uses_cursor(old) else None,
        )
    if after.get("primaryKey") and sorted(before.get("primaryKey") or []) != sorted(after["primaryKey"]):
        cost = "a clear, if rows must be told apart by the new key: those already loaded were by the old one"
        yield Change(
            f"{key}.primary_key",
            _paths(before.get("primaryKey")),
            _paths(after["primaryKey"]),
            cost if uses_primary_key(old) else None,
        )
    old_fields, new_fields = _fields(before), _fields(after)
    if old_fields != new_fields:
        cost = "a refresh, if rows already loaded need the newly selected columns; deselected ones stay as they are"
        yield Change(f"{key}.selected_fields", ", ".join(old_fields) or "all", ", ".join(new_fields) or "all", cost)


def _mode_cost(old: str, new: str) -> str | None:
    if uses_cursor(new) and not uses_cursor(old):
        if new == "incremental_append":
            return "the next sync appends the whole stream to the rows that are there: clear it first to have each once"
        return (
            "the next sync reads the whole stream once more and merges it by primary key, later ones only changes; "
            "rows that were deleted since the last one stay, unless the stream is cleared first"
        )
    if uses_cursor(old) and not uses_cursor(new):
        kept = " and append it to what is there" if new.endswith("append") else ""
        return f"the cursor is given up: every sync will read the whole stream{kept}"
    if new == "incremental_deduped_history":
        return "a clear, if rows that were appended twice must become one"
    return None


def _summary(stream: Mapping[str, Any]) -> str:
    """One line: sync mode, cursor, key, selection."""
    parts = [_mode(stream.get("syncMode") or "full_refresh_overwrite")]
    if stream.get("cursorField"):
        parts.append(f"cursor {_path(stream['cursorField'])}")
    if stream.get("primaryKey"):
        parts.append(f"key {_paths(stream['primaryKey'])}")
    if fields := _fields(stream):
        parts.append(f"fields {', '.join(fields)}")
    return ", ".join(parts)


def _mode(mode: str) -> str:
    return _MODE_NAMES.get(mode, mode)


def _path(field: list[str] | None) -> str:
    return ".".join(field or []) or "none"


def _paths(fields: list[list[str]] | None) -> str:
    return " + ".join(_path(field) for field in fields or []) or "none"


def _fields(stream: Mapping[str, Any]) -> list[str]:
    """Selected columns, sorted; empty for all of them."""
    return sorted(_path(entry.get("fieldPath")) for entry in stream.get("selectedFields") or [])
