"""``…/connections/{id}/status``: is it well, what did its last runs do, how is each stream."""

from __future__ import annotations

import uuid

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse

from airbyte_server.ui.charts import SHOWN, rows_chart
from airbyte_server.ui.connection_page import ConnectionPage
from airbyte_server.ui.health import headline, stream_healths
from airbyte_server.ui.page import PageDep, PageRoute, redirect

router = APIRouter(prefix="/workspaces/{workspace_id}/connections/{connection_id}", route_class=PageRoute)


@router.get("")
def connection_start(workspace_id: uuid.UUID, connection_id: uuid.UUID) -> RedirectResponse:
    return redirect(f"/workspaces/{workspace_id}/connections/{connection_id}/status")


@router.get("/job-history")
def job_history(workspace_id: uuid.UUID, connection_id: uuid.UUID) -> RedirectResponse:
    """The timeline's address in older versions of upstream's UI."""
    return redirect(f"/workspaces/{workspace_id}/connections/{connection_id}/timeline")


@router.get("/status")
def status(workspace_id: uuid.UUID, connection_id: uuid.UUID, page: PageDep) -> HTMLResponse:
    shown = ConnectionPage(page, workspace_id, connection_id, runs=SHOWN)
    streams = stream_healths(shown.connection, shown.runs)
    return shown.render(
        "status.html",
        "status",
        headline=headline(shown.connection, shown.latest),
        streams=streams,
        runs=shown.runs[::-1],
        chart=rows_chart(shown.runs),
        busy=shown.latest is not None and not shown.latest.is_over,
    )
