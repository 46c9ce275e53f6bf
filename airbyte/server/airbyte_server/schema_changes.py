"""What has changed in a source's schema since a connection was configured, and what is done about it.

The platform's rules: a change breaks a connection when a field goes that a stream's cursor or primary key needs, or
when the source defines another key for a deduplicated stream. Such a change is never applied by itself; all others are
handled as the connection's setting says.
"""

from __future__ import annotations

from typing import Any

from airbyte_server.catalog import SYNC_MODES, configured_stream, stream_key
from airbyte_server.errors import Problem

Diff = list[dict[str, Any]]
"""StreamTransforms of the Config API: ``transformType``, ``streamDescriptor`` and, for a changed stream,
``updateStream`` with its ``fieldTransforms``."""


def catalog_diff(configured: list[dict[str, Any]], known: list[list[str]], discovered: list[dict[str, Any]]) -> Diff:
    """How ``discovered`` (AirbyteStreams) differs from a connection's stored streams.

    ``known`` names (namespace, name) all streams of the source when the connection was configured: one that is not
    among them has been added since, one that was merely not selected has not.
    """
    found = {stream_key(stream): stream for stream in discovered}
    diff: Diff = []
    for stored in configured:
        key = stream_key(stored)
        if key not in found:
            diff.append(_transform("remove_stream", key))
        elif update := _update(stored, found[key]):
            diff.append({**_transform("update_stream", key), "updateStream": update})
    return diff + [_transform("add_stream", key) for key in found if list(key) not in known]


def _transform(kind: str, key: tuple[str, str]) -> dict[str, Any]:
    return {"transformType": kind, "streamDescriptor": {"name": key[1], "namespace": key[0] or None}}


def _update(stored: dict[str, Any], discovered: dict[str, Any]) -> dict[str, list[dict[str, Any]]] | None:
    update = {
        "fieldTransforms": _field_transforms(stored, discovered),
        "attributeTransforms": _attribute_transforms(stored, discovered),
    }
    return update if any(update.values()) else None


def _attribute_transforms(stored: dict[str, Any], discovered: dict[str, Any]) -> list[dict[str, Any]]:
    old, new = (stream.get("source_defined_primary_key") or [] for stream in (stored["stream"], discovered))
    if sorted(old) == sorted(new):
        return []
    # Rows of a deduplicated stream are found by the key that they were written with.
    breaking = SYNC_MODES[stored["syncMode"]].dedups and sorted(new) != sorted(stored["primaryKey"])
    keys = {"oldPrimaryKey": old, "newPrimaryKey": new}
    return [{"transformType": "update_primary_key", "breaking": breaking, "updatePrimaryKey": keys}]


def _field_transforms(stored: dict[str, Any], discovered: dict[str, Any]) -> list[dict[str, Any]]:
    before = stored["stream"]["json_schema"].get("properties") or {}
    after = discovered["json_schema"].get("properties") or {}
    mode = SYNC_MODES[stored["syncMode"]]
    needed = {path[0] for path in stored["primaryKey"] if mode.dedups}
    if mode.incremental:
        needed.update(stored["cursorField"][:1])
    return [
        *({**_field("remove_field", name, breaking=name in needed)} for name in before if name not in after),
        *({**_field("add_field", name), "addField": {"schema": after[name]}} for name in after if name not in before),
        *(
            {
                **_field("update_field_schema", name),
                "updateFieldSchema": {"oldSchema": before[name], "newSchema": after[name]},
            }
            for name in after
            if name in before and before[name] != after[name]
        ),
    ]


def _field(kind: str, name: str, *, breaking: bool = False) -> dict[str, Any]:
    return {"transformType": kind, "fieldName": [name], "breaking": breaking}


def is_breaking(diff: Diff) -> bool:
    return any(one["breaking"] for change in diff for one in (*_fields(change), *_attributes(change)))


def _fields(change: dict[str, Any]) -> list[dict[str, Any]]:
    return (change.get("updateStream") or {}).get("fieldTransforms", [])


def _attributes(change: dict[str, Any]) -> list[dict[str, Any]]:
    return (change.get("updateStream") or {}).get("attributeTransforms", [])


def describe(diff: Diff) -> str:
    """The diff in one line for people, the breaking part only if there is one."""
    breaking = is_breaking(diff)
    parts = []
    for change in diff:
        name = change["streamDescriptor"]["name"]
        for field in _fields(change):
            if field["breaking"] or not breaking:
                parts.append(f"{_WORDS[field['transformType']]} {name}.{'.'.join(field['fieldName'])}")
        if any(one["breaking"] or not breaking for one in _attributes(change)):
            parts.append(f"changed the primary key of {name}")
        if not breaking and change["transformType"] != "update_stream":
            parts.append(f"{_WORDS[change['transformType']]} stream {name}")
    return ", ".join(parts)


_WORDS = {
    "add_stream": "added",
    "remove_stream": "removed",
    "add_field": "added",
    "remove_field": "removed",
    "update_field_schema": "changed type of",
}


def propagate(
    configured: list[dict[str, Any]], diff: Diff, discovered: list[dict[str, Any]], *, fully: bool
) -> list[dict[str, Any]]:
    """The stored streams after ``diff``, which breaks nothing: their fields, and if ``fully`` also which there are."""
    found = {stream_key(stream): stream for stream in discovered}
    changes = {(_key(change), change["transformType"]): change for change in diff}
    result = []
    for stored in configured:
        key = stream_key(stored)
        if fully and (key, "remove_stream") in changes:
            continue
        change = changes.get((key, "update_stream"))
        result.append(_updated(stored, found[key], _fields(change)) if change else stored)
    if fully:
        result += [_added(found[key]) for key, kind in changes if kind == "add_stream"]
    return result


def _updated(stored: dict[str, Any], discovered: dict[str, Any], fields: list[dict[str, Any]]) -> dict[str, Any]:
    """A stream whose fields are selected one by one selects new ones, too, and no longer those that are gone."""
    selected = stored["selectedFields"]
    if selected is not None:
        gone = [field["fieldName"] for field in fields if field["transformType"] == "remove_field"]
        new = [field["fieldName"] for field in fields if field["transformType"] == "add_field"]
        kept = [field for field in selected if field["fieldPath"] not in gone]
        selected = [*kept, *({"fieldPath": path} for path in new)]
    return {**stored, "selectedFields": selected, "stream": discovered}


def _added(stream: dict[str, Any]) -> dict[str, Any]:
    """A new stream in the best mode that needs nobody's choice."""
    request = {"name": stream["name"], "namespace": stream.get("namespace")}
    for mode in ("incremental_deduped_history", "incremental_append"):
        try:
            return configured_stream({**request, "syncMode": mode}, stream)
        except Problem:  # it lacks a cursor or a key of its own
            continue
    return configured_stream(request, stream)


def _key(change: dict[str, Any]) -> tuple[str, str]:
    return stream_key(change["streamDescriptor"])
