"""``/source_definitions/…``, ``/source_definition_specifications/get`` and their twins for destinations."""

# Annotations are evaluated here: which body a route takes depends on the kind.

import time
import uuid
from typing import Any

from fastapi import APIRouter

from airbyte_server.api.config.job_info import short_job
from airbyte_server.api.config.workspaces import WorkspaceId
from airbyte_server.api.requests import Body, ServicesDep
from airbyte_server.definitions import Definition, Kind


class SourceDefinitionId(Body):
    source_definition_id: uuid.UUID

    @property
    def definition_id(self) -> uuid.UUID:
        return self.source_definition_id


class DestinationDefinitionId(Body):
    destination_definition_id: uuid.UUID

    @property
    def definition_id(self) -> uuid.UUID:
        return self.destination_definition_id


def response(definition: Definition) -> dict[str, Any]:
    """A SourceDefinitionRead or DestinationDefinitionRead."""
    return {
        f"{definition.kind}DefinitionId": str(definition.id),
        "name": definition.name,
        "dockerRepository": definition.docker_repository,
        "dockerImageTag": definition.docker_image_tag,
        "documentationUrl": definition.documentation_url,
    }


def build_router(kind: Kind) -> APIRouter:
    router = APIRouter()
    id_body: Any = SourceDefinitionId if kind == "source" else DestinationDefinitionId

    @router.post(f"/{kind}_definitions/list")
    def list_definitions(services: ServicesDep) -> dict[str, Any]:
        return {f"{kind}Definitions": [response(definition) for definition in services.definitions.of_kind(kind)]}

    @router.post(f"/{kind}_definitions/list_for_workspace")
    def list_definitions_of_workspace(body: WorkspaceId, services: ServicesDep) -> dict[str, Any]:
        found = services.definitions.of_kind(kind, body.workspace_id)
        return {f"{kind}Definitions": [response(definition) for definition in found]}

    @router.post(f"/{kind}_definitions/get")
    @router.post(f"/{kind}_definitions/get_for_workspace")
    def get_definition(body: id_body, services: ServicesDep) -> dict[str, Any]:
        return response(services.definitions.get(kind, body.definition_id))

    @router.post(f"/{kind}_definition_specifications/get")
    def get_specification(body: id_body, services: ServicesDep) -> dict[str, Any]:
        definition = services.definitions.get(kind, body.definition_id)
        started = int(time.time())
        return {
            f"{kind}DefinitionId": str(definition.id),
            "documentationUrl": definition.documentation_url,
            "connectionSpecification": services.specification(definition),
            "jobInfo": short_job("get_spec", definition.id, started, []),
        }

    return router
