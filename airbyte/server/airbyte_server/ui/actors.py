"""``/workspaces/{id}/source`` and ``/destination``: what is configured (secrets masked), whether it works."""

from __future__ import annotations

import json
import uuid
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse
from sqlalchemy import func, select
from sqlalchemy.orm import defer

from airbyte_server.api.requests import existing_actor
from airbyte_server.database import Actor, Connection, DiscoveredCatalog
from airbyte_server.definitions import Kind
from airbyte_server.errors import not_found
from airbyte_server.ui.access import acting
from airbyte_server.ui.declared import Declarations
from airbyte_server.ui.page import Page, PageDep, PageRoute


def build_router(kind: Kind) -> APIRouter:
    router = APIRouter(prefix=f"/workspaces/{{workspace_id}}/{kind}", route_class=PageRoute)

    @router.get("")
    def list_actors(workspace_id: uuid.UUID, page: PageDep) -> HTMLResponse:
        return _list(page, workspace_id, kind)

    @router.get("/{actor_id}")
    def show_actor(workspace_id: uuid.UUID, actor_id: uuid.UUID, page: PageDep) -> HTMLResponse:
        return _show(page, workspace_id, _actor(page, workspace_id, kind, actor_id))

    @router.post("/{actor_id}/check", dependencies=[Depends(acting)])
    def check_actor(workspace_id: uuid.UUID, actor_id: uuid.UUID, page: PageDep) -> HTMLResponse:
        actor = _actor(page, workspace_id, kind, actor_id)
        services = page.services
        succeeded, message, log = services.connectors.check(
            services.definition_of(actor), services.vault.decrypt(actor.configuration)
        )
        return _show(page, workspace_id, actor, {"succeeded": succeeded, "message": message, "log": log})

    return router


def _actor(page: Page, workspace_id: uuid.UUID, kind: Kind, actor_id: uuid.UUID) -> Actor:
    actor = existing_actor(page.session, kind, actor_id)
    if actor.workspace_id != workspace_id:
        raise not_found(kind, actor_id)
    return actor


def _list(page: Page, workspace_id: uuid.UUID, kind: Kind) -> HTMLResponse:
    workspace = page.workspace(workspace_id)
    end = Connection.source_id if kind == "source" else Connection.destination_id
    count = (
        select(func.count()).where(end == Actor.id, Connection.deleted_at.is_(None)).correlate(Actor).scalar_subquery()
    )
    of_workspace = (Actor.kind == kind, Actor.workspace_id == workspace_id, Actor.deleted_at.is_(None))
    query = (
        select(Actor, count).where(*of_workspace).order_by(func.lower(Actor.name)).options(defer(Actor.configuration))
    )
    rows = [
        {"actor": actor, "connections": connections, "definition": page.services.definition_of(actor)}
        for actor, connections in page.session.execute(query).tuples()
    ]
    return page.render("actors.html", workspace=workspace, kind=kind, rows=rows)


def _show(page: Page, workspace_id: uuid.UUID, actor: Actor, check: dict[str, Any] | None = None) -> HTMLResponse:
    end = Connection.source_id if actor.kind == "source" else Connection.destination_id
    connections = page.session.execute(
        select(Connection.id, Connection.name, Connection.status)
        .where(end == actor.id, Connection.deleted_at.is_(None))
        .order_by(Connection.name)
    ).all()
    configuration = page.services.public_configuration(actor)
    declarations: Declarations = page.request.app.state.declarations
    declaration = declarations.find(actor.kind, actor.name)  # type: ignore[arg-type]  # checked by the table
    difference = None
    if declaration is not None and declaration.document is not None:
        difference = declaration.actor_difference({"configuration": configuration})
    shown = {name: value for name, value in configuration.items() if name != f"{actor.kind}Type"}
    return page.render(
        "actor.html",
        workspace=page.workspace(workspace_id),
        actor=actor,
        definition=page.services.definition_of(actor),
        configuration=[(name, _text(value)) for name, value in shown.items()],
        connections=connections,
        discovered=page.session.get(DiscoveredCatalog, actor.id),
        declaration=declaration,
        difference=difference,
        check=check,
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
