"""The ASGI application: routers under their prefixes, errors in the platform's shapes."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from airbyte_server import __version__, pages
from airbyte_server.api import config, public
from airbyte_server.api.public import applications, jobs
from airbyte_server.api.requests import authenticate
from airbyte_server.errors import Problem, not_implemented
from airbyte_server.services import Services

logger = logging.getLogger(__name__)

PUBLIC_PREFIX = "/api/public/v1"
_PROBLEM_500 = Problem(500, "unexpected-problem", "The server failed; its log tells why.")


def create_app(services: Services) -> FastAPI:
    """The application on ``services``, which it starts and stops."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(services.start)
        yield
        await run_in_threadpool(services.stop)

    app = FastAPI(
        title="Airbyte API (embedded server)",
        version=__version__,
        lifespan=lifespan,
        openapi_url=f"{PUBLIC_PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = services
    router = public.build_router()
    app.include_router(router, prefix=PUBLIC_PREFIX)
    app.include_router(router, prefix="/v1", include_in_schema=False)
    app.include_router(_config_router(), prefix="/api/v1")
    # The SDK's own default address of the token endpoint.
    app.include_router(applications.router, include_in_schema=False)
    app.include_router(pages.router, include_in_schema=False)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)
    return app


def _config_router() -> APIRouter:
    """The Config API, and the few public calls that the Airflow provider makes under this prefix."""
    router = APIRouter()
    router.include_router(applications.router)
    guarded = APIRouter(dependencies=[Depends(authenticate)])
    guarded.add_api_route("/jobs", jobs.create_job, methods=["POST"])
    guarded.add_api_route("/jobs/{job_id:int}", jobs.get_job, methods=["GET"])
    guarded.add_api_route("/jobs/{job_id:int}", jobs.cancel_job, methods=["DELETE"])
    router.include_router(guarded)
    router.include_router(config.build_router())
    return router


def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 - registered for this class
    return JSONResponse(error.body, error.status)


def _bad_request(messages: list[str]) -> Response:
    """What the platform's web framework answers for malformed requests."""
    body: dict[str, Any] = {
        "message": "Bad Request",
        "_links": {},
        "_embedded": {"errors": [{"message": message} for message in messages]},
    }
    return JSONResponse(body, 400)


def _invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class
    return _bad_request([f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors()])


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
    if error.status_code == 405:
        return _problem(request, not_implemented(request.method, request.url.path))
    slug = "resource-not-found" if error.status_code == 404 else "unexpected-problem"
    return _problem(request, Problem(error.status_code, slug, f"{request.method} {request.url.path}: {error.detail}"))


def _unexpected(request: Request, error: Exception) -> Response:
    logger.error("%s %s", request.method, request.url.path, exc_info=error)
    return JSONResponse(_PROBLEM_500.body, 500)
