"""``/workspaces/{id}/definitions/declarative_sources``: sources that are made of a low-code manifest."""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import APIRouter
from sqlalchemy import select
from sqlalchemy.orm import Session

from airbyte_server.api.requests import Body, ServicesDep, SessionDep, existing
from airbyte_server.database import Actor, DeclarativeSourceDefinition, Workspace, now
from airbyte_server.declarative.manifest import ManifestError
from airbyte_server.errors import not_found, state_conflict, unprocessable
from airbyte_server.services import Services

router = APIRouter(prefix="/workspaces/{workspace_id}/definitions/declarative_sources", tags=["definitions"])


class DeclarativeUpdate(Body):
    manifest: dict[str, Any]


class DeclarativeCreate(DeclarativeUpdate):
    name: str


def response(row: DeclarativeSourceDefinition) -> dict[str, Any]:
    return {"id": str(row.id), "name": row.name, "manifest": row.manifest, "version": row.version}


@router.get("")
def list_declarative_definitions(workspace_id: uuid.UUID, session: SessionDep) -> dict[str, Any]:
    existing(session, Workspace, workspace_id, "workspace")
    living = select(DeclarativeSourceDefinition).where(
        DeclarativeSourceDefinition.workspace_id == workspace_id, DeclarativeSourceDefinition.deleted_at.is_(None)
    )
    rows = session.scalars(living.order_by(DeclarativeSourceDefinition.created_at, DeclarativeSourceDefinition.id))
    return {"data": [response(row) for row in rows]}


@router.post("")
def create_declarative_definition(
    workspace_id: uuid.UUID, body: DeclarativeCreate, session: SessionDep, services: ServicesDep
) -> dict[str, Any]:
    existing(session, Workspace, workspace_id, "workspace")
    row = DeclarativeSourceDefinition(workspace_id=workspace_id, name=body.name, manifest=body.manifest, version=1)
    session.add(row)
    session.flush()
    return _published(row, services)


@router.get("/{definition_id}")
def get_declarative_definition(
    workspace_id: uuid.UUID, definition_id: uuid.UUID, session: SessionDep
) -> dict[str, Any]:
    return response(_existing(session, workspace_id, definition_id))


@router.put("/{definition_id}")
def update_declarative_definition(
    workspace_id: uuid.UUID,
    definition_id: uuid.UUID,
    body: DeclarativeUpdate,
    session: SessionDep,
    services: ServicesDep,
) -> dict[str, Any]:
    row = _existing(session, workspace_id, definition_id)
    row.manifest = body.manifest
    row.version += 1
    session.flush()
    return _published(row, services)


@router.delete("/{definition_id}")
def delete_declarative_definition(
    workspace_id: uuid.UUID, definition_id: uuid.UUID, session: SessionDep, services: ServicesDep
) -> dict[str, Any]:
    """Answers what was deleted, as the platform does; not while a source is made of it."""
    row = _existing(session, workspace_id, definition_id)
    using = select(Actor.name).where(Actor.definition_id == definition_id, Actor.deleted_at.is_(None))
    if name := session.scalar(using.limit(1)):
        raise state_conflict(f"Source {name!r} is made of it: delete that first.")
    row.deleted_at = now()
    session.flush()
    return _published(row, services)


def _existing(session: Session, workspace_id: uuid.UUID, definition_id: uuid.UUID) -> DeclarativeSourceDefinition:
    row = existing(session, DeclarativeSourceDefinition, definition_id, "declarative_source_definition")
    if row.workspace_id != workspace_id:
        raise not_found("declarative_source_definition", definition_id)
    return row


def _published(row: DeclarativeSourceDefinition, services: Services) -> dict[str, Any]:
    try:
        services.declarative.publish(row)
    except ManifestError as error:
        raise unprocessable(str(error)) from error
    return response(row)
