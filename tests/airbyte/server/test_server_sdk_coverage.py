"""Nothing of the ``airbyte-api`` SDK is forgotten: a method is called in ``test_server_sdk.py``, or refused by name."""

from __future__ import annotations

import ast
import inspect
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airbyte_api import AirbyteAPI, api, errors, models
from airbyte_services import AirbyteServer, sdk_of

ID = str(uuid.uuid4())
DOCKER = models.CreateDefinitionRequest(name="x", docker_repository="airbyte/source-x", docker_image_tag="1")
DOCKER_UPDATE = models.UpdateDefinitionRequest(name="x", docker_image_tag="2")
DEFINITION = {"workspace_id": ID, "definition_id": ID}
PERMISSION = models.PermissionCreateRequest(
    permission_type=models.PublicPermissionType.WORKSPACE_READER, user_id=ID, workspace_id=ID
)
OAUTH: dict[str, Any] = {"actor_type": models.ActorTypeEnum.SOURCE, "configuration": {}}
OAUTH_OF: dict[str, Any] = {"actor_type": models.ActorTypeEnum.SOURCE, "name": "airtable"}

# What the server does not serve, with a well-formed request for each.
REFUSED: dict[str, object] = {
    "source_definitions.create_source_definition": api.CreateSourceDefinitionRequest(
        workspace_id=ID, create_definition_request=DOCKER
    ),
    "source_definitions.update_source_definition": api.UpdateSourceDefinitionRequest(
        **DEFINITION, update_definition_request=DOCKER_UPDATE
    ),
    "source_definitions.delete_source_definition": api.DeleteSourceDefinitionRequest(**DEFINITION),
    "destination_definitions.create_destination_definition": api.CreateDestinationDefinitionRequest(
        workspace_id=ID, create_definition_request=DOCKER
    ),
    "destination_definitions.update_destination_definition": api.UpdateDestinationDefinitionRequest(
        **DEFINITION, update_definition_request=DOCKER_UPDATE
    ),
    "destination_definitions.delete_destination_definition": api.DeleteDestinationDefinitionRequest(**DEFINITION),
    "permissions.create_permission": PERMISSION,
    "permissions.get_permission": api.GetPermissionRequest(permission_id=ID),
    "permissions.list_permissions": api.ListPermissionsRequest(),
    "permissions.update_permission": api.UpdatePermissionRequest(
        permission_id=ID,
        permission_update_request=models.PermissionUpdateRequest(permission_type=models.PermissionType.WORKSPACE_ADMIN),
    ),
    "permissions.delete_permission": api.DeletePermissionRequest(permission_id=ID),
    "sources.initiate_o_auth": models.InitiateOauthRequest(
        redirect_url="http://127.0.0.1/", source_type=models.OAuthActorNames.AIRTABLE, workspace_id=ID
    ),
    "organizations.create_or_update_organization_o_auth_credentials": (
        api.CreateOrUpdateOrganizationOAuthCredentialsRequest(
            organization_id=ID,
            organization_o_auth_credentials_request=models.OrganizationOAuthCredentialsRequest(
                name="airtable", **OAUTH
            ),
        )
    ),
    "organizations.delete_organization_o_auth_credentials": api.DeleteOrganizationOAuthCredentialsRequest(
        organization_id=ID, **OAUTH_OF
    ),
    "workspaces.create_or_update_workspace_o_auth_credentials": api.CreateOrUpdateWorkspaceOAuthCredentialsRequest(
        workspace_id=ID,
        workspace_o_auth_credentials_request=models.WorkspaceOAuthCredentialsRequest(
            name=models.OAuthActorNames.AIRTABLE, **OAUTH
        ),
    ),
    "workspaces.delete_workspace_o_auth_credentials": api.DeleteWorkspaceOAuthCredentialsRequest(
        workspace_id=ID, **OAUTH_OF
    ),
}


def methods_of_the_sdk() -> dict[str, Callable[..., object]]:
    sdk = AirbyteAPI()
    return {
        f"{resource}.{name}": method
        for resource in AirbyteAPI._sub_sdk_map
        for name, method in inspect.getmembers(getattr(sdk, resource), inspect.ismethod)
        if not name.startswith(("_", "do_request")) and not name.endswith("_async")
    }


def methods_called_by_the_tests() -> set[str]:
    """Each ``….resource.method(…)`` in the text of the SDK's tests."""
    tree = ast.parse((Path(__file__).parent / "test_server_sdk.py").read_text())
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {
        f"{function.value.attr}.{function.attr}"
        for function in calls
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Attribute)
    }


def test_every_method_is_served_and_tested_or_refused() -> None:
    methods = methods_of_the_sdk().keys()
    called = methods_called_by_the_tests() & methods
    assert called | REFUSED.keys() == methods
    assert not called & REFUSED.keys()


@pytest.mark.parametrize("method", REFUSED)
def test_what_is_not_served_says_so(airbyte: AirbyteServer, method: str) -> None:
    resource, name = method.split(".")
    with pytest.raises(errors.SDKError) as refused:
        getattr(getattr(sdk_of(airbyte), resource), name)(request=REFUSED[method])
    assert refused.value.status_code == 501
    assert "not-implemented-in-oss" in refused.value.body
