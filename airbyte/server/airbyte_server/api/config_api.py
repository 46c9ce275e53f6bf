"""The calls of the Config API (``POST /api/v1/…``) that tools and people still use."""

from __future__ import annotations

import time
import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import Field
from pydantic.alias_generators import to_camel
from sqlalchemy.orm import Session

from airbyte_server.api import config_state
from airbyte_server.api.config_state import ConnectionId
from airbyte_server.api.public import health
from airbyte_server.api.requests import Body, ServicesDep, SessionDep, authenticate, existing, existing_actor
from airbyte_server.catalog import SYNC_MODES, configured_stream
from airbyte_server.database import Attempt, Connection, Job
from airbyte_server.errors import not_implemented
from airbyte_server.replication.logs import attempt_log_path, last_lines
from airbyte_server.replication.progress import aggregate, totals
from airbyte_server.schema_changes import is_breaking
from airbyte_server.schema_check import connection_diff
from airbyte_server.services import Services

public_router = APIRouter(tags=["config api"])
router = APIRouter(tags=["config api"], dependencies=[Depends(authenticate)])


class SourceId(Body):
    source_id: uuid.UUID


class DestinationId(Body):
    destination_id: uuid.UUID


class JobId(Body):
    id: int


class DiscoverBody(Body):
    source_id: uuid.UUID
    connection_id: uuid.UUID | None = None
    # The one name of the Config API in snake case.
    disable_cache: Annotated[bool, Field(alias="disable_cache")] = False


@public_router.get("/health")
def get_health(services: ServicesDep) -> dict[str, bool]:
    health.get_health(services)
    return {"available": True}


@router.post("/sources/check_connection")
def check_source(body: SourceId, session: SessionDep, services: ServicesDep) -> dict[str, Any]:
    return _check(services, existing_actor(session, "source", body.source_id))


@router.post("/destinations/check_connection")
def check_destination(body: DestinationId, session: SessionDep, services: ServicesDep) -> dict[str, Any]:
    return _check(services, existing_actor(session, "destination", body.destination_id))


def _check(services: Services, actor: Any) -> dict[str, Any]:
    started = int(time.time())
    succeeded, message, log = services.connectors.check(
        services.definition_of(actor), services.vault.decrypt(actor.configuration)
    )
    return {
        "status": "succeeded" if succeeded else "failed",
        "message": message,
        "jobInfo": _job_info(f"check_connection_{actor.kind}", actor.definition_id, started, log),
    }


@router.post("/sources/discover_schema")
def discover_schema(body: DiscoverBody, session: SessionDep, services: ServicesDep) -> dict[str, Any]:
    source = existing_actor(session, "source", body.source_id)
    started = int(time.time())
    found = services.discover(session, source, ignore_cache=body.disable_cache)
    return {
        "catalogId": str(found.id),
        "catalog": {
            "streams": [
                {"stream": _camel_stream(stream), "config": _config(configured_stream(_plain(stream), stream))}
                for stream in found.catalog["streams"]
            ]
        },
        **(_compared(session, body.connection_id, found.catalog) if body.connection_id else {}),
        "jobInfo": _job_info("discover_schema", source.definition_id, started, []),
    }


def _compared(session: Session, connection_id: uuid.UUID, catalog: dict[str, Any]) -> dict[str, Any]:
    diff = connection_diff(existing(session, Connection, connection_id, "connection"), catalog)
    return {"catalogDiff": {"transforms": diff}, "breakingChange": is_breaking(diff)}


def _plain(stream: dict[str, Any]) -> dict[str, Any]:
    return {"name": stream["name"], "namespace": stream.get("namespace")}


def _job_info(config_type: str, definition_id: uuid.UUID, started: int, log: list[str]) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        "configType": config_type,
        "configId": str(definition_id),
        "createdAt": started,
        "endedAt": int(time.time()),
        # The command ran to an answer; what it found is in the answer itself.
        "succeeded": True,
        "logType": "formatted",
        "logs": {"logLines": log},
    }


