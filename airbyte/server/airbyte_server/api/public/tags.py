"""``/tags``: labels of connections."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from airbyte_server.api.requests import Body, SessionDep, existing, id_list
from airbyte_server.database import Tag, Workspace
from airbyte_server.errors import tag_already_exists

router = APIRouter(prefix="/tags", tags=["tags"])

_Color = Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{6}$")]


class TagCreate(Body):
    workspace_id: uuid.UUID
    name: str
    color: _Color


class TagPatch(Body):
    name: str
    color: _Color


def response(tag: Tag) -> dict[str, Any]:
    return {"tagId": str(tag.id), "workspaceId": str(tag.workspace_id), "name": tag.name, "color": tag.color}


@router.get("")
def list_tags(
    session: SessionDep, workspace_ids: Annotated[list[str] | None, Query(alias="workspaceIds")] = None
) -> dict[str, Any]:
    query = select(Tag).order_by(Tag.name, Tag.id)
    if ids := id_list(workspace_ids):
        query = query.where(Tag.workspace_id.in_(ids))
    return {"data": [response(tag) for tag in session.scalars(query)]}


@router.post("")
def create_tag(body: TagCreate, session: SessionDep) -> dict[str, Any]:
    existing(session, Workspace, body.workspace_id, "workspace")
    tag = Tag(workspace_id=body.workspace_id, name=body.name, color=body.color)
    session.add(tag)
    _flush(session, body.name)
    return response(tag)


@router.get("/{tag_id}")
def get_tag(tag_id: uuid.UUID, session: SessionDep) -> dict[str, Any]:
    return response(existing(session, Tag, tag_id, "tag"))


@router.patch("/{tag_id}")
def update_tag(tag_id: uuid.UUID, body: TagPatch, session: SessionDep) -> dict[str, Any]:
    tag = existing(session, Tag, tag_id, "tag")
    tag.name, tag.color = body.name, body.color
    _flush(session, body.name)
    return response(tag)


@router.delete("/{tag_id}", status_code=204)
def delete_tag(tag_id: uuid.UUID, session: SessionDep) -> None:
    session.delete(existing(session, Tag, tag_id, "tag"))


def _flush(session: Session, name: str) -> None:
    try:
        session.flush()
    except IntegrityError as error:
        raise tag_already_exists(name) from error
