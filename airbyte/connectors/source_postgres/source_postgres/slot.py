"""What reading the log needs of the server: its settings, the slot, the publication, the tables' replica identities.

Everything here is made by the database's administrator; nothing is created or altered, and errors hold the SQL.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

from source_postgres.catalog import Table
from source_postgres.config import Cdc, Config
from source_postgres.connection import connect_replication
from source_postgres.errors import ConnectorError
from source_postgres.query import identifier, literal_text
from source_postgres.replication import lsn_text

#: A reader that was killed keeps its slot until the server has noticed: moments.
IN_USE_SECONDS = 15
_POLL_SECONDS = 0.05
#: Since this version a publication may leave out columns and rows.
_FILTERS_VERSION = 150000

_SLOT = """
SELECT slot_type, plugin, database, active, active_pid, confirmed_flush_lsn - '0/0'::pg_lsn AS confirmed,
       to_jsonb(s) ->> 'two_phase' = 'true' AS two_phase,
       to_jsonb(s) ->> 'wal_status' = 'lost' AS lost, to_jsonb(s) ->> 'invalidation_reason' AS invalidated
FROM pg_replication_slots s WHERE slot_name = %s
"""
_IDENTITY = """
SELECT c.relreplident::text AS identity, coalesce(key.indimmediate, true) AS immediate,
       (SELECT array_agg(a.attname::text) FROM pg_index i JOIN pg_attribute a
          ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) WHERE i.indrelid = c.oid AND i.indisreplident)
         AS index
FROM pg_class c LEFT JOIN pg_index key ON key.indrelid = c.oid AND key.indisprimary WHERE c.oid = %s
"""

# Partitioned tables of a publication, for it lists their partitions alone, which there may be none of at the moment.
_PARTITIONED = """
SELECT c.oid::int8 FROM pg_class c, pg_publication p
WHERE c.relkind = 'p' AND p.pubname = %s AND (
  p.puballtables {in_schema} OR EXISTS (SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid
    AND r.prrelid IN (SELECT relid FROM pg_partition_ancestors(c.oid))))
