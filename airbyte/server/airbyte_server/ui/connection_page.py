"""What all pages of one connection share: its header, and the address of each."""

from __future__ import annotations

import uuid
from typing import Any

from fastapi.responses import HTMLResponse

from airbyte_server.api.public import connections as public
from airbyte_server.api.requests import existing
from airbyte_server.database import Connection
from airbyte_server.errors import not_found
from airbyte_server.schema_changes import describe
from airbyte_server.ui.declared import Declaration, Declarations
from airbyte_server.ui.health import connection_health
from airbyte_server.ui.page import Page
from airbyte_server.ui.runs import Run, latest_runs

TABS = (
    ("status", "Status"),
    ("timeline", "Timeline"),
    ("replication", "Schema"),
    ("settings", "Settings"),
    ("declared", "Declared vs applied"),
)
DONE = {
    "sync": "The sync has been started.",
    "refresh": "The refresh has been started.",
    "clear": "The clear has been started.",
    "cancelled": "The job has been cancelled.",
    "enabled": "The connection is enabled.",
    "disabled": "The connection is disabled: nothing starts by itself until it is enabled again.",
}
"""What an action leads back with."""


class ConnectionPage:
    """A connection in its workspace; a 404 problem if it is not there. ``runs``: its last jobs, the newest first."""

    def __init__(self, page: Page, workspace_id: uuid.UUID, connection_id: uuid.UUID, runs: int = 1) -> None:
        self.page = page
        self.workspace = page.workspace(workspace_id)
        self.connection = existing(page.session, Connection, connection_id, "connection")
        if self.connection.workspace_id != workspace_id:
            raise not_found("connection", connection_id)
        self.runs: list[Run] = latest_runs(page.session, connection_id, runs)
        self.address = f"/workspaces/{workspace_id}/connections/{connection_id}"

    @property
    def latest(self) -> Run | None:
        return self.runs[0] if self.runs else None

    def declaration(self) -> Declaration | None:
        declarations: Declarations = self.page.request.app.state.declarations
        return declarations.find("connection", self.connection.name)

    def applied(self) -> dict[str, Any]:
        """The connection as the public API answers it."""
        return public.response(self.connection)

    def differences(self) -> int:
        """How many settings and streams differ from what is declared; 0 too where nothing is."""
        declaration = self.declaration()
        if declaration is None or declaration.document is None:
            return 0
        return len(declaration.connection_changes(self.applied()))

    def render(self, template: str, tab: str, **values: Any) -> HTMLResponse:
        connection = self.connection
        return self.page.render(
            template,
            workspace=self.workspace,
            connection=connection,
            address=self.address,
            tabs=TABS,
            tab=tab,
            latest=self.latest,
            health=connection_health(connection, self.latest),
            schema_change=_open_change(connection),
            differences=self.differences(),
            notice=DONE.get(self.page.request.query_params.get("done", ""), ""),
            **values,
        )


def _open_change(connection: Connection) -> str:
    """What has changed in the source and is not decided about."""
    return "" if connection.schema_change == "no_change" else describe(connection.schema_diff or [])
