"""``/sources`` and ``/destinations``: a connector's definition with its configuration. Both are served alike."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy import or_, select

from airbyte_server.api.requests import (
    Body,
    PageDep,
    ServicesDep,
    SessionDep,
    existing,
    existing_actor,
    id_list,
)
from airbyte_server.database import UNFINISHED, Actor, Connection, Job, Workspace, now
from airbyte_server.definitions import Kind
from airbyte_server.errors import bad_request, state_conflict
from airbyte_server.services import Services


class ActorCreate(Body):
    name: str
    workspace_id: uuid.UUID
    definition_id: uuid.UUID | None = None
    configuration: dict[str, Any]


class ActorPut(Body):
    name: str
    configuration: dict[str, Any]


class ActorPatch(Body):
    name: str | None = None
    configuration: dict[str, Any] | None = None


def response(services: Services, actor: Actor) -> dict[str, Any]:
    definition = services.definition_of(actor)
    return {
        f"{actor.kind}Id": str(actor.id),
        "name": actor.name,
        f"{actor.kind}Type": definition.connector_type,
        "definitionId": str(actor.definition_id),
        "workspaceId": str(actor.workspace_id),
        "configuration": services.public_configuration(actor),
        "createdAt": int(actor.created_at.timestamp()),
    }


def build_router(kind: Kind) -> APIRouter:
    """The routes of ``/sources`` or ``/destinations``."""
    router = APIRouter(prefix=f"/{kind}s", tags=[f"{kind}s"])
    type_key = f"{kind}Type"

    @router.get("", name=f"list_{kind}s")
    def list_actors(
        session: SessionDep,
        services: ServicesDep,
        page: PageDep,
        workspace_ids: Annotated[list[str] | None, Query(alias="workspaceIds")] = None,
        include_deleted: Annotated[bool, Query(alias="includeDeleted")] = False,
    ) -> dict[str, Any]:
        query = select(Actor).where(Actor.kind == kind).order_by(Actor.created_at, Actor.id)
        if ids := id_list(workspace_ids):
            query = query.where(Actor.workspace_id.in_(ids))
        if not include_deleted:
            query = query.where(Actor.deleted_at.is_(None))
        return page.answer([response(services, actor) for actor in session.scalars(page.slice(query))])

    @router.post("", name=f"create_{kind}")
    def create_actor(body: ActorCreate, session: SessionDep, services: ServicesDep) -> dict[str, Any]:
        existing(session, Workspace, body.workspace_id, "workspace")
        connector_type = body.configuration.get(type_key)
        if body.definition_id is None and connector_type is None:
            raise bad_request(f"give definitionId, or {type_key} within configuration")
        definition = services.definitions.choose(kind, body.definition_id, connector_type, body.workspace_id)
        actor = Actor(
            workspace_id=body.workspace_id,
            kind=kind,
            definition_id=definition.id,
            name=body.name,
            configuration=services.sealed_configuration(definition, body.configuration),
        )
        session.add(actor)
        session.flush()
        return response(services, actor)

    @router.get("/{actor_id}", name=f"get_{kind}")
    def get_actor(actor_id: uuid.UUID, session: SessionDep, services: ServicesDep) -> dict[str, Any]:
        return response(services, existing_actor(session, kind, actor_id))

    @router.put("/{actor_id}", name=f"put_{kind}")
    def put_actor(actor_id: uuid.UUID, body: ActorPut, session: SessionDep, services: ServicesDep) -> dict[str, Any]:
        actor = existing_actor(session, kind, actor_id)
        definition = services.definition_of(actor)
        actor.configuration = services.sealed_configuration(definition, body.configuration, actor.configuration)
        actor.name = body.name
        return response(services, actor)

    @router.patch("/{actor_id}", name=f"patch_{kind}")
    def patch_actor(
        actor_id: uuid.UUID, body: ActorPatch, session: SessionDep, services: ServicesDep
    ) -> dict[str, Any]:
        actor = existing_actor(session, kind, actor_id)
        if body.configuration is not None:
            definition = services.definition_of(actor)
            merged = merge(services.vault.decrypt(actor.configuration), body.configuration)
            actor.configuration = services.sealed_configuration(definition, merged, actor.configuration)
        if body.name is not None:
            actor.name = body.name
        return response(services, actor)

    @router.delete("/{actor_id}", name=f"delete_{kind}", status_code=204)
    def delete_actor(actor_id: uuid.UUID, session: SessionDep) -> None:
        """Delete it and, as the platform does, the connections that use it; not while one of them is syncing."""
        actor = existing_actor(session, kind, actor_id)
        uses = or_(Connection.source_id == actor_id, Connection.destination_id == actor_id)
        connections = list(session.scalars(select(Connection).where(uses, Connection.deleted_at.is_(None))))
        ids = [connection.id for connection in connections]
        busy = select(Job.id).where(Job.connection_id.in_(ids), Job.status.in_(UNFINISHED))
        if job_id := session.scalar(busy.limit(1)):
            raise state_conflict(f"Job {job_id} of one of its connections is running: cancel it first.")
        actor.deleted_at = now()
        for connection in connections:
            connection.deleted_at = now()

    return router


def merge(current: Any, change: Any) -> Any:
    """``change`` over ``current``, objects member by member."""
    if isinstance(current, dict) and isinstance(change, dict):
        return {**current, **{key: merge(current.get(key), value) for key, value in change.items()}}
    return change
