"""The calls of the Config API (``POST /api/v1/…``) that tools and people still use, one module per resource."""

from __future__ import annotations

from enum import Enum

from fastapi import Depends, FastAPI

from airbyte_server.api.config import actors, connections, definitions, jobs, scoped_jobs, state, workspaces
from airbyte_server.api.public import applications, health
from airbyte_server.api.public import jobs as public_jobs
from airbyte_server.api.requests import METHODS, ServicesDep, authenticate, not_served
from airbyte_server.definitions import Kind

_TAGS: list[str | Enum] = ["config api"]


def include(app: FastAPI, prefix: str) -> None:
    """Add all routes below ``prefix``; what is not served answers the platform's "not implemented" problem.

    Among them are the few public calls that the Airflow provider makes under this prefix.
    """
    app.include_router(applications.router, prefix=prefix)
    app.add_api_route(f"{prefix}/health", get_health, methods=["GET"], tags=_TAGS)
    guard = [Depends(authenticate)]
    for endpoint, path, method in (
        (public_jobs.create_job, "/jobs", "POST"),
        (public_jobs.get_job, "/jobs/{job_id:int}", "GET"),
        (public_jobs.cancel_job, "/jobs/{job_id:int}", "DELETE"),
    ):
        app.add_api_route(prefix + path, endpoint, methods=[method], dependencies=guard)
    routers = [module.router for module in (connections, scoped_jobs, jobs, state, workspaces)]
    kinds: tuple[Kind, ...] = ("source", "destination")
    routers += [module.build_router(kind) for kind in kinds for module in (actors, definitions)]
    for router in routers:
        app.include_router(router, prefix=prefix, dependencies=guard, tags=_TAGS)
    app.add_api_route(prefix + "/{path:path}", not_served, methods=METHODS, dependencies=guard, include_in_schema=False)


def get_health(services: ServicesDep) -> dict[str, bool]:
    health.get_health(services)
    return {"available": True}
