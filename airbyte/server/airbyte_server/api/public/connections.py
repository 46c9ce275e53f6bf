"""``/connections``: which streams go from a source to a destination, and how."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from sqlalchemy import select
from sqlalchemy.orm import Session

from airbyte_server.api.public.tags import response as tag_response
from airbyte_server.api.requests import (
    Body,
    PageDep,
    ServicesDep,
    SessionDep,
    existing,
    existing_actor,
    id_list,
)
from airbyte_server.catalog import SYNC_MODES, default_streams, select_streams, stream_key
from airbyte_server.database import UNFINISHED, Connection, Job, Tag, now
from airbyte_server.errors import bad_request, state_conflict
from airbyte_server.replication.plan import drop_state
from airbyte_server.scheduler import parse_schedule
from airbyte_server.schema_check import stream_names
from airbyte_server.services import Services

router = APIRouter(prefix="/connections", tags=["connections"])

_Namespace = Literal["source", "destination", "custom_format"]
_Behavior = Literal["ignore", "disable_connection", "propagate_columns", "propagate_fully"]


class SelectedField(Body):
    field_path: list[str] | None = None


class StreamBody(Body):
    name: str
    namespace: str | None = None
    sync_mode: str | None = None
    cursor_field: list[str] | None = None
    primary_key: list[list[str]] | None = None
    selected_fields: list[SelectedField] | None = None
    mappers: list[Any] | None = None
    include_files: bool | None = None
    destination_object_name: str | None = None


class Streams(Body):
    streams: list[StreamBody] | None = None


class Schedule(Body):
    schedule_type: str
    cron_expression: str | None = None
    basic_timing: str | None = None


class TagReference(Body):
    tag_id: uuid.UUID


class ConnectionPatch(Body):
    name: str | None = None
    configurations: Streams | None = None
    schedule: Schedule | None = None
    status: Literal["active", "inactive"] | None = None
    prefix: str | None = None
    namespace_definition: _Namespace | None = None
    namespace_format: str | None = None
    non_breaking_schema_updates_behavior: _Behavior | None = None
    tags: list[TagReference] | None = None


class ConnectionCreate(ConnectionPatch):
    source_id: uuid.UUID
    destination_id: uuid.UUID


def stream_response(stored: dict[str, Any]) -> dict[str, Any]:
    """A stored stream as the public API shows it, without the discovered schema."""
    shown = {key: value for key, value in stored.items() if key != "stream"}
    return {**shown, "mappers": [], "selectedFields": stored["selectedFields"] or []}


def response(connection: Connection) -> dict[str, Any]:
    return {
        "connectionId": str(connection.id),
        "name": connection.name,
        "sourceId": str(connection.source_id),
        "destinationId": str(connection.destination_id),
        "workspaceId": str(connection.workspace_id),
        "status": "deprecated" if connection.deleted_at else connection.status,
        "schedule": connection.schedule,
        "dataResidency": "auto",
        "configurations": {"streams": [stream_response(stream) for stream in connection.streams]},
        "createdAt": int(connection.created_at.timestamp()),
        "tags": [tag_response(tag) for tag in connection.tags],
        "prefix": connection.prefix,
        "namespaceDefinition": connection.namespace_definition,
        "namespaceFormat": connection.namespace_format,
        "nonBreakingSchemaUpdatesBehavior": connection.non_breaking_changes,
    }


@router.get("")
def list_connections(
    session: SessionDep,
    page: PageDep,
    workspace_ids: Annotated[list[str] | None, Query(alias="workspaceIds")] = None,
    tag_ids: Annotated[list[str] | None, Query(alias="tagIds")] = None,
    include_deleted: Annotated[bool, Query(alias="includeDeleted")] = False,
) -> dict[str, Any]:
    query = select(Connection).order_by(Connection.created_at, Connection.id)
    if ids := id_list(workspace_ids):
        query = query.where(Connection.workspace_id.in_(ids))
    if ids := id_list(tag_ids):
        query = query.where(Connection.tags.any(Tag.id.in_(ids)))
    if not include_deleted:
        query = query.where(Connection.deleted_at.is_(None))
    return page.answer([response(connection) for connection in session.scalars(page.slice(query))])


@router.post("")
def create_connection(body: ConnectionCreate, session: SessionDep, services: ServicesDep) -> dict[str, Any]:
    source = existing_actor(session, "source", body.source_id)
    destination = existing_actor(session, "destination", body.destination_id)
    if source.workspace_id != destination.workspace_id:
        raise bad_request("the source and the destination belong to different workspaces")
    connection = Connection(
        workspace_id=source.workspace_id,
        source_id=source.id,
        destination_id=destination.id,
        source=source,
        destination=destination,
        name=f"{source.name} → {destination.name}",
        status="active",
        schedule=parse_schedule(None),
        namespace_definition="destination",
        namespace_format=None,
        prefix="",
        non_breaking_changes="ignore",
        streams=[],
    )
    apply(body, connection, session, services)
    if body.configurations is None or body.configurations.streams is None:
        catalog = services.discover(session, source).catalog
        _choose_streams(connection, default_streams(catalog), catalog)
    session.add(connection)
    session.flush()
    return response(connection)


@router.get("/{connection_id}")
def get_connection(connection_id: uuid.UUID, session: SessionDep) -> dict[str, Any]:
    return response(existing(session, Connection, connection_id, "connection"))


@router.patch("/{connection_id}")
def patch_connection(
    connection_id: uuid.UUID, body: ConnectionPatch, session: SessionDep, services: ServicesDep
) -> dict[str, Any]:
    connection = existing(session, Connection, connection_id, "connection")
    apply(body, connection, session, services)
    return response(connection)


@router.delete("/{connection_id}", status_code=204)
def delete_connection(connection_id: uuid.UUID, session: SessionDep) -> None:
    connection = existing(session, Connection, connection_id, "connection")
    busy = select(Job.id).where(Job.connection_id == connection_id, Job.status.in_(UNFINISHED))
    if job_id := session.scalar(busy):
        raise state_conflict(f"Job {job_id} of the connection is running: cancel it first.")
    connection.deleted_at = now()


def apply(body: ConnectionPatch, connection: Connection, session: Session, services: Services) -> None:
    """Change what the client gave; raise a 400 problem before anything is stored."""
    if body.name is not None:
        connection.name = body.name
    if body.status is not None:
        if body.status != connection.status:
            connection.scheduled_since = now()
        connection.status, connection.status_reason = body.status, None
    if body.prefix is not None:
        connection.prefix = body.prefix
    if body.schedule is not None:
        connection.schedule, connection.scheduled_since = parse_schedule(body.schedule.model_dump(by_alias=True)), now()
    if body.namespace_definition is not None:
        connection.namespace_definition = body.namespace_definition
    if body.namespace_format is not None:
        connection.namespace_format = body.namespace_format
    if connection.namespace_definition == "custom_format" and not connection.namespace_format:
        raise bad_request("namespaceFormat is required with namespaceDefinition custom_format")
    if body.non_breaking_schema_updates_behavior is not None:
        connection.non_breaking_changes = body.non_breaking_schema_updates_behavior
    if body.tags is not None:
        connection.tags = [existing(session, Tag, reference.tag_id, "tag") for reference in body.tags]
    if body.configurations is not None and body.configurations.streams is not None:
        requested = [stream.model_dump(by_alias=True) for stream in body.configurations.streams]
        catalog = services.discover(session, connection.source).catalog
        new = select_streams(requested, catalog)
        _forget_unfitting_state(session, connection, new)
        _choose_streams(connection, new, catalog)


def _choose_streams(connection: Connection, streams: list[dict[str, Any]], catalog: dict[str, Any]) -> None:
    """Whoever chooses streams has seen the source's schema as it is now."""
    connection.streams = streams
    connection.known_streams = stream_names(catalog)
    connection.schema_change = "no_change"


def _forget_unfitting_state(session: Session, connection: Connection, new: list[dict[str, Any]]) -> None:
    """A stream that goes from full refresh to incremental, or the reverse, begins anew."""
    before = {stream_key(stream): SYNC_MODES[stream["syncMode"]].source for stream in connection.streams}
    for stream in new:
        key = stream_key(stream)
        if before.get(key, "") not in ("", SYNC_MODES[stream["syncMode"]].source):
            drop_state(session, connection.id, key)
