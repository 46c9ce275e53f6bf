"""The Config API's calls that start a job for some of a connection's streams: clear, reset and refresh."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field

from airbyte_server.api.config.jobs import current_job
from airbyte_server.api.requests import Body, ServicesDep

router = APIRouter(prefix="/connections")


class StreamName(Body):
    stream_name: str
    stream_namespace: str | None = None


class ConnectionStreams(Body):
    connection_id: uuid.UUID
    streams: Annotated[list[StreamName], Field(min_length=1)]


class Refresh(Body):
    connection_id: uuid.UUID
    streams: list[StreamName] | None = None
    refresh_mode: Literal["Truncate", "Merge"] = "Truncate"


# The platform's older and newer word for the same.
@router.post("/reset/stream")
@router.post("/clear/stream")
def clear_streams(body: ConnectionStreams, services: ServicesDep) -> dict[str, Any]:
    """Empty the given streams and forget their state; the others stay."""
    job_id = services.orchestrator.create(body.connection_id, "clear", scope=_scope(body.streams))
    return current_job(services, job_id)


@router.post("/refresh")
def refresh(body: Refresh, services: ServicesDep) -> dict[str, Any]:
    """Read streams again from the beginning, all when none is given, and sync the others as usual."""
    scope, mode = _scope(body.streams or []), body.refresh_mode.lower()
    job_id = services.orchestrator.create(body.connection_id, "refresh", scope=scope or None, refresh_mode=mode)
    return current_job(services, job_id)


def _scope(streams: list[StreamName]) -> list[dict[str, Any]]:
    return [{"name": stream.stream_name, "namespace": stream.stream_namespace} for stream in streams]
