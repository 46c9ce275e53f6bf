"""Airbyte's public API through the ``airbyte-api`` SDK, in the API's own JSON."""

from __future__ import annotations

import builtins
import json
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import orjson
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
        self.workspace_id = self._workspace(settings.workspace)

    def _workspace(self, wanted: str | None) -> str:
        with self._explained(f"workspace {wanted} (AIRBYTE_WORKSPACE_ID)" if wanted else "workspaces"):
            if wanted and _is_uuid(wanted):
                request = api.GetWorkspaceRequest(workspace_id=wanted)
                return str(self._sdk.workspaces.get_workspace(request=request).raw_response.json()["workspaceId"])
            workspaces = _all_pages(self._workspaces_page)
        if not workspaces:
            raise ApiError(f"{self.url} has no workspace for these credentials: create one, or check AIRBYTE_CLIENT_ID")
        if not wanted:
            return str(workspaces[0]["workspaceId"])
        found = [str(workspace["workspaceId"]) for workspace in workspaces if workspace["name"] == wanted]
        if len(found) != 1:
            names = ", ".join(sorted(str(workspace["name"]) for workspace in workspaces))
            raise ApiError(
                f"{len(found) or 'no'} workspaces are named {wanted!r} (--workspace or AIRBYTE_WORKSPACE_ID): "
                f"give the id, or one of these names: {names}"
            )
        return found[0]

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
            return self._actors.call("GET", f"/{kind}s/{resource_id}").json()

    def create_actor(self, kind: Kind, name: str, definition_id: str, configuration: Json) -> Json:
        body = {
            "name": name,
            "workspaceId": self.workspace_id,
            "definitionId": definition_id,
            "configuration": configuration,
        }
        with self._explained(f"{kind} {name}"):
            return self._actors.call("POST", f"/{kind}s", content=orjson.dumps(body)).json()

    def replace_actor(self, kind: Kind, resource_id: str, name: str, configuration: Json) -> Json:
        """PUT, not PATCH: a patch is merged into the old configuration, and what was removed would stay."""
        with self._explained(f"{kind} {name}"):
            body = orjson.dumps({"name": name, "configuration": configuration})
            return self._actors.call("PUT", f"/{kind}s/{resource_id}", content=body).json()

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

    def delete(self, kind: Kind, resource_id: str) -> None:
        with self._explained(f"{kind} {resource_id}"):
            if kind == "connection":
                request = api.DeleteConnectionRequest(connection_id=resource_id)
                self._sdk.connections.delete_connection(request=request)
            elif kind == "source":
                self._sdk.sources.delete_source(request=api.DeleteSourceRequest(source_id=resource_id))
            else:
                to_delete = api.DeleteDestinationRequest(destination_id=resource_id)
                self._sdk.destinations.delete_destination(request=to_delete)

    def streams(self, source_id: str, destination_id: str) -> builtins.list[Json]:
        """What the source offers, discovered anew: https://reference.airbyte.com/reference/getstreamproperties"""
        with self._explained(f"streams of source {source_id}"):
            request = api.GetStreamPropertiesRequest(
                source_id=source_id, destination_id=destination_id, ignore_cache=True
            )
            return self._sdk.streams.get_stream_properties(request=request).raw_response.json()

    def clear(self, connection_id: str) -> int:
        """Start to empty what the connection wrote and drop its state; the job's id."""
        request = models.JobCreateRequest(connection_id=connection_id, job_type=models.JobTypeEnum.RESET)
        with self._explained(f"job of connection {connection_id}"):
            return int(self._sdk.jobs.create_job(request=request).raw_response.json()["jobId"])

    def job_status(self, job_id: int) -> str:
        with self._explained(f"job {job_id}"):
            return str(self._sdk.jobs.get_job(request=api.GetJobRequest(job_id=job_id)).raw_response.json()["status"])

    def definitions(self, kind: Kind) -> builtins.list[Json]:
        """The connectors that the workspace can use."""
        with self._explained(f"{kind} definitions"):
            path = f"/workspaces/{self.workspace_id}/definitions/{kind}s"
            return self._actors.call("GET", path).json()["data"]

    def state(self, connection_id: str) -> bytes:
        """A connection's cursor state, as the server writes it: decoding would lose digits of wide numbers."""
        with self._explained(f"state of connection {connection_id}"):
            body = orjson.dumps({"connectionId": connection_id})
            return self._actors.call("POST", "/state/get", content=body, base=self._config_api).content

    def replace_state(self, connection_id: str, state: bytes) -> None:
        """Replace the whole state by one that :meth:`state` gave, of this connection or of another."""
        with self._explained(f"state of connection {connection_id}"):
            body = orjson.dumps({"connectionId": connection_id, "connectionState": orjson.Fragment(state)})
            self._actors.call("POST", "/state/create_or_update_safe", content=body, base=self._config_api)

    @property
    def _config_api(self) -> str:
        """The public API cannot read or write state; the Config API beside it can, where people may reach it."""
        if not self.url.endswith("/api/public/v1"):
            raise ApiError(
                f"the public API has no state, and beside {self.url} there is no Config API that could: on Airbyte "
                "Cloud, read and set the state on the connection's settings page"
            )
        return self.url.removesuffix("/api/public/v1") + "/api/v1"

    def _workspaces_page(self, offset: int) -> Json:
        request = api.ListWorkspacesRequest(limit=_PAGE, offset=offset)
        return self._sdk.workspaces.list_workspaces(request=request).raw_response.json()

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
    """Sources, destinations and what the SDK lacks, over the SDK's transport and sign-in, but not through its models.

    Its configuration models are closed unions of the connectors known when it was generated: they drop keys they do
    not know (``api_endpoint``), resolve unknown connectors to whatever fits first, and refuse the answers of servers
    that leave the discriminator out: https://github.com/airbytehq/airbyte-api-python-sdk/issues/114
    """

    def __init__(self, sdk: AirbyteAPI) -> None:
        super().__init__(sdk.sdk_configuration, parent_ref=sdk)

    def page(self, kind: Kind, workspace_id: str, offset: int) -> Json:
        query: dict[str, str | int] = {"workspaceIds": workspace_id, "limit": _PAGE, "offset": offset}
        return self.call("GET", f"/{kind}s", query=query).json()

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        content: bytes | None = None,
        base: str | None = None,
    ) -> httpx.Response:
        """The server's JSON answer to JSON ``content``; ``base`` for another API of the same server."""
        base_url = base or self._get_url(None, None)
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
            get_serialized_body=lambda: (
                None if content is None else SerializedRequestBody(media_type="application/json", content=content)
            ),
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
        return response


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


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
