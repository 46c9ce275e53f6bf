"""What a person sees who opens the server's address: connections, their streams and the last jobs, on one page."""

from __future__ import annotations

import base64
import binascii
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, StrictUndefined
from sqlalchemy import select

from airbyte_server.api.public import jobs
from airbyte_server.api.requests import ServicesDep, SessionDep
from airbyte_server.database import Connection, Job
from airbyte_server.replication.progress import aggregate
from airbyte_server.services import Services

router = APIRouter()

_JOBS_SHOWN = 10
_template = Environment(autoescape=True, undefined=StrictUndefined).from_string(
    (files(__name__) / "overview.html").read_text()
)


@router.get("/", response_class=HTMLResponse)
def overview(request: Request, session: SessionDep, services: ServicesDep) -> Response:
    if not _may_see(request, services):
        return Response("Log in with the client id and secret.", 401, {"WWW-Authenticate": 'Basic realm="Airbyte"'})
    connections = session.scalars(
        select(Connection).where(Connection.deleted_at.is_(None)).order_by(Connection.name)
    ).all()
    html = _template.render(
        connections=[_shown(connection, _last_jobs(session, connection)) for connection in connections]
    )
    return HTMLResponse(html, headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"})


def _may_see(request: Request, services: Services) -> bool:
    """The page shows no secrets, so on a loopback address it is open; elsewhere it wants the client's credentials."""
    if services.settings.loopback_only:
        return True
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    try:
        client_id, _, client_secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return False
    return scheme.lower() == "basic" and services.authenticator.credentials_match(client_id, client_secret)


def _last_jobs(session: Any, connection: Connection) -> list[Job]:
    query = select(Job).where(Job.connection_id == connection.id).order_by(Job.id.desc()).limit(_JOBS_SHOWN)
    return list(session.scalars(query))


def _shown(connection: Connection, last_jobs: list[Job]) -> dict[str, Any]:
    numbers: dict[tuple[str, str], dict[str, Any]] = {}
    if last_jobs:
        for entry in aggregate([attempt.stream_stats for attempt in last_jobs[0].attempts]):
            numbers[(entry["streamNamespace"] or "", entry["streamName"])] = entry
    streams = []
    for stream in connection.streams:
        counted = numbers.get((stream["namespace"] or "", stream["name"]))
        streams.append(
            {
                "name": stream["name"],
                "mode": stream["syncMode"].replace("_", " "),
                "status": counted["status"] if counted else "–",
                "emitted": counted["recordsEmitted"] if counted else 0,
                "committed": counted["recordsCommitted"] if counted else 0,
            }
        )
    shown_jobs = []
    for job in last_jobs:
        failures = job.attempts[-1].failures if job.attempts else []
        message = failures[0]["externalMessage"] if failures else ""
        shown_jobs.append({**jobs.response(job), "attempts": len(job.attempts), "message": message})
    return {
        "name": connection.name,
        "source": connection.source.name,
        "destination": connection.destination.name,
        "status": connection.status,
        "schedule": connection.schedule.get("cronExpression") or connection.schedule.get("basicTiming") or "manual",
        "streams": streams,
        "jobs": shown_jobs,
    }
