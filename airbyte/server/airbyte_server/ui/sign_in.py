"""``/sign-in`` and ``/sign-out``."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, Response

from airbyte_server.api.requests import ServicesDep
from airbyte_server.ui.access import acting, begin_session, end_session, forbidden, is_foreign, local_address
from airbyte_server.ui.page import PageDep, PageRoute, redirect

router = APIRouter(route_class=PageRoute)

# What makes guessing slow.
_PENALTY_SECONDS = 0.5


@router.get("/sign-in")
def form(page: PageDep, next: str = "/") -> HTMLResponse:
    return page.render("sign_in.html", next=local_address(next), wrong=False)


@router.post("/sign-in")
async def sign_in(
    request: Request,
    page: PageDep,
    services: ServicesDep,
    client_id: Annotated[str, Form()] = "",
    client_secret: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",
) -> Response:
    """With the credentials that clients of the API have."""
    if is_foreign(request):
        raise forbidden("Another site has sent this form. Open the sign-in page here.")
    if not services.authenticator.credentials_match(client_id, client_secret):
        await asyncio.sleep(_PENALTY_SECONDS)
        return page.render("sign_in.html", status=401, next=local_address(next), wrong=True)
    answer = redirect(local_address(next))
    begin_session(answer, request, services)
    return answer


@router.post("/sign-out", dependencies=[Depends(acting)])
def sign_out() -> Response:
    answer = redirect("/")
    end_session(answer)
    return answer
