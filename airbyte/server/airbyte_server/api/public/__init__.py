"""The public API (https://reference.airbyte.com), one module per resource."""

from __future__ import annotations

from fastapi import Depends, FastAPI

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
from airbyte_server.api.requests import METHODS, authenticate, not_served


def include(app: FastAPI, prefix: str) -> None:
    """Add all routes below ``prefix``; what is not served answers the platform's own "not implemented" problem.

    Straight to the application: FastAPI analyses every route again for each router that it passes through.
    """
    for open_to_all in (health.router, applications.router):
        app.include_router(open_to_all, prefix=prefix)
    guard = [Depends(authenticate)]
    guarded = (workspaces, connections, streams, jobs, tags, definitions, declarative_definitions, organizations)
    routers = [applications.guarded_router, *(module.router for module in guarded)]
    routers += [actors.build_router("source"), actors.build_router("destination")]
    for router in routers:
        app.include_router(router, prefix=prefix, dependencies=guard)
    app.add_api_route(prefix + "/{path:path}", not_served, methods=METHODS, dependencies=guard, include_in_schema=False)
