"""``/jobs``: start, watch and cancel syncs."""

from __future__ import annotations

import re
import uuid
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from sqlalchemy import select

from airbyte_server.api.requests import Body, JobIdPath, PageDep, ServicesDep, SessionDep, existing, id_list
from airbyte_server.database import UNFINISHED, Connection, Job
from airbyte_server.errors import bad_request, unprocessable
from airbyte_server.replication.progress import aggregate, totals
from airbyte_server.services import Services

router = APIRouter(prefix="/jobs", tags=["jobs"])

_ORDER = re.compile(r"([a-zA-Z0-9]+)\|(ASC|DESC)")
_ORDERED_BY = {"createdAt": Job.created_at, "updatedAt": Job.updated_at}
_JobType = Literal["sync", "reset", "refresh", "clear"]
JobStatus = Literal["pending", "queued", "running", "incomplete", "failed", "succeeded", "cancelled"]


class JobCreate(Body):
    connection_id: uuid.UUID
    job_type: _JobType


def timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_duration(duration: timedelta) -> str:
    """``PT8M3S``, in whole seconds."""
    minutes, seconds = divmod(max(0, int(duration.total_seconds())), 60)
    hours, minutes = divmod(minutes, 60)
    text = "".join(f"{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if number)
    return f"PT{text or '0S'}"


def response(job: Job) -> dict[str, Any]:
    """Rows and bytes are those committed so far, also while the job runs."""
    numbers = totals(aggregate([attempt.stream_stats for attempt in job.attempts]))
    finished = job.status not in UNFINISHED
    return {
        "jobId": job.id,
        "status": job.status,
        "jobType": "reset" if job.config_type == "clear" else job.config_type,
        "startTime": timestamp(job.created_at),
        "connectionId": str(job.connection_id),
        "lastUpdatedAt": timestamp(job.updated_at) if finished else None,
        "duration": None if job.status == "pending" else iso_duration(job.updated_at - job.created_at),
        "bytesSynced": numbers["bytesCommitted"],
        "rowsSynced": numbers["recordsCommitted"],
    }


@router.get("")
def list_jobs(
    session: SessionDep,
    page: PageDep,
    connection_id: Annotated[uuid.UUID | None, Query(alias="connectionId")] = None,
    workspace_ids: Annotated[list[str] | None, Query(alias="workspaceIds")] = None,
    job_type: Annotated[_JobType | None, Query(alias="jobType")] = None,
    status: JobStatus | None = None,
    created_from: Annotated[datetime | None, Query(alias="createdAtStart")] = None,
    created_to: Annotated[datetime | None, Query(alias="createdAtEnd")] = None,
    updated_from: Annotated[datetime | None, Query(alias="updatedAtStart")] = None,
    updated_to: Annotated[datetime | None, Query(alias="updatedAtEnd")] = None,
    order_by: Annotated[str, Query(alias="orderBy")] = "createdAt|ASC",
) -> dict[str, Any]:
    query = select(Job)
    if connection_id is not None:
        query = query.where(Job.connection_id == connection_id)
    if ids := id_list(workspace_ids):
        query = query.join(Connection).where(Connection.workspace_id.in_(ids))
    if job_type is not None:
        query = query.where(Job.config_type == ("clear" if job_type in ("reset", "clear") else job_type))
    if status is not None:
        query = query.where(Job.status == status)
    for column, start, end in ((Job.created_at, created_from, created_to), (Job.updated_at, updated_from, updated_to)):
        if start is not None:
            query = query.where(column >= start)
        if end is not None:
            query = query.where(column <= end)
    order = _ORDER.fullmatch(order_by)
    if order is None or order[1] not in _ORDERED_BY:
        raise bad_request(
            f"orderBy {order_by!r} must be createdAt|ASC, createdAt|DESC, updatedAt|ASC or updatedAt|DESC"
        )
    column = _ORDERED_BY[order[1]]
    if order[2] == "ASC":
        query = query.order_by(column.asc(), Job.id.asc())
    else:
        query = query.order_by(column.desc(), Job.id.desc())
    return page.answer([response(job) for job in session.scalars(page.slice(query))])


@router.post("")
def create_job(body: JobCreate, services: ServicesDep) -> dict[str, Any]:
    if body.job_type == "refresh":
        raise unprocessable("Refreshes are not supported in the public API")
    job_id = services.orchestrator.create(body.connection_id, "sync" if body.job_type == "sync" else "clear")
    return _current(services, job_id)


@router.get("/{job_id}")
def get_job(job_id: JobIdPath, session: SessionDep) -> dict[str, Any]:
    return response(existing(session, Job, job_id, "job"))


@router.delete("/{job_id}")
def cancel_job(job_id: JobIdPath, services: ServicesDep) -> dict[str, Any]:
    services.orchestrator.cancel(job_id)
    return _current(services, job_id)


def _current(services: Services, job_id: int) -> dict[str, Any]:
    with services.database.session() as session:
        return response(session.get_one(Job, job_id))
