"""``POST /applications/token``: client credentials for an access token, as a form (OAuth2) or as JSON."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import APIRouter, Request

from airbyte_server.api.requests import services
from airbyte_server.auth import TOKEN_SECONDS
from airbyte_server.errors import bad_request, unauthorized

router = APIRouter(tags=["applications"])

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
