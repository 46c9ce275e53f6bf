"""The ASGI application: routers under their prefixes, errors in the platform's shapes."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from airbyte_server import __version__, ui
from airbyte_server.api import config, public
from airbyte_server.api.public import applications
from airbyte_server.errors import Problem, not_implemented
from airbyte_server.services import Services
from airbyte_server.ui.declared import Declarations

logger = logging.getLogger(__name__)

PUBLIC_PREFIX = "/api/public/v1"
_PROBLEM_500 = Problem(500, "unexpected-problem", "The server failed; its log tells why.")


def create_app(services: Services) -> FastAPI:
    """The application on ``services``, which it starts and stops."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.declarations = Declarations(services.settings.declared_dir)
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
    public.include(app, PUBLIC_PREFIX)
    config.include(app, "/api/v1")
    # The SDK's own default address of the token endpoint.
    app.include_router(applications.router, include_in_schema=False)
    ui.include(app)
    app.add_middleware(_Alias)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)
    return app


class _Alias:
    """``/v1``, as Airbyte Cloud has it: the same routes once more would cost a sixth of the server's start."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/v1/"):
            scope = {**scope, "path": PUBLIC_PREFIX + scope["path"].removeprefix("/v1")}
        await self._app(scope, receive, send)


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
