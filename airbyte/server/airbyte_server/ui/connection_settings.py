"""``…/settings`` and ``…/declared``: how the connection is set, where it stands, what the repo says."""

from __future__ import annotations

import uuid

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response
from sqlalchemy import select

from airbyte_server.api.config import state as states
from airbyte_server.api.config.connections import ConnectionId
from airbyte_server.database import StreamState
from airbyte_server.ui.connection_page import ConnectionPage
from airbyte_server.ui.declared import Declarations, side_by_side
from airbyte_server.ui.page import PageDep, PageRoute

router = APIRouter(prefix="/workspaces/{workspace_id}/connections/{connection_id}", route_class=PageRoute)

_BEHAVIORS = {
    "ignore": "Ignored: what is new in the source is shown here, and not replicated.",
    "propagate_columns": "New, changed and removed fields are taken over with the next sync; new streams are not.",
    "propagate_fully": "Fields and streams are taken over with the next sync.",
    "disable_connection": "Any change disables the connection until someone has looked at it.",
}
_NAMESPACES = {
    "destination": "The destination's own, whatever the source's is called.",
    "source": "The same as in the source.",
    "custom_format": "By a format:",
}


@router.get("/settings")
def settings(workspace_id: uuid.UUID, connection_id: uuid.UUID, page: PageDep) -> HTMLResponse:
    shown = ConnectionPage(page, workspace_id, connection_id)
    of_connection = select(StreamState).where(StreamState.connection_id == connection_id)
    return shown.render(
        "settings.html",
        "settings",
        behavior=_BEHAVIORS[shown.connection.non_breaking_changes],
        namespace=_NAMESPACES[shown.connection.namespace_definition],
        states=page.session.scalars(of_connection.order_by(StreamState.namespace, StreamState.name)).all(),
    )


@router.get("/settings/state.json")
def export_state(workspace_id: uuid.UUID, connection_id: uuid.UUID, page: PageDep) -> Response:
    """What the Config API's ``state/get`` answers, and ``state/create_or_update_safe`` takes back."""
    shown = ConnectionPage(page, workspace_id, connection_id)
    state = states.get_state(ConnectionId(connection_id=connection_id), page.session)
    state.headers["Content-Disposition"] = f'attachment; filename="state-{shown.connection.id}.json"'
    return state


@router.get("/declared")
def declared(workspace_id: uuid.UUID, connection_id: uuid.UUID, page: PageDep) -> HTMLResponse:
    shown = ConnectionPage(page, workspace_id, connection_id)
    declarations: Declarations = page.request.app.state.declarations
    declaration = shown.declaration()
    readable = declaration is not None and declaration.document is not None
    applied = shown.applied()
    return shown.render(
        "declared.html",
        "declared",
        given=declarations.is_given,
        declaration=declaration,
        changes=declaration.connection_changes(applied) if declaration and readable else [],
        lines=side_by_side(declaration, applied) if declaration and readable else [],
    )