"""
_IN_SCHEMA = """OR EXISTS (
  SELECT FROM pg_publication_namespace n JOIN pg_class a ON a.relnamespace = n.pnnspid
  WHERE n.pnpubid = p.oid AND a.oid IN (SELECT relid FROM pg_partition_ancestors(c.oid)))"""

#: What the server has done, by pg_replication_slots.invalidation_reason.
_CAUSES = {
    "wal_removed": "has removed log that replication slot {slot} had not read yet (max_slot_wal_keep_size)",
    "idle_timeout": "has given up replication slot {slot} for nobody read it for long (idle_replication_slot_timeout)",
}


@dataclass(frozen=True)
class Slot:
    """``confirmed``: the log before this position is gone from the slot. ``system``: which server it is on. ``lost``:
    why the server has given the slot up, in its words; empty where it has not."""

    confirmed: int
    system: str
    lost: str


@dataclass(frozen=True)
class Published:
    """The relations of a publication by oid, partitions and their tables too, each with its columns (None: all)."""

    columns: dict[int, frozenset[str] | None]
    filtered: frozenset[int]


def wal_position(connection: psycopg.Connection[Any]) -> int:
    """The end of the log now."""
    row = connection.execute("SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::int8").fetchone()
    return row[0] if row else 0


def wal_flushed(connection: psycopg.Connection[Any]) -> int:
    """How much of the log is flushed, and so may be sent."""
    row = connection.execute("SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::int8").fetchone()
    return row[0] if row else 0


def check(connection: psycopg.Connection[Any], config: Config, cdc: Cdc, tables: Iterable[Table]) -> None:
    """What ``check`` tries for CDC: everything but reading.

    Raises:
        ConnectorError: config_error naming the first thing that is missing, with the SQL that makes it.
    """
    slot = find(connection, config, cdc)
    if slot.lost:
        raise lost(cdc, slot.lost)
    connect_replication(config).close()
    shown = published(connection, cdc)
    keyed = [table for table in tables if table.primary_key]
    replicated = [table for table in keyed if is_published(connection, shown, table)]
    if not replicated:
        raise ConnectorError(
            f"Publication {cdc.publication!r} holds no table with a primary key that user {config.username!r} "
            f"can read; ALTER PUBLICATION {identifier(cdc.publication)} ADD TABLE ….",
        )
    for table in replicated:
        require(connection, cdc, shown, table, table.columns)


def find(connection: psycopg.Connection[Any], config: Config, cdc: Cdc, *, wait: float = 0) -> Slot:
    """The configured slot; waits up to ``wait`` seconds for another reader to leave it.

    Raises:
        ConnectorError: config_error where the server or the slot cannot be read from, transient_error where the slot
            is in use.
    """
    _require_server(connection)
    row = _slot_row(connection, cdc)
    until = time.monotonic() + wait
    while row is not None and row.active and time.monotonic() < until:
        time.sleep(_POLL_SECONDS)
        row = _slot_row(connection, cdc)
    create = f"SELECT pg_create_logical_replication_slot({literal_text(cdc.slot)}, 'pgoutput');"
    again = f"SELECT pg_drop_replication_slot({literal_text(cdc.slot)}); {create}"
    if row is None:
        raise ConnectorError(f"Replication slot {cdc.slot!r} does not exist. Create the publication, then it: {create}")
    if row.slot_type != "logical" or row.plugin != "pgoutput":
        kind = f"logical with plugin {row.plugin}" if row.slot_type == "logical" else row.slot_type
        raise ConnectorError(f"Replication slot {cdc.slot!r} is {kind}, not logical with plugin pgoutput. {again}")
    if row.two_phase:
        raise ConnectorError(
            f"Replication slot {cdc.slot!r} is of two phases, which hands out transactions when they are prepared, "
            f"whether they will be committed or not. {again}"
        )
    if row.database != config.database:
        raise ConnectorError(
            f"Replication slot {cdc.slot!r} is of database {row.database!r}, not {config.database!r}; create one "
            f"of another name in {config.database!r}: SELECT pg_create_logical_replication_slot(…, 'pgoutput');"
        )
    if row.active:
        raise ConnectorError(
            f"Replication slot {cdc.slot!r} is in use by the process {row.active_pid} of the server; give each "
            f"connection a slot of its own, or end that one: SELECT pg_terminate_backend({row.active_pid});",
            "transient_error",
        )
    system = connection.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()
    return Slot(
        int(row.confirmed or 0), system[0] if system else "", row.invalidated or ("wal_removed" if row.lost else "")
    )


def _slot_row(connection: psycopg.Connection[Any], cdc: Cdc) -> Any:
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        return cursor.execute(_SLOT, [cdc.slot]).fetchone()


def _require_server(connection: psycopg.Connection[Any]) -> None:
    level = connection.execute("SELECT current_setting('wal_level'), pg_is_in_recovery()").fetchone()
    if level and level[0] != "logical":
        raise ConnectorError(
            f"The server's wal_level is {level[0]}, which holds no changes of rows; "
            "ALTER SYSTEM SET wal_level = logical; and restart the server."
        )
    if level and level[1]:
        raise ConnectorError("The server is a standby; CDC reads the primary. Correct host and port.")


def published(connection: psycopg.Connection[Any], cdc: Cdc) -> Published:
    """What the configured publication holds.

    Raises:
        ConnectorError: config_error where there is no such publication.
    """
    _publication(connection, cdc)
    filters = connection.info.server_version >= _FILTERS_VERSION
    rows = connection.execute(
        f"SELECT c.oid::int8, {'p.attnames::text[], p.rowfilter' if filters else 'NULL, NULL'} "
        "FROM pg_publication_tables p JOIN pg_namespace n ON n.nspname = p.schemaname "
        "JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename WHERE p.pubname = %s",
        [cdc.publication],
    ).fetchall()
    listed = {oid: frozenset(names) if names is not None else None for oid, names, _ in rows}
    whole = connection.execute(_PARTITIONED.format(in_schema=_IN_SCHEMA if filters else ""), [cdc.publication])
    columns = dict.fromkeys((row[0] for row in whole), None) | listed
    return Published(columns, frozenset(oid for oid, _, row_filter in rows if row_filter is not None))


def unpublished_operations(connection: psycopg.Connection[Any], cdc: Cdc) -> list[str]:
    """Which of insertions, updates and deletions the publication leaves out.

    Raises:
        ConnectorError: config_error where there is no such publication.
    """
    shown = _publication(connection, cdc)
    return [name for name, is_shown in zip(("INSERT", "UPDATE", "DELETE"), shown, strict=True) if not is_shown]


def _publication(connection: psycopg.Connection[Any], cdc: Cdc) -> tuple[bool, bool, bool]:
    row = connection.execute(
        "SELECT pubinsert, pubupdate, pubdelete FROM pg_publication WHERE pubname = %s", [cdc.publication]
    ).fetchone()
    if row is None:
        raise ConnectorError(
            f"Publication {cdc.publication!r} does not exist. "
            f"CREATE PUBLICATION {identifier(cdc.publication)} FOR TABLE …; and create the slot after it."
        )
    return row


def relations(connection: psycopg.Connection[Any], table: Table) -> list[int]:
    """The oids under which changes of the table's rows may stand in the log: its own, or its partitions' too."""
    if table.kind != "p":
        return [table.oid]
    rows = connection.execute(
        "SELECT relid::oid::int8 FROM pg_partition_tree(%s::oid::regclass) WHERE isleaf", [table.oid]
    ).fetchall()
    return [table.oid, *(row[0] for row in rows)]


def is_published(connection: psycopg.Connection[Any], shown: Published, table: Table) -> bool:
    """Whether all changes of the table's rows are in the publication."""
    if table.oid in shown.columns:
        return True
    parts = relations(connection, table)[1:]
    return bool(parts) and all(oid in shown.columns for oid in parts)


