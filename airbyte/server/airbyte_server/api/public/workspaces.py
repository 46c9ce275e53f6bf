"""``/workspaces``: where sources, destinations and connections live."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy import select

from airbyte_server.api.requests import Body, PageDep, ServicesDep, SessionDep, existing, id_list
from airbyte_server.database import Actor, Connection, Workspace, now
from airbyte_server.errors import state_conflict

router = APIRouter(prefix="/workspaces", tags=["workspaces"])


class WorkspaceCreate(Body):
    name: str
    notifications: dict[str, Any] | None = None


class WorkspaceUpdate(Body):
    name: str | None = None
    notifications: dict[str, Any] | None = None


def response(workspace: Workspace) -> dict[str, Any]:
    return {
        "workspaceId": str(workspace.id),
        "name": workspace.name,
        "dataResidency": "auto",
        "notifications": workspace.notifications,
    }


@router.get("")
def list_workspaces(
    session: SessionDep,
    page: PageDep,
    workspace_ids: Annotated[list[str] | None, Query(alias="workspaceIds")] = None,
    include_deleted: Annotated[bool, Query(alias="includeDeleted")] = False,
) -> dict[str, Any]:
    query = select(Workspace).order_by(Workspace.created_at, Workspace.id)
    if ids := id_list(workspace_ids):
        query = query.where(Workspace.id.in_(ids))
    if not include_deleted:
        query = query.where(Workspace.deleted_at.is_(None))
    return page.answer([response(workspace) for workspace in session.scalars(page.slice(query))])


@router.post("")
def create_workspace(body: WorkspaceCreate, session: SessionDep) -> dict[str, Any]:
    workspace = Workspace(name=body.name, notifications=body.notifications or {})
    session.add(workspace)
    session.flush()
    return response(workspace)


@router.get("/{workspace_id}")
def get_workspace(workspace_id: uuid.UUID, session: SessionDep) -> dict[str, Any]:
    return response(existing(session, Workspace, workspace_id, "workspace"))


@router.patch("/{workspace_id}")
def update_workspace(workspace_id: uuid.UUID, body: WorkspaceUpdate, session: SessionDep) -> dict[str, Any]:
    workspace = existing(session, Workspace, workspace_id, "workspace")
    if body.name is not None:
        workspace.name = body.name
    if body.notifications is not None:
        workspace.notifications = body.notifications
    return response(workspace)


@router.delete("/{workspace_id}", status_code=204)
def delete_workspace(workspace_id: uuid.UUID, session: SessionDep, services: ServicesDep) -> None:
    """Delete an empty workspace: what would go with it must be deleted first, knowingly."""
    workspace = existing(session, Workspace, workspace_id, "workspace")
    for row_class in (Connection, Actor):
        held = select(row_class.name).where(row_class.workspace_id == workspace_id, row_class.deleted_at.is_(None))
        if name := session.scalar(held.limit(1)):
            raise state_conflict(
                f"The workspace still holds {name!r}: delete its connections, sources and destinations."
            )
    workspace.deleted_at = now()
