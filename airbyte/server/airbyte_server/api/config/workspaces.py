"""``/workspaces/…`` and ``/organizations/…``."""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import APIRouter
from slugify import slugify
from sqlalchemy import select
from sqlalchemy.orm import Session

from airbyte_server.api.public.organizations import EMAIL, ORGANIZATION_ID, ORGANIZATION_NAME
from airbyte_server.api.requests import Body, SessionDep, existing
from airbyte_server.database import Workspace
from airbyte_server.errors import not_found

router = APIRouter()


class WorkspaceId(Body):
    workspace_id: uuid.UUID


class OrganizationId(Body):
    organization_id: uuid.UUID


def response(workspace: Workspace) -> dict[str, Any]:
    """A WorkspaceRead."""
    return {
        "workspaceId": str(workspace.id),
        "customerId": str(workspace.id),
        "organizationId": str(ORGANIZATION_ID),
        "name": workspace.name,
        "slug": slugify(workspace.name),
        "email": EMAIL,
        "initialSetupComplete": True,
        "defaultGeography": "auto",
    }


def _all(session: Session) -> dict[str, Any]:
    living = select(Workspace).where(Workspace.deleted_at.is_(None)).order_by(Workspace.created_at, Workspace.id)
    return {"workspaces": [response(workspace) for workspace in session.scalars(living)]}


@router.post("/workspaces/list")
def list_workspaces(session: SessionDep) -> dict[str, Any]:
    return _all(session)


@router.post("/workspaces/list_by_organization_id")
def list_workspaces_by_organization(body: OrganizationId, session: SessionDep) -> dict[str, Any]:
    _organization(body.organization_id)
    return _all(session)


@router.post("/workspaces/get")
def get_workspace(body: WorkspaceId, session: SessionDep) -> dict[str, Any]:
    return response(existing(session, Workspace, body.workspace_id, "workspace"))


@router.post("/workspaces/get_organization_info")
def get_organization_of_workspace(body: WorkspaceId, session: SessionDep) -> dict[str, Any]:
    existing(session, Workspace, body.workspace_id, "workspace")
    return _organization(ORGANIZATION_ID)


@router.post("/organizations/get_organization_info")
def get_organization_info(body: OrganizationId) -> dict[str, Any]:
    return _organization(body.organization_id)


def _organization(organization_id: uuid.UUID) -> dict[str, Any]:
    if organization_id != ORGANIZATION_ID:
        raise not_found("organization", organization_id)
    return {"organizationId": str(ORGANIZATION_ID), "organizationName": ORGANIZATION_NAME, "sso": False}
