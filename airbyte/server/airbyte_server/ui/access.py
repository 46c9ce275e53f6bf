"""Who may see the pages and who may act on them.

Acting asks for what the API call behind it asks for: the session's cookie holds one of the API's own access tokens.
Reading needs it, too, unless the server listens on a loopback address only.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Form, Request
from fastapi.responses import Response

from airbyte_server.api.requests import ServicesDep
from airbyte_server.errors import Problem
from airbyte_server.services import Services

_COOKIE = "airbyte_session"
_SESSION_SECONDS = 8 * 3600
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


class SignInNeeded(Exception):
    """``then``: where to go on after signing in."""

    def __init__(self, then: str) -> None:
        super().__init__(then)
        self.address = f"/sign-in?next={quote(then, safe='/')}"


@dataclass(frozen=True)
class Access:
    """``csrf`` is what forms must carry; empty without a session."""

    signed_in: bool
    may_read: bool
    csrf: str


def access(request: Request, services: ServicesDep) -> Access:
    token = request.cookies.get(_COOKIE, "")
    signed_in = bool(token) and services.authenticator.is_valid(token)
    return Access(signed_in, signed_in or _is_open(request, services), _csrf(token) if signed_in else "")


AccessDep = Annotated[Access, Depends(access)]


def _is_open(request: Request, services: Services) -> bool:
    """A foreign site whose name leads to this machine (DNS rebinding) is kept out by the name it came under."""
    settings = services.settings
    return settings.loopback_only and not settings.ui_sign_in and request.url.hostname in _LOOPBACK_NAMES


def _csrf(token: str) -> str:
    """Only who can read the session's pages knows it, as the cookie itself is out of reach of scripts."""
    return hmac.digest(token.encode(), b"airbyte-server form", hashlib.sha256).hex()


def reading(request: Request, granted: AccessDep) -> None:
    """Demand the right to read, else lead to the sign-in page."""
    if not granted.may_read:
        raise SignInNeeded(_address(request))


def acting(request: Request, granted: AccessDep, csrf: Annotated[str, Form()] = "") -> None:
    """Demand a session and a form of its pages."""
    if not granted.signed_in:
        raise SignInNeeded(_address_of_referer(request))
    if not hmac.compare_digest(csrf.encode(), granted.csrf.encode()):
        raise forbidden("The form was not made for this session. Open the page again and repeat what you did.")


def forbidden(detail: str) -> Problem:
    return Problem(403, "forbidden", detail)


def is_foreign(request: Request) -> bool:
    """Whether a browser says that another site sent this request."""
    return request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")


def begin_session(answer: Response, request: Request, services: Services) -> None:
    answer.set_cookie(
        _COOKIE,
        services.authenticator.issue(_SESSION_SECONDS),
        max_age=_SESSION_SECONDS,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )


def end_session(answer: Response) -> None:
    answer.delete_cookie(_COOKIE)


def local_address(wanted: str) -> str:
    """``wanted`` if it is a path of this server, else the start page: nobody is sent on to another site."""
    is_path = wanted.startswith("/") and not wanted.startswith("//") and "\\" not in wanted and wanted.isprintable()
    return wanted if is_path else "/"


def _address(request: Request) -> str:
    return f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path


def _address_of_referer(request: Request) -> str:
    """The page that a form was on."""
    base, referer = str(request.base_url), request.headers.get("referer", "")
    return "/" + referer.removeprefix(base) if referer.startswith(base) else "/"
