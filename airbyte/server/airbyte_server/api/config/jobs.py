"""``/jobs/…``: jobs with their attempts."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy import func, select

from airbyte_server.api.config.job_info import attempt_response, job_info, job_response
from airbyte_server.api.public.jobs import JobStatus
from airbyte_server.api.requests import MAX_BIGINT, Body, ServicesDep, SessionDep, existing
from airbyte_server.database import Connection, Job
from airbyte_server.services import Services

router = APIRouter(prefix="/jobs")

# The platform's words for a job's kind, and ours; jobs of other kinds do not exist here.
_KINDS = {"sync": "sync", "reset_connection": "clear", "clear": "clear", "refresh": "refresh"}


class JobId(Body):
    id: Annotated[int, Field(ge=0, le=MAX_BIGINT)]


class Pagination(Body):
    page_size: Annotated[int, Field(ge=1, le=1000)] = 20
    row_offset: Annotated[int, Field(ge=0, le=MAX_BIGINT)] = 0


class JobList(Body):
    config_types: list[str]
    # The connection, as text on the platform.
    config_id: uuid.UUID | None = None
    pagination: Pagination = Field(default_factory=Pagination)
    statuses: list[JobStatus] | None = None


@router.post("/get")
def get_job(body: JobId, session: SessionDep, services: ServicesDep) -> dict[str, Any]:
    return job_info(services, existing(session, Job, body.id, "job"))


@router.post("/get_without_logs")
def get_job_without_logs(body: JobId, session: SessionDep, services: ServicesDep) -> dict[str, Any]:
    return job_info(services, existing(session, Job, body.id, "job"), logs=False)


@router.post("/get_light")
def get_job_light(body: JobId, session: SessionDep) -> dict[str, Any]:
    return {"job": job_response(existing(session, Job, body.id, "job"))}


@router.post("/list")
def list_jobs(body: JobList, session: SessionDep) -> dict[str, Any]:
    """A connection's jobs, or all, the newest first."""
    kinds = {_KINDS[kind] for kind in body.config_types if kind in _KINDS}
    query = select(Job).where(Job.config_type.in_(kinds))
    if body.config_id is not None:
        existing(session, Connection, body.config_id, "connection")
        query = query.where(Job.connection_id == body.config_id)
    if body.statuses:
        query = query.where(Job.status.in_(body.statuses))
    total = session.scalar(select(func.count()).select_from(query.subquery()))
    page = query.order_by(Job.created_at.desc(), Job.id.desc())
    page = page.limit(body.pagination.page_size).offset(body.pagination.row_offset)
    return {
        "jobs": [
            {"job": job_response(job), "attempts": [attempt_response(attempt) for attempt in job.attempts]}
            for job in session.scalars(page)
        ],
        "totalJobCount": total,
    }


@router.post("/cancel")
def cancel_job(body: JobId, services: ServicesDep) -> dict[str, Any]:
    services.orchestrator.cancel(body.id)
    return current_job(services, body.id)


def current_job(services: Services, job_id: int) -> dict[str, Any]:
    with services.database.session() as session:
        return job_info(services, session.get_one(Job, job_id))
