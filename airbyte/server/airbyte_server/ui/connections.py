"""``/workspaces/{id}/connections``: every connection in a line."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy import func, literal_column, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import defer, joinedload, selectinload
from sqlalchemy.orm.attributes import set_committed_value

from airbyte_server.api.public import connections as public
from airbyte_server.database import Actor, Connection, Job, Workspace
from airbyte_server.ui.declared import Declarations
from airbyte_server.ui.health import HEALTHS, Health, connection_health
from airbyte_server.ui.page import Page, PageDep, PageRoute, redirect
from airbyte_server.ui.runs import Run, jobs_query, run_of

router = APIRouter(route_class=PageRoute)


@dataclass(frozen=True)
class Row:
    """``drift``: how many settings and streams differ from the declaration; None: it is not declared."""

    connection: Connection
    latest: Run | None
    health: Health
    drift: int | None


@router.get("/")
def start(page: PageDep) -> RedirectResponse:
    """The first workspace: the only one, unless somebody made another."""
    first = select(Workspace.id).where(Workspace.deleted_at.is_(None)).order_by(Workspace.created_at).limit(1)
    return redirect(f"/workspaces/{page.session.scalar(first)}/connections")


@router.get("/workspaces/{workspace_id}")
def workspace_start(workspace_id: uuid.UUID) -> RedirectResponse:
    return redirect(f"/workspaces/{workspace_id}/connections")


@router.get("/workspaces/{workspace_id}/connections")
def list_connections(
    workspace_id: uuid.UUID,
    page: PageDep,
    q: str = "",
    health: str = "",
    source: str = "",
    destination: str = "",
    enabled: str = "",
) -> HTMLResponse:
    workspace = page.workspace(workspace_id)
    rows = _rows(page, workspace_id)
    given = {"q": q, "health": health, "source": source, "destination": destination, "enabled": enabled}
    shown = [row for row in rows if _fits(row, given)]
    return page.render(
        "connections.html",
        workspace=workspace,
        rows=shown,
        total=len(rows),
        counts={one: sum(row.health.group == one for row in rows) for one in HEALTHS},
        sources=sorted({row.connection.source.name for row in rows}),
        destinations=sorted({row.connection.destination.name for row in rows}),
        given=given,
        filtered=any(given.values()),
        busy=any(row.health.group == "Running" for row in rows),
    )


def _rows(page: Page, workspace_id: uuid.UUID) -> list[Row]:
    """One query for the connections, one for their last jobs; the schemas of streams stay in the database."""
    chosen = literal_column(
        "(SELECT coalesce(jsonb_agg(stream - 'stream'), '[]') FROM jsonb_array_elements(connections.streams) stream)",
        JSONB,
    )
    of_workspace = (Connection.workspace_id == workspace_id, Connection.deleted_at.is_(None))
    found = page.session.execute(
        select(Connection, chosen)
        .where(*of_workspace)
        .order_by(func.lower(Connection.name), Connection.created_at)
        .options(
            *(defer(column) for column in (Connection.streams, Connection.known_streams, Connection.schema_diff)),
            *(
                joinedload(end).load_only(Actor.name, Actor.kind, Actor.definition_id)
                for end in (Connection.source, Connection.destination)
            ),
            selectinload(Connection.tags),
        )
    ).all()
    last = select(func.max(Job.id)).where(Job.connection_id == Connection.id).correlate(Connection).scalar_subquery()
    jobs = page.session.scalars(jobs_query().where(Job.id.in_(select(last).where(*of_workspace))))
    latest = {job.connection_id: run_of(job) for job in jobs}
    declarations: Declarations = page.request.app.state.declarations
    declared = declarations.by_name("connection")
    rows = []
    for connection, streams in ((one[0], one[1]) for one in found):
        set_committed_value(connection, "streams", streams)
        declaration = declared.get(connection.name)
        changes: list[Any] | None = None
        if declaration is not None and declaration.document is not None:
            changes = declaration.connection_changes(public.response(connection))
        run = latest.get(connection.id)
        drift = None if changes is None else len(changes)
        rows.append(Row(connection, run, connection_health(connection, run), drift))
    return rows


def _fits(row: Row, given: dict[str, str]) -> bool:
    connection = row.connection
    names = f"{connection.name} {connection.source.name} {connection.destination.name}".lower()
    active = "yes" if connection.status == "active" else "no"
    return (
        given["q"].lower().strip() in names
        and given["health"] in ("", row.health.group)
        and given["source"] in ("", connection.source.name)
        and given["destination"] in ("", connection.destination.name)
        and given["enabled"] in ("", active)
    )
