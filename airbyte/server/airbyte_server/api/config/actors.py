"""``/sources/…`` and ``/destinations/…``: what is configured, whether it can be reached, what it has to offer."""

# Annotations are evaluated here: which body a route takes depends on the kind.

import time
import uuid
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from airbyte_server.api.config.catalog import catalog_stream, stream_configuration
from airbyte_server.api.config.job_info import short_job
from airbyte_server.api.config.workspaces import WorkspaceId
from airbyte_server.api.requests import Body, ServicesDep, SessionDep, existing, existing_actor
from airbyte_server.catalog import configured_stream
from airbyte_server.database import Actor, Connection, Workspace
from airbyte_server.definitions import Kind
from airbyte_server.schema_changes import is_breaking
from airbyte_server.schema_check import connection_diff
from airbyte_server.services import Services


class SourceId(Body):
    source_id: uuid.UUID

    @property
    def actor_id(self) -> uuid.UUID:
        return self.source_id


class DestinationId(Body):
    destination_id: uuid.UUID

    @property
    def actor_id(self) -> uuid.UUID:
        return self.destination_id


class DiscoverBody(SourceId):
    connection_id: uuid.UUID | None = None
    # The one name of the Config API in snake case.
    disable_cache: Annotated[bool, Field(alias="disable_cache")] = False


def response(services: Services, actor: Actor) -> dict[str, Any]:
    """A SourceRead or DestinationRead."""
    configuration = services.public_configuration(actor)
    configuration.pop(f"{actor.kind}Type", None)
    return {
        f"{actor.kind}Id": str(actor.id),
        f"{actor.kind}DefinitionId": str(actor.definition_id),
        f"{actor.kind}Name": services.definition_of(actor).name,
        "workspaceId": str(actor.workspace_id),
        "name": actor.name,
        "connectionConfiguration": configuration,
        "createdAt": int(actor.created_at.timestamp()),
    }


def build_router(kind: Kind) -> APIRouter:
    router = APIRouter(prefix=f"/{kind}s")
    id_body: Any = SourceId if kind == "source" else DestinationId

    @router.post("/list")
    def list_actors(body: WorkspaceId, session: SessionDep, services: ServicesDep) -> dict[str, Any]:
        existing(session, Workspace, body.workspace_id, "workspace")
        of_workspace = select(Actor).where(
            Actor.kind == kind, Actor.workspace_id == body.workspace_id, Actor.deleted_at.is_(None)
        )
        actors = session.scalars(of_workspace.order_by(Actor.created_at, Actor.id))
        return {f"{kind}s": [response(services, actor) for actor in actors]}

    @router.post("/get")
    def get_actor(body: id_body, session: SessionDep, services: ServicesDep) -> dict[str, Any]:
        return response(services, existing_actor(session, kind, body.actor_id))

    @router.post("/check_connection")
    def check_connection(body: id_body, session: SessionDep, services: ServicesDep) -> dict[str, Any]:
        actor = existing_actor(session, kind, body.actor_id)
        started = int(time.time())
        succeeded, message, log = services.connectors.check(
            services.definition_of(actor), services.vault.decrypt(actor.configuration)
        )
        return {
            "status": "succeeded" if succeeded else "failed",
            "message": message,
            "jobInfo": short_job(f"check_connection_{kind}", actor.definition_id, started, log),
        }

    if kind == "source":
        router.add_api_route("/discover_schema", discover_schema, methods=["POST"])
    return router


def discover_schema(body: DiscoverBody, session: SessionDep, services: ServicesDep) -> dict[str, Any]:
    source = existing_actor(session, "source", body.source_id)
    started = int(time.time())
    found = services.discover(session, source, ignore_cache=body.disable_cache)
    streams = []
    for stream in found.catalog["streams"]:
        default = configured_stream({"name": stream["name"], "namespace": stream.get("namespace")}, stream)
        streams.append({"stream": catalog_stream(stream), "config": stream_configuration(default)})
    return {
        "catalogId": str(found.id),
        "catalog": {"streams": streams},
        **(_compared(session, body.connection_id, found.catalog) if body.connection_id else {}),
        "jobInfo": short_job("discover_schema", source.definition_id, started, []),
    }


def _compared(session: Session, connection_id: uuid.UUID, catalog: dict[str, Any]) -> dict[str, Any]:
    diff = connection_diff(existing(session, Connection, connection_id, "connection"), catalog)
    return {"catalogDiff": {"transforms": diff}, "breakingChange": is_breaking(diff)}
