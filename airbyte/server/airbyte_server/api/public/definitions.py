"""``/workspaces/{id}/definitions/{sources|destinations}``: which connectors this server can run."""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import APIRouter

from airbyte_server.api.requests import ServicesDep, SessionDep, existing
from airbyte_server.database import Workspace
from airbyte_server.definitions import Definition, Kind

router = APIRouter(prefix="/workspaces/{workspace_id}/definitions", tags=["definitions"])


def response(definition: Definition) -> dict[str, Any]:
    return {
        "id": str(definition.id),
        "name": definition.name,
        "dockerRepository": definition.docker_repository,
        "dockerImageTag": definition.docker_image_tag,
        "documentationUrl": definition.documentation_url,
    }


def _add_routes(kind: Kind) -> None:
    @router.get(f"/{kind}s", name=f"list_{kind}_definitions")
    def list_definitions(workspace_id: uuid.UUID, session: SessionDep, services: ServicesDep) -> dict[str, Any]:
        existing(session, Workspace, workspace_id, "workspace")
        return {"data": [response(definition) for definition in services.definitions.of_kind(kind, workspace_id)]}

    @router.get(f"/{kind}s/{{definition_id}}", name=f"get_{kind}_definition")
    def get_definition(
        workspace_id: uuid.UUID, definition_id: uuid.UUID, session: SessionDep, services: ServicesDep
    ) -> dict[str, Any]:
        existing(session, Workspace, workspace_id, "workspace")
        return response(services.definitions.get(kind, definition_id))


_add_routes("source")
_add_routes("destination")
