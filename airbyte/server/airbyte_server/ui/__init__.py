"""What a person sees who opens the server's address: a review UI with the addresses of upstream's.

Pages are made on the server and work without scripts; a small script keeps those of running jobs up to date.
"""

from __future__ import annotations

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from airbyte_server.errors import not_found
from airbyte_server.ui import (
    actions,
    actors,
    connection_settings,
    connections,
    logs,
    schema,
    sign_in,
    status,
    timeline,
)
from airbyte_server.ui.access import reading
from airbyte_server.ui.page import ASSETS, PageRoute, asset

router = APIRouter(include_in_schema=False)


@router.get("/assets/{version}/{name}")
def get_asset(version: str, name: str) -> Response:
    """A file that pages link to by its content's hash; it never changes."""
    if name not in ASSETS:
        raise not_found("asset", name)
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return Response(asset(name), media_type=ASSETS[name], headers=headers)


_lost = APIRouter(prefix="/workspaces", route_class=PageRoute)


@_lost.get("/{path:path}")
def no_such_page(path: str) -> None:
    raise not_found("page", f"/workspaces/{path}")


for one in (connections, status, timeline, logs, schema, connection_settings):
    router.include_router(one.router, dependencies=[Depends(reading)])
for kind in ("source", "destination"):
    router.include_router(actors.build_router(kind), dependencies=[Depends(reading)])  # type: ignore[arg-type]
router.include_router(actions.questions)
router.include_router(actions.router)
router.include_router(sign_in.router)
router.include_router(_lost)