@router.post("/connections/get")
def get_connection(body: ConnectionId, session: SessionDep) -> dict[str, Any]:
    connection = existing(session, Connection, body.connection_id, "connection")
    schedule_type = connection.schedule["scheduleType"]
    schedule_data = None
    if schedule_type == "cron":
        expression = connection.schedule["cronExpression"].removesuffix(" UTC")
        schedule_data = {"cron": {"cronExpression": expression, "cronTimeZone": "UTC"}}
    elif schedule_type == "basic":
        _, units, unit = connection.schedule["basicTiming"].split()
        schedule_data = {"basicSchedule": {"units": int(units), "timeUnit": unit.lower()}}
    return {
        "connectionId": str(connection.id),
        "name": connection.name,
        "sourceId": str(connection.source_id),
        "destinationId": str(connection.destination_id),
        "status": connection.status,
        "scheduleType": schedule_type,
        "scheduleData": schedule_data,
        "namespaceDefinition": connection.namespace_definition.replace("_", ""),
        "namespaceFormat": connection.namespace_format,
        "prefix": connection.prefix,
        "nonBreakingChangesPreference": connection.non_breaking_changes.replace("disable_connection", "disable"),
        "syncCatalog": {
            "streams": [
                {"stream": _camel_stream(stored["stream"]), "config": _config(stored)} for stored in connection.streams
            ]
        },
        "schemaChange": connection.schema_change,
        "breakingChange": connection.schema_change == "breaking",
        "catalogDiff": {"transforms": connection.schema_diff} if connection.schema_diff else None,
        "statusReason": connection.status_reason,
        "createdAt": int(connection.created_at.timestamp()),
    }


def _camel_stream(stream: dict[str, Any]) -> dict[str, Any]:
    return {to_camel(key): value for key, value in stream.items()}


def _config(stored: dict[str, Any]) -> dict[str, Any]:
    mode = SYNC_MODES[stored["syncMode"]]
    # The Config API has a word for replacing and deduplicating at once that the protocol lacks.
    destination_mode = "overwrite_dedup" if mode.truncates and mode.dedups else mode.destination
    return {
        "syncMode": mode.source,
        "destinationSyncMode": destination_mode,
        "cursorField": stored["cursorField"],
        "primaryKey": stored["primaryKey"],
        "aliasName": stored["name"],
        "selected": True,
        "fieldSelectionEnabled": stored["selectedFields"] is not None,
        "selectedFields": stored["selectedFields"] or [],
    }


@router.post("/jobs/get")
def get_job(body: JobId, session: SessionDep, services: ServicesDep) -> dict[str, Any]:
    """A job with its attempts, their numbers per stream (at most a second old while running) and their logs."""
    job = existing(session, Job, body.id, "job")
    aggregated = aggregate([attempt.stream_stats for attempt in job.attempts])
    return {
        "job": {
            "id": job.id,
            "configType": "reset_connection" if job.config_type == "clear" else job.config_type,
            "configId": str(job.connection_id),
            "createdAt": int(job.created_at.timestamp()),
            "updatedAt": int(job.updated_at.timestamp()),
            "startedAt": int(job.started_at.timestamp()) if job.started_at else None,
            "status": job.status,
            "enabledStreams": [_plain(stream) for stream in job.streams or []],
            "aggregatedStats": totals(aggregated),
            "streamAggregatedStats": aggregated,
        },
        "attempts": [
            {
                "attempt": _attempt(attempt),
                "logType": "formatted",
                "logs": {"logLines": last_lines(attempt_log_path(services.settings.data_dir, job.id, attempt.number))},
            }
            for attempt in job.attempts
        ],
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    numbers = totals(attempt.stream_stats)
    return {
        "id": attempt.number,
        "status": attempt.status,
        "createdAt": int(attempt.created_at.timestamp()),
        "updatedAt": int(attempt.updated_at.timestamp()),
        "endedAt": int(attempt.ended_at.timestamp()) if attempt.ended_at else None,
        "bytesSynced": numbers["bytesCommitted"],
        "recordsSynced": numbers["recordsCommitted"],
        "totalStats": numbers,
        "streamStats": attempt.stream_stats,
        "failureSummary": {"failures": attempt.failures, "partialSuccess": numbers["recordsCommitted"] > 0}
        if attempt.failures
        else None,
    }


router.include_router(config_state.router)


@router.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
def rest(path: str, request: Request) -> None:
    raise not_implemented(request.method, request.url.path)
