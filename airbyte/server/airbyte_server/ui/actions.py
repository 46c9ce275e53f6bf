"""What can be done on the pages: each is a form that makes the API call of the same name, with its rights."""

from __future__ import annotations

import uuid
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form
from fastapi.responses import HTMLResponse, RedirectResponse

from airbyte_server.api.config import jobs as config_jobs
from airbyte_server.api.config import scoped_jobs
from airbyte_server.api.config.connections import ConnectionId, clear_connection, sync_connection
from airbyte_server.api.config.scoped_jobs import ConnectionStreams, Refresh, StreamName
from airbyte_server.api.public import connections as public
from airbyte_server.api.requests import MAX_BIGINT, existing
from airbyte_server.catalog import SYNC_MODES, stream_key
from airbyte_server.database import Connection, Job
from airbyte_server.errors import bad_request, not_found
from airbyte_server.ui.access import acting
from airbyte_server.ui.connection_page import ConnectionPage
from airbyte_server.ui.page import Page, PageDep, PageRoute, redirect

_PREFIX = "/workspaces/{workspace_id}/connections/{connection_id}"
questions = APIRouter(prefix=_PREFIX, route_class=PageRoute)
router = APIRouter(prefix=_PREFIX, route_class=PageRoute, dependencies=[Depends(acting)])


@questions.get("/{action}/confirm")
def confirm(
    workspace_id: uuid.UUID,
    connection_id: uuid.UUID,
    page: PageDep,
    action: Literal["clear", "refresh"],
    stream: str = "",
    namespace: str = "",
) -> HTMLResponse:
    """What the action will cost, before it is done: to some stream, or to all where none is named."""
    shown = ConnectionPage(page, workspace_id, connection_id)
    streams = [one for one in shown.connection.streams if not stream or stream_key(one) == (namespace, stream)]
    if not streams:
        raise not_found("stream", stream)
    return shown.render(
        "confirm.html",
        "status",
        action=action,
        stream=stream,
        namespace=namespace,
        tables=[f"{shown.connection.prefix}{one['name']}" for one in streams],
        incremental=any(SYNC_MODES[one["syncMode"]].incremental for one in streams),
    )


@router.post("/sync")
def sync(page: PageDep, workspace_id: uuid.UUID, connection_id: uuid.UUID) -> RedirectResponse:
    _connection(page, workspace_id, connection_id)
    sync_connection(ConnectionId(connection_id=connection_id), page.services)
    return _back(workspace_id, connection_id, "sync")


@router.post("/cancel")
def cancel(
    page: PageDep, workspace_id: uuid.UUID, connection_id: uuid.UUID, job: Annotated[int, Form(ge=0, le=MAX_BIGINT)]
) -> RedirectResponse:
    _connection(page, workspace_id, connection_id)
    if existing(page.session, Job, job, "job").connection_id != connection_id:
        raise not_found("job", job)
    config_jobs.cancel_job(config_jobs.JobId(id=job), page.services)
    return _back(workspace_id, connection_id, "cancelled")


@router.post("/clear")
def clear(
    page: PageDep,
    workspace_id: uuid.UUID,
    connection_id: uuid.UUID,
    stream: Annotated[str, Form()] = "",
    namespace: Annotated[str, Form()] = "",
) -> RedirectResponse:
    _connection(page, workspace_id, connection_id)
    if stream:
        body = ConnectionStreams(connection_id=connection_id, streams=[_stream(stream, namespace)])
        scoped_jobs.clear_streams(body, page.services)
    else:
        clear_connection(ConnectionId(connection_id=connection_id), page.services)
    return _back(workspace_id, connection_id, "clear")


@router.post("/refresh")
def refresh(
    page: PageDep,
    workspace_id: uuid.UUID,
    connection_id: uuid.UUID,
    mode: Annotated[Literal["Truncate", "Merge"], Form()],
    stream: Annotated[str, Form()] = "",
    namespace: Annotated[str, Form()] = "",
) -> RedirectResponse:
    _connection(page, workspace_id, connection_id)
    streams = [_stream(stream, namespace)] if stream else None
    scoped_jobs.refresh(Refresh(connection_id=connection_id, streams=streams, refresh_mode=mode), page.services)
    return _back(workspace_id, connection_id, "refresh")


@router.post("/enabled")
def switch(
    page: PageDep, workspace_id: uuid.UUID, connection_id: uuid.UUID, status: Annotated[str, Form()]
) -> RedirectResponse:
    _connection(page, workspace_id, connection_id)
    if status not in ("active", "inactive"):
        raise bad_request(f"status {status!r} is neither active nor inactive")
    patch = public.ConnectionPatch.model_validate({"status": status})
    public.patch_connection(connection_id, patch, page.session, page.services)
    return _back(workspace_id, connection_id, "enabled" if status == "active" else "disabled")


def _connection(page: Page, workspace_id: uuid.UUID, connection_id: uuid.UUID) -> Connection:
    connection = existing(page.session, Connection, connection_id, "connection")
    if connection.workspace_id != workspace_id:
        raise not_found("connection", connection_id)
    return connection


def _stream(name: str, namespace: str) -> StreamName:
    return StreamName(stream_name=name, stream_namespace=namespace or None)


def _back(workspace_id: uuid.UUID, connection_id: uuid.UUID, done: str) -> RedirectResponse:
    return redirect(f"/workspaces/{workspace_id}/connections/{connection_id}/status?done={done}")
