"""``/connections/…`` and ``/web_backend/connections/…``: connections, and the jobs that are started by naming one."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy import select

from airbyte_server.api.config import actors
from airbyte_server.api.config.catalog import Catalog, catalog_stream, public_streams, stream_configuration
from airbyte_server.api.config.jobs import current_job
from airbyte_server.api.config.workspaces import WorkspaceId
from airbyte_server.api.public import connections as public
from airbyte_server.api.requests import Body, ServicesDep, SessionDep, existing
from airbyte_server.database import UNFINISHED, Connection, Job, Workspace
from airbyte_server.errors import bad_request

router = APIRouter()

# Where the two APIs have different words for the same: the Config API's first.
_NAMESPACES = {"customformat": "custom_format"}
_BEHAVIORS = {"disable": "disable_connection"}


class ConnectionId(Body):
    connection_id: uuid.UUID


class BasicSchedule(Body):
    time_unit: Literal["minutes", "hours", "days", "weeks"]
    units: Annotated[int, Field(ge=1, le=100_000)]


class CronSchedule(Body):
    cron_expression: str
    cron_time_zone: str = "UTC"


class ScheduleData(Body):
    basic_schedule: BasicSchedule | None = None
    cron: CronSchedule | None = None


class ConnectionUpdate(ConnectionId):
    name: str | None = None
    status: Literal["active", "inactive", "deprecated"] | None = None
    prefix: str | None = None
    namespace_definition: Literal["source", "destination", "customformat"] | None = None
    namespace_format: str | None = None
    schedule_type: Literal["manual", "basic", "cron"] | None = None
    schedule_data: ScheduleData | None = None
    sync_catalog: Catalog | None = None
    non_breaking_changes_preference: Literal["ignore", "disable", "propagate_columns", "propagate_fully"] | None = None
    tags: list[public.TagReference] | None = None


def response(connection: Connection) -> dict[str, Any]:
    """A ConnectionRead."""
    behavior = connection.non_breaking_changes
    return {
        "connectionId": str(connection.id),
        "name": connection.name,
        "sourceId": str(connection.source_id),
        "destinationId": str(connection.destination_id),
        "workspaceId": str(connection.workspace_id),
        "status": "deprecated" if connection.deleted_at else connection.status,
        "scheduleType": connection.schedule["scheduleType"],
        "scheduleData": _schedule_data(connection.schedule),
        "namespaceDefinition": connection.namespace_definition.replace("_", ""),
        "namespaceFormat": connection.namespace_format,
        "prefix": connection.prefix,
        "nonBreakingChangesPreference": "disable" if behavior == "disable_connection" else behavior,
        "syncCatalog": {
            "streams": [
                {"stream": catalog_stream(stored["stream"]), "config": stream_configuration(stored)}
                for stored in connection.streams
            ]
        },
        "tags": [public.tag_response(tag) for tag in connection.tags],
        "schemaChange": connection.schema_change,
        "breakingChange": connection.schema_change == "breaking",
        "catalogDiff": {"transforms": connection.schema_diff} if connection.schema_diff else None,
        "statusReason": connection.status_reason,
        "createdAt": int(connection.created_at.timestamp()),
    }


def _schedule_data(schedule: dict[str, Any]) -> dict[str, Any] | None:
    if schedule["scheduleType"] == "cron":
        expression = schedule["cronExpression"].removesuffix(" UTC")
        return {"cron": {"cronExpression": expression, "cronTimeZone": "UTC"}}
    if schedule["scheduleType"] == "basic":
        _, units, unit = schedule["basicTiming"].split()
        return {"basicSchedule": {"units": int(units), "timeUnit": unit.lower()}}
    return None


@router.post("/connections/list")
def list_connections(body: WorkspaceId, session: SessionDep) -> dict[str, Any]:
    existing(session, Workspace, body.workspace_id, "workspace")
    of_workspace = select(Connection).where(
        Connection.workspace_id == body.workspace_id, Connection.deleted_at.is_(None)
    )
    connections = session.scalars(of_workspace.order_by(Connection.created_at, Connection.id))
    return {"connections": [response(connection) for connection in connections]}


@router.post("/connections/get")
def get_connection(body: ConnectionId, session: SessionDep) -> dict[str, Any]:
    return response(existing(session, Connection, body.connection_id, "connection"))


@router.post("/connections/update")
def update_connection(body: ConnectionUpdate, session: SessionDep, services: ServicesDep) -> dict[str, Any]:
    """Change what is given; ``deprecated`` deletes. A 400 problem tells what cannot be, and nothing is stored."""
    return response(_update(body, session, services))


@router.post("/connections/sync")
def sync_connection(body: ConnectionId, services: ServicesDep) -> dict[str, Any]:
    return current_job(services, services.orchestrator.create(body.connection_id, "sync"))


# The platform's older and newer word for the same.
@router.post("/connections/reset")
@router.post("/connections/clear")
def clear_connection(body: ConnectionId, services: ServicesDep) -> dict[str, Any]:
    return current_job(services, services.orchestrator.create(body.connection_id, "clear"))


@router.post("/web_backend/connections/get")
def get_web_backend_connection(body: ConnectionId, session: SessionDep, services: ServicesDep) -> dict[str, Any]:
    return _web_backend(existing(session, Connection, body.connection_id, "connection"), session, services)


@router.post("/web_backend/connections/update")
def update_web_backend_connection(body: ConnectionUpdate, session: SessionDep, services: ServicesDep) -> dict[str, Any]:
    return _web_backend(_update(body, session, services), session, services)


def _web_backend(connection: Connection, session: SessionDep, services: ServicesDep) -> dict[str, Any]:
    """A WebBackendConnectionRead: the connection with its ends and its latest sync."""
    syncs = select(Job).where(Job.connection_id == connection.id, Job.config_type == "sync")
    latest = session.scalar(syncs.order_by(Job.id.desc()).limit(1))
    return {
        **response(connection),
        "source": actors.response(services, connection.source),
        "destination": actors.response(services, connection.destination),
        "operations": [],
        "isSyncing": latest is not None and latest.status in UNFINISHED,
        "latestSyncJobStatus": latest.status if latest else None,
        "latestSyncJobCreatedAt": int(latest.created_at.timestamp()) if latest else None,
    }


def _update(body: ConnectionUpdate, session: SessionDep, services: ServicesDep) -> Connection:
    connection = existing(session, Connection, body.connection_id, "connection")
    if body.status == "deprecated":
        public.delete_connection(connection.id, session)
        return connection
    namespace, behavior = body.namespace_definition, body.non_breaking_changes_preference
    change = {
        "name": body.name,
        "status": body.status,
        "prefix": body.prefix,
        "namespaceDefinition": _NAMESPACES.get(namespace or "", namespace),
        "namespaceFormat": body.namespace_format,
        "schedule": _schedule(body),
        "configurations": {"streams": public_streams(body.sync_catalog)} if body.sync_catalog else None,
        "nonBreakingSchemaUpdatesBehavior": _BEHAVIORS.get(behavior or "", behavior),
    }
    patch = public.ConnectionPatch.model_validate(change)
    patch.tags = body.tags
    public.apply(patch, connection, session, services)
    return connection


def _schedule(body: ConnectionUpdate) -> dict[str, Any] | None:
    """The public API's words for ``scheduleType`` and ``scheduleData``; ``None`` when they are left out."""
    data = body.schedule_data or ScheduleData()
    if body.schedule_type is None:
        return None
    if body.schedule_type == "basic":
        if data.basic_schedule is None:
            raise bad_request("scheduleType basic needs scheduleData.basicSchedule with timeUnit and units")
        timing = f"Every {data.basic_schedule.units} {data.basic_schedule.time_unit.upper()}"
        return {"scheduleType": "basic", "basicTiming": timing}
    if body.schedule_type == "cron":
        if data.cron is None:
            raise bad_request("scheduleType cron needs scheduleData.cron with cronExpression and cronTimeZone")
        if data.cron.cron_time_zone != "UTC":
            raise bad_request(f"cronTimeZone {data.cron.cron_time_zone!r} is not supported by this server; use UTC")
        return {"scheduleType": "cron", "cronExpression": data.cron.cron_expression}
    return {"scheduleType": "manual"}
