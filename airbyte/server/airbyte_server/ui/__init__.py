"""What a person sees who opens the server's address: a review UI with the addresses of upstream's.

Pages are made on the server and work without scripts; a small script keeps those of running jobs up to date.
"""

from __future__ import annotations

from fastapi import APIRouter, Depends, FastAPI
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

assets = APIRouter()


@assets.get("/assets/{version}/{name}")
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


def include(app: FastAPI) -> None:
    """Add all pages, straight to the application as its other routes are."""
    readable = [one.router for one in (connections, status, timeline, logs, schema, connection_settings)]
    readable += [actors.build_router("source"), actors.build_router("destination"), actions.questions]
    for router in readable:
        app.include_router(router, dependencies=[Depends(reading)], include_in_schema=False)
    # The last one answers for addresses that none before it has.
    for router in (assets, actions.router, sign_in.router, _lost):
        app.include_router(router, include_in_schema=False)
