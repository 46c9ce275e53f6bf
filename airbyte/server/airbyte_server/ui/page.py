"""One page: its template filled in, the headers that every page has, and errors as pages."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Coroutine
from functools import cache
from importlib.resources import files
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, FunctionLoader, StrictUndefined

from airbyte_server.api.requests import ServicesDep, SessionDep, existing
from airbyte_server.database import Workspace
from airbyte_server.errors import Problem
from airbyte_server.services import Services
from airbyte_server.ui.access import AccessDep, SignInNeeded, access
from airbyte_server.ui.formats import FILTERS

logger = logging.getLogger(__name__)

ASSETS = {"app.css": "text/css", "app.js": "text/javascript", "favicon.svg": "image/svg+xml"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@cache
def asset(name: str) -> bytes:
    return (files(__package__) / "assets" / name).read_bytes()


@cache
def asset_address(name: str) -> str:
    """With its content's hash, so that browsers may keep it for ever."""
    return f"/assets/{hashlib.sha256(asset(name)).hexdigest()[:12]}/{name}"


_templates = Environment(
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    loader=FunctionLoader(lambda name: (files(__package__) / "templates" / name).read_text()),
    auto_reload=False,
)
_templates.filters.update(FILTERS)
_templates.globals["asset"] = asset_address


class Page:
    """What every page needs: the request, services, a session, who is asking."""

    def __init__(self, request: Request, services: ServicesDep, session: SessionDep, granted: AccessDep) -> None:
        self.request = request
        self.services = services
        self.session = session
        self.access = granted

    def workspace(self, workspace_id: Any) -> Workspace:
        return existing(self.session, Workspace, workspace_id, "workspace")

    def render(self, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        return _rendered(template, status, {"access": self.access, "workspace": None, **values})


PageDep = Annotated[Page, Depends(Page, scope="function")]


def _rendered(template: str, status: int, values: dict[str, Any]) -> HTMLResponse:
    return HTMLResponse(_templates.get_template(template).render(values), status, _HEADERS)


def redirect(address: str) -> RedirectResponse:
    """To be followed with GET."""
    return RedirectResponse(address, 303)


_TITLES = {
    400: "That cannot be done",
    403: "Not allowed",
    404: "Not found",
    409: "Not now",
    422: "That cannot be done",
    500: "The server failed",
}


class PageRoute(APIRoute):
    """A route whose errors are pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def with_pages(request: Request) -> Response:
            try:
                return await handler(request)
            except SignInNeeded as needed:
                return redirect(needed.address)
            except Problem as problem:
                return _error(request, problem.status, _plain(problem))
            except RequestValidationError as error:
                wrong = "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error.errors())
                return _error(request, 404, f"No page has this address ({wrong}).")
            except Exception as error:
                logger.error("%s %s", request.method, request.url.path, exc_info=error)
                return _error(request, 500, "The page could not be made; the server's log tells why.")

        return with_pages


def _plain(problem: Problem) -> str:
    data = problem.body["data"]
    if problem.status == 404 and data.get("resourceType"):
        return f"There is no {data['resourceType']} {data['resourceId']}; it may have been deleted."
    return str(data.get("message") or problem.body["detail"])


def _error(request: Request, status: int, message: str) -> HTMLResponse:
    services: Services = request.app.state.services
    values = {"access": access(request, services), "workspace": None, "title": _TITLES.get(status, "That did not work")}
    return _rendered("error.html", status, {**values, "status": status, "message": message})
