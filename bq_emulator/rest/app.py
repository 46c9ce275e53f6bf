"""The application: every route of every resource."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bq_emulator.emulator import Emulator
from bq_emulator.model import BigQueryError
from bq_emulator.rest import datasets, jobs, models, policies, projects, routines, tabledata, tables, uploads
from bq_emulator.rest.call import endpoint, error_response
from bq_emulator.rest.methods import name_of

_PREFIX = "/bigquery/v2"
#: Each a verb, a path and what answers.
ROUTES = (
    *projects.ROUTES,
    *datasets.ROUTES,
    *tables.ROUTES,
    *policies.ROUTES,
    *tabledata.ROUTES,
    *jobs.ROUTES,
    *routines.ROUTES,
    *models.ROUTES,
)


async def _healthz(request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _no_route(request: Request, error: Exception) -> Response:
    path = request.url.path
    method = name_of(request.method, path.removeprefix(_PREFIX)) if path.startswith(_PREFIX) else None
    what = method or f"{request.method} {path}"
    return error_response(BigQueryError("notImplemented", f"{what} is not in this emulator."))


def create_app(emulator: Emulator) -> Starlette:
    routes = [Route("/healthz", _healthz)]
    routes += [Route(_PREFIX + path, endpoint(handler), methods=[method]) for method, path, handler in ROUTES]
    routes += [
        Route(f"{prefix}{_PREFIX}/projects/{{project}}/jobs", uploads.upload, methods=["POST", "PUT"])
        for prefix in ("/upload", "/resumable/upload")
    ]
    app = Starlette(routes=routes, exception_handlers={404: _no_route, 405: _no_route})
    app.state.emulator = emulator
    app.state.uploads = uploads.Uploads(emulator)
    return app
