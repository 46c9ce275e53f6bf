"""``…/replication``: which streams and fields are replicated, how, and why."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from airbyte_server.catalog import SYNC_MODES, stream_key
from airbyte_server.database import Connection, DiscoveredCatalog
from airbyte_server.ui.connection_page import ConnectionPage
from airbyte_server.ui.formats import MODES, field_type
from airbyte_server.ui.page import PageDep, PageRoute

router = APIRouter(prefix="/workspaces/{workspace_id}/connections/{connection_id}", route_class=PageRoute)

_TRANSFORMS = {
    "add_stream": ("New stream", "good"),
    "remove_stream": ("Stream gone", "bad"),
    "add_field": ("New field", "good"),
    "remove_field": ("Field gone", "bad"),
    "update_field_schema": ("Type changed", "warn"),
    "update_primary_key": ("Primary key changed", "warn"),
}


@dataclass(frozen=True)
class Field:
    name: str
    type: str
    selected: bool
    cursor: bool
    key: bool


@dataclass(frozen=True)
class Stream:
    """``read`` and ``write`` are empty for a stream that is not replicated."""

    name: str
    namespace: str
    read: str
    write: str
    cursor: str
    key: str
    reason: str
    fields: list[Field]

    @property
    def selected(self) -> int:
        return sum(field.selected for field in self.fields)


@dataclass(frozen=True)
class SchemaChange:
    """One line of the difference between the connection's schema and the source's."""

    what: str
    tone: str
    where: str
    detail: str
    breaking: bool


@router.get("/replication")
def replication(
    workspace_id: uuid.UUID, connection_id: uuid.UUID, page: PageDep, q: str = "", show: str = ""
) -> HTMLResponse:
    shown = ConnectionPage(page, workspace_id, connection_id)
    connection = shown.connection
    declaration = shown.declaration()
    reasons = declaration.reasons() if declaration else {}
    discovered = page.session.get(DiscoveredCatalog, connection.source_id)
    enabled = [_enabled(stream, reasons.get(stream_key(stream), "")) for stream in connection.streams]
    disabled = _disabled(connection, discovered)
    streams = {"": enabled + disabled, "enabled": enabled, "disabled": disabled}.get(show, enabled)
    needle = q.lower().strip()
    return shown.render(
        "replication.html",
        "replication",
        streams=[
            one for one in streams if needle in one.name.lower() or any(needle in f.name.lower() for f in one.fields)
        ],
        totals={"": len(enabled) + len(disabled), "enabled": len(enabled), "disabled": len(disabled)},
        discovered=discovered,
        changes=schema_changes(connection),
        declaration=declaration,
        given={"q": q, "show": show},
    )


def _enabled(stored: dict[str, Any], reason: str) -> Stream:
    mode = SYNC_MODES[stored["syncMode"]]
    selected = stored["selectedFields"]
    names = None if selected is None else {field["fieldPath"][0] for field in selected}
    cursor = stored["cursorField"] if mode.incremental else []
    keys = [path[0] for path in stored["primaryKey"]] if mode.dedups else []
    properties = stored["stream"]["json_schema"].get("properties") or {}
    read, write = MODES[stored["syncMode"]]
    return Stream(
        name=stored["name"],
        namespace=stored.get("namespace") or "",
        read=read,
        write=write,
        cursor=".".join(cursor),
        key=", ".join(".".join(path) for path in stored["primaryKey"]) if mode.dedups else "",
        reason=reason,
        fields=[
            Field(name, field_type(schema), names is None or name in names, [name] == cursor[:1], name in keys)
            for name, schema in properties.items()
        ],
    )


def _disabled(connection: Connection, discovered: DiscoveredCatalog | None) -> list[Stream]:
    """What the source had when it was last discovered and the connection does not replicate."""
    chosen = {stream_key(stream) for stream in connection.streams}
    return [
        Stream(
            name=stream["name"],
            namespace=stream.get("namespace") or "",
            read="",
            write="",
            cursor="",
            key="",
            reason="",
            fields=[
                Field(name, field_type(schema), selected=False, cursor=False, key=False)
                for name, schema in (stream["json_schema"].get("properties") or {}).items()
            ],
        )
        for stream in (discovered.catalog["streams"] if discovered else [])
        if stream_key(stream) not in chosen
    ]


def schema_changes(connection: Connection) -> list[SchemaChange]:
    """The stored difference, a line for each stream and field."""
    lines = []
    for change in connection.schema_diff or []:
        name = change["streamDescriptor"]["name"]
        if change["transformType"] != "update_stream":
            what, tone = _TRANSFORMS[change["transformType"]]
            lines.append(SchemaChange(what, tone, name, "", False))
            continue
        update = change["updateStream"]
        for field in update.get("fieldTransforms", []):
            what, tone = _TRANSFORMS[field["transformType"]]
            where = f"{name}.{'.'.join(field['fieldName'])}"
            lines.append(SchemaChange(what, tone, where, _field_detail(field), field["breaking"]))
        for one in update.get("attributeTransforms", []):
            keys = one["updatePrimaryKey"]
            detail = f"{_keys(keys['oldPrimaryKey'])} → {_keys(keys['newPrimaryKey'])}"
            lines.append(SchemaChange(*_TRANSFORMS["update_primary_key"], name, detail, one["breaking"]))
    return lines


def _field_detail(field: dict[str, Any]) -> str:
    if added := field.get("addField"):
        return field_type(added["schema"])
    if update := field.get("updateFieldSchema"):
        return f"{field_type(update['oldSchema'])} → {field_type(update['newSchema'])}"
    return ""


def _keys(paths: list[list[str]]) -> str:
    return ", ".join(".".join(path) for path in paths) or "none"
