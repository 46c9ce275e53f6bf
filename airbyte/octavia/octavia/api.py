"""Airbyte's public API through the ``airbyte-api`` SDK, in the API's own JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
from airbyte_api import AirbyteAPI, api, errors, models
from airbyte_api._hooks import HookContext
from airbyte_api.basesdk import BaseSDK
from airbyte_api.utils.requestbodies import SerializedRequestBody

from octavia.errors import OctaviaError
from octavia.project import Kind
from octavia.secrets import redact
from octavia.settings import Settings

Json = dict[str, Any]

_PAGE = 100
# Creating or changing a connection makes the server run the source's discovery.
_TIMEOUT_SECONDS = 300.0


class ApiError(OctaviaError):
    """The server's refusal: its status, its words, and what the words do not say about the cure."""


class Airbyte:
    """One workspace of one server. Every method raises :class:`ApiError` when the server does not do as asked."""

    def __init__(self, settings: Settings, secret_values: Collection[str] = ()) -> None:
        """``secret_values`` are taken out of the server's messages, which may quote what it was sent."""
        self._secret_values = secret_values
        self.url = settings.api_url
        security = None
        if settings.client_id and settings.client_secret:
            # Absolute: the SDK would look for the default token path at the root of the host.
            token_url = f"{settings.api_url}/applications/token"
            security = models.Security(
                client_credentials=models.SchemeClientCredentials(
                    client_id=settings.client_id, client_secret=settings.client_secret, token_url=token_url
                )
            )
        # A client of our own for its timeout: the SDK's gives up after five seconds.
        self._sdk = AirbyteAPI(
            security=security,
            server_url=settings.api_url,
            client=httpx.Client(timeout=_TIMEOUT_SECONDS, follow_redirects=True),
        )
        self._actors = _Actors(self._sdk)
        self.workspace_id = self._workspace(settings.workspace_id)

    def _workspace(self, workspace_id: str | None) -> str:
        with self._explained(f"workspace {workspace_id} (AIRBYTE_WORKSPACE_ID)" if workspace_id else "workspaces"):
            if workspace_id:
                request = api.GetWorkspaceRequest(workspace_id=workspace_id)
                return str(self._sdk.workspaces.get_workspace(request=request).raw_response.json()["workspaceId"])
            listed = self._sdk.workspaces.list_workspaces(request=api.ListWorkspacesRequest(limit=1))
            workspaces = listed.raw_response.json()["data"]
        if not workspaces:
            raise ApiError(f"{self.url} has no workspace for these credentials: create one, or check AIRBYTE_CLIENT_ID")
        return str(workspaces[0]["workspaceId"])

    def list(self, kind: Kind) -> list[Json]:
        """All sources, destinations or connections of the workspace."""
        with self._explained(f"{kind}s"):
            if kind == "connection":
                return _all_pages(self._connections_page)
            return _all_pages(lambda offset: self._actors.page(kind, self.workspace_id, offset))

    def get(self, kind: Kind, resource_id: str) -> Json:
        """One resource whole, its secrets masked."""
        with self._explained(f"{kind} {resource_id}"):
            if kind == "connection":
                request = api.GetConnectionRequest(connection_id=resource_id)
                return self._sdk.connections.get_connection(request=request).raw_response.json()
            return self._actors.call("GET", f"/{kind}s/{resource_id}")

    def create_actor(self, kind: Kind, name: str, definition_id: str, configuration: Json) -> Json:
        body = {
            "name": name,
            "workspaceId": self.workspace_id,
            "definitionId": definition_id,
            "configuration": configuration,
        }
        with self._explained(f"{kind} {name}"):
            return self._actors.call("POST", f"/{kind}s", body=body)

    def replace_actor(self, kind: Kind, resource_id: str, name: str, configuration: Json) -> Json:
        """PUT, not PATCH: a patch is merged into the old configuration, and what was removed would stay."""
        with self._explained(f"{kind} {name}"):
            return self._actors.call(
                "PUT", f"/{kind}s/{resource_id}", body={"name": name, "configuration": configuration}
            )

    def create_connection(self, source_id: str, destination_id: str, body: Json) -> Json:
        with self._explained(f"connection {body['name']}"):
            request = models.ConnectionCreateRequest.model_validate(
                {**body, "sourceId": source_id, "destinationId": destination_id}
            )
            return self._sdk.connections.create_connection(request=request).raw_response.json()

    def update_connection(self, connection_id: str, body: Json) -> Json:
        with self._explained(f"connection {body['name']}"):
            request = api.PatchConnectionRequest(
                connection_id=connection_id,
                connection_patch_request=models.ConnectionPatchRequest.model_validate(body),
            )
            return self._sdk.connections.patch_connection(request=request).raw_response.json()

    def _connections_page(self, offset: int) -> Json:
        request = api.ListConnectionsRequest(workspace_ids=[self.workspace_id], limit=_PAGE, offset=offset)
        return self._sdk.connections.list_connections(request=request).raw_response.json()

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Errors of the SDK and of the transport as one kind, with the cure."""
        try:
            yield
        except errors.AirbyteAPIError as error:
            refusal = redact(_refusal(error.raw_response), self._secret_values)
            # Without the cause: the SDK's error holds the whole answer.
            raise ApiError(f"{what}: {refusal}") from None
        except (httpx.TransportError, httpx.InvalidURL, json.JSONDecodeError) as error:
            raise ApiError(
                f"no Airbyte API at {self.url} ({error}): start it, or correct AIRBYTE_API_URL "
                "(base of the public API, for example http://127.0.0.1:8000/api/public/v1)"
            ) from error
        except Exception as error:
            # The SDK raises a bare Exception when the token endpoint refuses.
            if "token endpoint" not in str(error):
                raise
            raise ApiError(
                f"{self.url}/applications/token gave no token ({error}): "
                "check AIRBYTE_CLIENT_ID and AIRBYTE_CLIENT_SECRET"
            ) from error


class _Actors(BaseSDK):
    """Sources and destinations over the SDK's transport and sign-in, but not through its models.

    Its configuration models are closed unions of the connectors known when it was generated: they drop keys they do
    not know (``api_endpoint``), resolve unknown connectors to whatever fits first, and refuse the answers of servers
    that leave the discriminator out: https://github.com/airbytehq/airbyte-api-python-sdk/issues/114
    """

    def __init__(self, sdk: AirbyteAPI) -> None:
        super().__init__(sdk.sdk_configuration, parent_ref=sdk)

    def page(self, kind: Kind, workspace_id: str, offset: int) -> Json:
        query: dict[str, str | int] = {"workspaceIds": workspace_id, "limit": _PAGE, "offset": offset}
        return self.call("GET", f"/{kind}s", query=query)

    def call(
        self, method: str, path: str, *, query: Mapping[str, str | int] | None = None, body: Json | None = None
    ) -> Json:
        base_url = self._get_url(None, None)
        request = self._build_request(
            method=method,
            path=path,
            base_url=base_url,
            url_variables=None,
            request=None,
            request_body_required=False,
            request_has_path_params=False,
            request_has_query_params=False,
            user_agent_header="user-agent",
            accept_header_value="application/json",
            security=self.sdk_configuration.security,
            get_serialized_body=lambda: _json_body(body),
            url_override=str(httpx.URL(base_url + path, params=query)),
        )
        context = HookContext(
            config=self.sdk_configuration,
            base_url=base_url,
            operation_id=f"{method} {path}",
            oauth2_scopes=[],
            security_source=self.sdk_configuration.security,
        )
        response = self.do_request(context, request, is_error_status_code=lambda status: status >= 400)
        if response.status_code != 200 or not response.headers.get("content-type", "").startswith("application/json"):
            raise errors.SDKError("API error occurred", response)
        return response.json()


def _json_body(body: Json | None) -> SerializedRequestBody | None:
    return None if body is None else SerializedRequestBody(media_type="application/json", content=json.dumps(body))


def _all_pages(page: Callable[[int], Json]) -> list[Json]:
    """Every entry: by offset, as the SDK does not follow ``next``; a page that is not full is the last."""
    entries: list[Json] = []
    while True:
        data = page(len(entries))["data"]
        entries += data
        if len(data) < _PAGE:
            return entries


def _refusal(response: httpx.Response) -> str:
    """The server's own words out of its error object, and the cure where they cannot know it."""
    try:
        answer = response.json()
    except ValueError:
        answer = {}
    if not isinstance(answer, dict):
        answer = {}
    data = answer.get("data")
    message = data.get("message") if isinstance(data, dict) else None
    words = [answer.get("title"), message or answer.get("detail")]
    embedded = answer.get("_embedded")
    if isinstance(embedded, dict):
        words += [entry.get("message") for entry in embedded.get("errors", [])]
    text = ": ".join(dict.fromkeys(str(word) for word in words if word)) or response.text[:500] or "no message"
    cure = ""
    if response.status_code in (401, 403):
        cure = "; check AIRBYTE_CLIENT_ID, AIRBYTE_CLIENT_SECRET and AIRBYTE_WORKSPACE_ID"
    elif not answer:
        cure = "; is AIRBYTE_API_URL the base of a public API?"
    return f"the server answered {response.status_code}: {text}{cure}"
