"""The calls of the Config API (``POST /api/v1/…``) that tools and people still use, one module per resource."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request

from airbyte_server.api.config import actors, connections, definitions, jobs, scoped_jobs, state, workspaces
from airbyte_server.api.public import health
from airbyte_server.api.requests import ServicesDep, authenticate
from airbyte_server.errors import not_implemented


def build_router() -> APIRouter:
    """All routes without their prefix; what is not served answers the platform's "not implemented" problem."""
    router = APIRouter(tags=["config api"])

    @router.get("/health")
    def get_health(services: ServicesDep) -> dict[str, bool]:
        health.get_health(services)
        return {"available": True}

    guarded = APIRouter(dependencies=[Depends(authenticate)])
    for kind in ("source", "destination"):
        guarded.include_router(actors.build_router(kind))  # type: ignore[arg-type]  # the two kinds
        guarded.include_router(definitions.build_router(kind))  # type: ignore[arg-type]
    for module in (connections, scoped_jobs, jobs, state, workspaces):
        guarded.include_router(module.router)

    @guarded.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
    def rest(path: str, request: Request) -> None:
        raise not_implemented(request.method, request.url.path)

    router.include_router(guarded)
    return router
