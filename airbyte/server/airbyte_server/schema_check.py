"""The look at a source's schema before a connection is synced."""

from __future__ import annotations

import logging
import uuid
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from airbyte_server.catalog import stream_key
from airbyte_server.database import Connection, Database, now
from airbyte_server.discovery import Discovery
from airbyte_server.errors import Problem
from airbyte_server.replication.plan import drop_state
from airbyte_server.schema_changes import Diff, catalog_diff, describe, is_breaking, propagate

logger = logging.getLogger(__name__)


def stream_names(catalog: dict[str, Any]) -> list[list[str]]:
    """What ``Connection.known_streams`` holds for a discovered catalog."""
    return [list(stream_key(stream)) for stream in catalog["streams"]]


def connection_diff(connection: Connection, catalog: dict[str, Any]) -> Diff:
    known = connection.known_streams if connection.known_streams is not None else stream_names(catalog)
    return catalog_diff(connection.streams, known, catalog["streams"])


class SchemaCheck:
    """``max_age``: how old the last discovery may be before a sync makes another; the platform's is a day."""

    def __init__(self, database: Database, discovery: Discovery, max_age: timedelta) -> None:
        self._database = database
        self._discovery = discovery
        self._max_age = max_age

    def before_sync(self, connection_id: uuid.UUID) -> str | None:
        """Find changes, store them, do as the connection's setting says; why it must not be synced, or ``None``.

        A source that cannot be discovered now is no reason: the sync itself will tell, and may be repeated.
        """
        with self._database.session.begin() as session:
            source = session.get_one(Connection, connection_id).source
            try:
                catalog = self._discovery.discover(session, source, max_age=self._max_age).catalog
            except Problem as problem:
                logger.warning("syncing connection %s with the schema known: %s", connection_id, problem.body)
                return None
            connection = session.get_one(Connection, connection_id, with_for_update=True, populate_existing=True)
            return self._handle(session, connection, catalog)

    def _handle(self, session: Session, connection: Connection, catalog: dict[str, Any]) -> str | None:
        if connection.known_streams is None:
            connection.known_streams = stream_names(catalog)
        diff = connection_diff(connection, catalog)
        connection.schema_change = "no_change"
        if not diff:
            return None
        connection.schema_diff, connection.schema_diff_at = diff, now()
        if is_breaking(diff):
            connection.schema_change = "breaking"
            _disable(connection, "SCHEMA_CHANGES_ARE_BREAKING")
            return (
                f"The source's schema has changed in a way that breaks the connection ({describe(diff)}): a cursor or "
                "primary key needs what is gone. Choose the connection's streams anew and set it to active."
            )
        behavior = connection.non_breaking_changes
        if behavior == "disable_connection":
            connection.schema_change = "non_breaking"
            _disable(connection, "DISABLE_CONNECTION_IF_ANY_SCHEMA_CHANGES")
            return (
                f"The source's schema has changed ({describe(diff)}), and the connection is set to be disabled then. "
                "Choose its streams anew and set it to active."
            )
        if behavior != "ignore":
            _propagate(session, connection, diff, catalog, fully=behavior == "propagate_fully")
        if connection_diff(connection, catalog):
            connection.schema_change = "non_breaking"
        return None


def _disable(connection: Connection, reason: str) -> None:
    connection.status = "inactive"
    connection.status_reason = reason


def _propagate(session: Session, connection: Connection, diff: Diff, catalog: dict[str, Any], *, fully: bool) -> None:
    connection.streams = propagate(connection.streams, diff, catalog["streams"], fully=fully)
    if fully:
        connection.known_streams = stream_names(catalog)
        for change in diff:
            if change["transformType"] == "remove_stream":
                drop_state(session, connection.id, stream_key(change["streamDescriptor"]))
