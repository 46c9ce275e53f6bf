"""``/organizations``, ``/users``: one fixed entry each; this server has one user, whoever knows the client secret."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Query

from airbyte_server.errors import not_found

router = APIRouter(tags=["organizations"])

ORGANIZATION_ID = uuid.UUID(int=0)
ORGANIZATION_NAME = "Default Organization"
EMAIL = "local@example.com"


@router.get("/organizations")
def list_organizations() -> dict[str, Any]:
    entry = {"organizationId": str(ORGANIZATION_ID), "organizationName": ORGANIZATION_NAME, "email": EMAIL}
    return {"data": [entry]}


@router.get("/users")
def list_users(
    organization_id: Annotated[uuid.UUID, Query(alias="organizationId")],
    ids: Annotated[list[str] | None, Query()] = None,
    emails: Annotated[list[str] | None, Query()] = None,
) -> dict[str, Any]:
    if organization_id != ORGANIZATION_ID:
        raise not_found("organization", organization_id)
    user = {"id": str(ORGANIZATION_ID), "name": "Local user", "email": EMAIL}
    asked = (not ids or user["id"] in ids) and (not emails or EMAIL in emails)
    return {"data": [user] if asked else []}
