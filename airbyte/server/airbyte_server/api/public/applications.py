"""``/applications``: the one this server is told of, and ``token``, which gives an access token for its credentials."""

from __future__ import annotations

import uuid
from typing import Any

import orjson
from fastapi import APIRouter, Request

from airbyte_server.api.requests import ServicesDep, services
from airbyte_server.auth import TOKEN_SECONDS
from airbyte_server.errors import bad_request, not_found, unauthorized
from airbyte_server.vault import MASK

# The token endpoint, which needs no token, and the rest, which does.
router = APIRouter(tags=["applications"])
guarded_router = APIRouter(prefix="/applications", tags=["applications"])

_APPLICATIONS = uuid.UUID("8f4b7b3e-0a52-4c8e-9d43-6f3a3c1f9d57")

_CREDENTIALS: dict[str, Any] = {
    "type": "object",
    "required": ["client_id", "client_secret"],
    "properties": {
        "grant_type": {"const": "client_credentials"},
        "client_id": {"type": "string"},
        "client_secret": {"type": "string", "format": "password"},
    },
}
_CONTENT = {
    media_type: {"schema": _CREDENTIALS} for media_type in ("application/x-www-form-urlencoded", "application/json")
}


@router.post("/applications/token", openapi_extra={"requestBody": {"required": True, "content": _CONTENT}})
async def create_token(request: Request) -> dict[str, Any]:
    """An access token for client credentials, as a form (OAuth2) or as JSON."""
    if request.headers.get("content-type", "").startswith("application/json"):
        try:
            given: Any = orjson.loads(await request.body())
        except orjson.JSONDecodeError as error:
            raise bad_request(f"the body is not JSON: {error}") from error
    else:
        given = await request.form()
    try:
        client_id, client_secret = given["client_id"], given["client_secret"]
    except (KeyError, TypeError) as error:
        raise bad_request("client_id and client_secret are required") from error
    authenticator = services(request).authenticator
    if not authenticator.credentials_match(str(client_id), str(client_secret)):
        raise unauthorized()
    return {"access_token": authenticator.issue(), "token_type": "Bearer", "expires_in": TOKEN_SECONDS}


def response(client_id: str) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid5(_APPLICATIONS, client_id)),
        "name": "Default application",
        "clientId": client_id,
        "clientSecret": MASK,
        # It comes with the server's settings and was never created.
        "createdAt": 0,
    }


@guarded_router.get("")
def list_applications(services: ServicesDep) -> dict[str, Any]:
    return {"applications": [response(services.authenticator.client_id)]}


@guarded_router.get("/{application_id}")
def get_application(application_id: uuid.UUID, services: ServicesDep) -> dict[str, Any]:
    application = response(services.authenticator.client_id)
    if application["id"] != str(application_id):
        raise not_found("application", application_id)
    return application
