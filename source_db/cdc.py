"""Change data capture of the demo database: the publication and the slot that Airbyte's source reads.

Neither is there by default: a slot that nobody reads keeps the whole log.
"""

from __future__ import annotations

from psycopg import sql

from source_db.database import TABLES, Connection, SourceDatabaseError

PUBLICATION = "airbyte_publication"
SLOT = "airbyte_slot"


def enable(connection: Connection) -> None:
    """Publish the marketplace's tables and keep the log from here on; does nothing where that is done.

    Raises:
        SourceDatabaseError: where the server's log holds no changes of rows.
    """
    level = connection.execute("SELECT current_setting('wal_level')").fetchone()
    if level != ("logical",):
        raise SourceDatabaseError("The server's wal_level is not logical; set it and restart the server.")
    tables = sql.SQL(", ").join(map(sql.Identifier, TABLES))
    found = connection.execute("SELECT 1 FROM pg_publication WHERE pubname = %s", [PUBLICATION]).fetchone()
    statement = sql.SQL("ALTER PUBLICATION {} SET TABLE {}" if found else "CREATE PUBLICATION {} FOR TABLE {}")
    connection.execute(statement.format(sql.Identifier(PUBLICATION), tables))
    if not connection.execute("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", [SLOT]).fetchone():
        connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [SLOT])


def disable(connection: Connection) -> None:
    """Let the log go: drop the slot and the publication, where they are there."""
    connection.execute(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s", [SLOT]
    )
    connection.execute(sql.SQL("DROP PUBLICATION IF EXISTS {}").format(sql.Identifier(PUBLICATION)))
