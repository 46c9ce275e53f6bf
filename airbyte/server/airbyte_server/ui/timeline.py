"""``…/timeline`` and ``/jobs``: what happened when, to one connection or to all."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse
from sqlalchemy import select
from sqlalchemy.orm import Session, contains_eager

from airbyte_server.api.requests import MAX_BIGINT
from airbyte_server.database import Connection, ConnectionEvent, Job
from airbyte_server.schema_changes import describe
from airbyte_server.ui.connection_page import ConnectionPage
from airbyte_server.ui.formats import MODES, schedule
from airbyte_server.ui.page import PageDep, PageRoute
from airbyte_server.ui.runs import KINDS, STATUSES, Run, jobs_query, run_of

router = APIRouter(prefix="/workspaces/{workspace_id}", route_class=PageRoute)

_Status = Literal["", "pending", "running", "incomplete", "succeeded", "failed", "cancelled"]
_PAGE = 25
_JOBS_PAGE = 50
_EVENTS = {
    "enabled": "Connection enabled",
    "disabled": "Connection disabled",
    "settings": "Settings changed",
    "streams": "Streams changed",
    "schema": "Source schema changed",
}
_SETTINGS = {
    "name": "name",
    "schedule": "schedule",
    "namespace_definition": "namespace",
    "namespace_format": "namespace format",
    "prefix": "prefix",
    "non_breaking_changes": "schema changes",
}


@dataclass(frozen=True)
class Entry:
    """A job (``run``) or an event with what it changed."""

    at: datetime
    run: Run | None = None
    title: str = ""
    tone: str = "idle"
    changes: tuple[str, ...] = ()


@router.get("/connections/{connection_id}/timeline")
def timeline(
    workspace_id: uuid.UUID,
    connection_id: uuid.UUID,
    page: PageDep,
    kind: Literal["", "sync", "refresh", "clear", "events"] = "",
    status: _Status = "",
    before: datetime | None = None,
) -> HTMLResponse:
    shown = ConnectionPage(page, workspace_id, connection_id)
    entries = _jobs(page.session, connection_id, kind, status, before)
    if not status and kind in ("", "events"):
        entries += _events(page.session, connection_id, before)
    entries.sort(key=lambda entry: entry.at, reverse=True)
    more = entries[_PAGE - 1].at.isoformat() if len(entries) > _PAGE else ""
    return shown.render(
        "timeline.html",
        "timeline",
        entries=entries[:_PAGE],
        kinds={**KINDS, "events": "Changes"},
        statuses=STATUSES,
        given={"kind": kind, "status": status},
        more=more,
        later=before is not None,
        busy=shown.latest is not None and not shown.latest.is_over,
    )


def _jobs(session: Session, connection_id: uuid.UUID, kind: str, status: str, before: datetime | None) -> list[Entry]:
    if kind == "events":
        return []
    query = jobs_query().where(Job.connection_id == connection_id).limit(_PAGE + 1)
    if kind:
        query = query.where(Job.config_type == kind)
    if status:
        query = query.where(Job.status == status)
    if before is not None:
        query = query.where(Job.created_at < before)
    return [Entry(job.created_at, run_of(job)) for job in session.scalars(query)]


def _events(session: Session, connection_id: uuid.UUID, before: datetime | None) -> list[Entry]:
    query = select(ConnectionEvent).where(ConnectionEvent.connection_id == connection_id)
    if before is not None:
        query = query.where(ConnectionEvent.created_at < before)
    return [_event(event) for event in session.scalars(query.order_by(ConnectionEvent.id.desc()).limit(_PAGE + 1))]


def _event(event: ConnectionEvent) -> Entry:
    detail, tone = event.detail, "idle"
    changes: list[str] = []
    if event.kind == "settings":
        changes = [
            f"{_SETTINGS[name]}: {_value(name, one['before'])} → {_value(name, one['after'])}"
            for name, one in detail.items()
        ]
    elif event.kind == "streams":
        changes = _stream_changes(detail["before"], detail["after"])
    elif event.kind == "schema":
        changes, tone = [describe(detail["diff"])], "bad" if detail["change"] == "breaking" else "warn"
    elif event.kind == "disabled" and detail["reason"]:
        changes, tone = [str(detail["reason"]).replace("_", " ").capitalize()], "bad"
    return Entry(event.created_at, None, _EVENTS[event.kind], tone, tuple(changes))


def _value(name: str, value: Any) -> str:
    return schedule(value) if name == "schedule" else str(value or "none")


def _stream_changes(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[str]:
    old, new = ({(one.get("namespace"), one["name"]): one for one in streams} for streams in (before, after))
    lines = [f"{key[1]}: enabled, {' | '.join(MODES[new[key]['syncMode']])}" for key in new if key not in old]
    lines += [f"{key[1]}: disabled" for key in old if key not in new]
    for key in (key for key in new if key in old):
        was, now = old[key], new[key]
        if was["syncMode"] != now["syncMode"]:
            lines.append(
                f"{key[1]}: sync mode {' | '.join(MODES[was['syncMode']])} → {' | '.join(MODES[now['syncMode']])}"
            )
        for name, word in (("cursorField", "cursor"), ("primaryKey", "primary key"), ("selectedFields", "fields")):
            if was.get(name) != now.get(name):
                lines.append(f"{key[1]}: {word} {_columns(was.get(name))} → {_columns(now.get(name))}")
    return lines


def _columns(value: Any) -> str:
    if not value:
        return "all" if value is None else "none"
    parts = [part["fieldPath"] if isinstance(part, dict) else part for part in value]
    return ", ".join(part if isinstance(part, str) else ".".join(part) for part in parts)


@router.get("/jobs")
def jobs(
    workspace_id: uuid.UUID,
    page: PageDep,
    kind: Literal["", "sync", "refresh", "clear"] = "",
    status: _Status = "",
    before: Annotated[int, Query(ge=0, le=MAX_BIGINT)] = MAX_BIGINT,
) -> HTMLResponse:
    """The jobs of all connections, the newest first."""
    workspace = page.workspace(workspace_id)
    query = (
        jobs_query()
        .join(Job.connection)
        .options(contains_eager(Job.connection).load_only(Connection.name))
        .where(Connection.workspace_id == workspace_id, Job.id < before)
        .limit(_JOBS_PAGE + 1)
    )
    if kind:
        query = query.where(Job.config_type == kind)
    if status:
        query = query.where(Job.status == status)
    runs = [run_of(job) for job in page.session.scalars(query)]
    return page.render(
        "jobs.html",
        workspace=workspace,
        runs=runs[:_JOBS_PAGE],
        kinds=KINDS,
        statuses=STATUSES,
        given={"kind": kind, "status": status},
        more=runs[_JOBS_PAGE - 1].id if len(runs) > _JOBS_PAGE else None,
        later=before != MAX_BIGINT,
        busy=any(not run.is_over for run in runs[:_JOBS_PAGE]),
    )