def require(
    connection: psycopg.Connection[Any], cdc: Cdc, shown: Published, table: Table, columns: Iterable[str]
) -> None:
    """Make sure that the log tells all about the table's rows.

    Raises:
        ConnectorError: config_error saying what it leaves out, with the SQL that changes it.
    """
    name = identifier(table.namespace, table.name)
    publication = identifier(cdc.publication)
    if not table.primary_key:
        raise ConnectorError(
            f"Table {name} has no primary key, so its changes cannot be told apart by row; ALTER TABLE {name} "
            "ADD PRIMARY KEY (…); or read it by full refresh."
        )
    if not is_published(connection, shown, table):
        raise ConnectorError(
            f"Table {name} is not in publication {cdc.publication!r}; ALTER PUBLICATION {publication} ADD TABLE {name};"
        )
    for oid in relations(connection, table):
        listed = shown.columns.get(oid)
        hidden = [column for column in columns if listed is not None and column not in listed]
        hidden = [column for column in hidden if column not in _generated(connection, oid)] if hidden else []
        if hidden or oid in shown.filtered:
            what = f"columns {', '.join(hidden)}" if hidden else "rows (its WHERE clause)"
            raise ConnectorError(
                f"Publication {cdc.publication!r} leaves out {what} of table {name}; "
                f"ALTER PUBLICATION {publication} DROP TABLE {name}; ALTER PUBLICATION {publication} ADD TABLE {name};"
            )
        _require_identity(connection, oid, name, table.primary_key)
    inherited = connection.execute("SELECT FROM pg_inherits WHERE inhparent = %s LIMIT 1", [table.oid]).fetchone()
    if inherited is not None and table.kind != "p":
        raise ConnectorError(
            f"Table {name} has inheriting tables, whose rows its key does not tell apart from its own; read it by full "
            "refresh, and each of them by CDC."
        )


def _generated(connection: psycopg.Connection[Any], oid: int) -> set[str]:
    """Generated columns, which publications leave out; they are read from the table."""
    rows = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s AND attgenerated <> ''", [oid]
    ).fetchall()
    return {row[0] for row in rows}


def _require_identity(connection: psycopg.Connection[Any], oid: int, name: str, key: tuple[str, ...]) -> None:
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        row: Any = cursor.execute(_IDENTITY, [oid]).fetchone()
    if row is None:
        return
    if not row.immediate:
        raise ConnectorError(
            f"The primary key of table {name} is DEFERRABLE, so the log cannot tell its rows apart; make it NOT "
            "DEFERRABLE, or read the table by full refresh."
        )
    if row.identity == "n" or (row.identity == "i" and not set(key) <= set(row.index or ())):
        what = "NOTHING" if row.identity == "n" else "an index without its primary key"
        raise ConnectorError(
            f"The replica identity of table {name} is {what}, so the log does not say which rows are deleted; "
            f"ALTER TABLE {name} REPLICA IDENTITY DEFAULT;"
        )


def lost(cdc: Cdc, reason: str) -> ConnectorError:
    slot = literal_text(cdc.slot)
    cause = _CAUSES.get(reason, f"has given up replication slot {{slot}} ({reason})").format(slot=repr(cdc.slot))
    return ConnectorError(
        f"The server {cause}, and the slot is of no use any more. SELECT pg_drop_replication_slot({slot}); "
        f"SELECT pg_create_logical_replication_slot({slot}, 'pgoutput'); then refresh the connection's data, or set "
        "invalid_cdc_cursor_position_behavior to 'Re-sync data'."
    )


def invalid_position(
    connection: psycopg.Connection[Any], slot: Slot, position: int, system: str | None
) -> tuple[str | None, bool]:
    """Why reading cannot go on at a saved position (None: it can), and whether a new snapshot would mend it: positions
    of another or a restored server may lie before those of records already written."""
    if system is not None and system != slot.system:
        return "the saved state is of another Postgres server", False
    if position > wal_position(connection):
        return f"the saved state's {lsn_text(position)} is past the end of the server's log: it was restored", False
    if slot.confirmed > position:
        return (
            f"the slot stands at {lsn_text(slot.confirmed)}, past the saved state's {lsn_text(position)}: it was "
            "advanced by something else or created anew"
        ), True
    return None, False
