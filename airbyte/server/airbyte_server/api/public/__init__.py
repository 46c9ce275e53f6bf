"""The public API (https://reference.airbyte.com), one module per resource."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request

from airbyte_server.api.public import (
    actors,
    applications,
    connections,
    declarative_definitions,
    definitions,
    health,
    jobs,
    organizations,
    streams,
    tags,
    workspaces,
)
from airbyte_server.api.requests import authenticate
from airbyte_server.errors import not_implemented


def build_router() -> APIRouter:
    """All routes without their prefix; what is not served answers the platform's own "not implemented" problem."""
    router = APIRouter()
    router.include_router(health.router)
    router.include_router(applications.router)
    guarded = APIRouter(dependencies=[Depends(authenticate)])
    guarded.include_router(applications.guarded_router)
    for module in (workspaces, connections, streams, jobs, tags, definitions, declarative_definitions, organizations):
        guarded.include_router(module.router)
    for kind in ("source", "destination"):
        guarded.include_router(actors.build_router(kind))  # type: ignore[arg-type]  # the two kinds

    @guarded.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
    def rest(path: str, request: Request) -> None:
        raise not_implemented(request.method, request.url.path)

    router.include_router(guarded)
    return router
