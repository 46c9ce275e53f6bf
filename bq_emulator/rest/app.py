"""The application: every route of every resource."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bq_emulator.emulator import Emulator
from bq_emulator.model import BigQueryError
from bq_emulator.rest import datasets, jobs, policies, projects, routines, tabledata, tables, uploads
from bq_emulator.rest.call import endpoint, error_response

_PREFIX = "/bigquery/v2"


async def _healthz(request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _no_route(request: Request, error: Exception) -> Response:
    return error_response(
        BigQueryError("notImplemented", f"{request.method} {request.url.path} is not in this emulator.")
    )


def create_app(emulator: Emulator) -> Starlette:
    handlers = (
        *projects.ROUTES,
        *datasets.ROUTES,
        *tables.ROUTES,
        *policies.ROUTES,
        *tabledata.ROUTES,
        *jobs.ROUTES,
        *routines.ROUTES,
    )
    routes = [Route("/healthz", _healthz)]
    routes += [Route(_PREFIX + path, endpoint(handler), methods=[method]) for method, path, handler in handlers]
    routes += [
        Route(f"{prefix}{_PREFIX}/projects/{{project}}/jobs", uploads.upload, methods=["POST", "PUT"])
        for prefix in ("/upload", "/resumable/upload")
    ]
    app = Starlette(routes=routes, exception_handlers={404: _no_route, 405: _no_route})
    app.state.emulator = emulator
    app.state.uploads = uploads.Uploads(emulator)
    return app
