"""Which tables and columns there are: the AirbyteCatalog, and what reading them needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg.rows import dict_row

from source_postgres import types
from source_postgres.config import Config, Replication
from source_postgres.connection import explained, settle
from source_postgres.errors import ConnectorError

#: Relations that hold rows: tables, partitioned tables, views, materialized views, foreign tables.
_KINDS = ("r", "p", "v", "m", "f")

#: Fields of changes read from the log, after the table's own; their names are upstream's.
CDC_FIELDS = {
    "_ab_cdc_lsn": types.ColumnType(types.NUMBER, "decimal", precision=38, scale=9),
    "_ab_cdc_updated_at": types.ColumnType(types.STRING),
    "_ab_cdc_deleted_at": types.ColumnType(types.STRING),
}

_RELATIONS = """
  c.relkind = ANY(%(kinds)s) AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND (cardinality(%(schemas)s::text[]) = 0 OR n.nspname = ANY(%(schemas)s::text[]))
"""

_COLUMNS = f"""
WITH RECURSIVE above_foreign AS (
  SELECT i.inhparent AS oid FROM pg_inherits i JOIN pg_class f ON f.oid = i.inhrelid WHERE f.relkind = 'f'
  UNION SELECT i.inhparent FROM pg_inherits i JOIN above_foreign a ON i.inhrelid = a.oid
)
SELECT n.nspname AS namespace, c.relname AS table, c.relkind::text AS kind, c.oid::int8 AS oid,
       EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid) AS has_children,
       a.attname AS name, a.atttypid::int8 AS type, a.atttypmod AS modifier, a.attnotnull AS not_null,
       format_type(a.atttypid, a.atttypmod) AS sql_type,
       c.relkind IN ('r', 'p', 'm') AND has_table_privilege(c.oid, 'SELECT')
         AND c.oid NOT IN (SELECT oid FROM above_foreign) AS has_xmin,
       has_schema_privilege(n.oid, 'USAGE') AND has_column_privilege(c.oid, a.attnum, 'SELECT') AS readable,
       array_position(i.indkey::int2[], a.attnum) AS key_position
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
WHERE {_RELATIONS}
ORDER BY n.nspname, c.relname, a.attnum
"""

_SCHEMAS = f"""
SELECT n.nspname, has_schema_privilege(n.oid, 'USAGE')
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE {_RELATIONS}
"""

_TYPES = """
SELECT oid::int8 AS oid, typname, typtype::text, typcategory::text, typelem::int8, typbasetype::int8, typtypmod,
       typdelim, typnamespace = 'pg_catalog'::regnamespace AS builtin
FROM pg_type
"""


@dataclass(frozen=True)
class Column:
    """A readable column. ``sql_type`` is the type's name in SQL, schema-qualified; ``type_id`` the type's oid and
    modifier (of ``varchar(10)``, say)."""

    name: str
    sql_type: str
    type_id: tuple[int, int]
    not_null: bool
    type: types.ColumnType


@dataclass(frozen=True)
class Table:
    """A relation with its readable columns in table order; ``kind`` is pg_class.relkind. Reading one with children
    (partitions, or tables that inherit from it) reads theirs, too. ``has_xmin``: whether all its rows tell
    which transaction wrote them. Those of views and foreign tables do not, and who has privileges on single columns
    only is not told (nor where they lie, their ctid)."""

    namespace: str
    name: str
    kind: str
    oid: int
    columns: dict[str, Column]
    primary_key: tuple[str, ...]
    has_children: bool
    has_xmin: bool

    @property
    def has_pages(self) -> bool:
        """Whether all its rows lie in one file, where a ctid is a place in it."""
        return self.kind in "rm" and not self.has_children and self.has_xmin

    def stream(self, replication: Replication, *, published: bool = False) -> dict[str, Any]:
        """The AirbyteStream. By CDC only tables with a primary key, in the publication, can be read incrementally."""
        properties = {name: column.type.schema for name, column in self.columns.items()}
        match replication:
            case "CDC":
                incremental = defined = published and bool(self.primary_key)
                if incremental:
                    properties |= {name: field.schema for name, field in CDC_FIELDS.items()}
            case "Xmin":
                incremental = defined = self.has_xmin
            case _:
                incremental, defined = any(column.type.orderable for column in self.columns.values()), False
        return {
            "name": self.name,
            "namespace": self.namespace,
            "json_schema": {"type": "object", "properties": properties},
            "supported_sync_modes": ["full_refresh", "incremental"] if incremental else ["full_refresh"],
            "source_defined_cursor": defined,
            "default_cursor_field": ["_ab_cdc_lsn"] if defined and replication == "CDC" else [],
            "source_defined_primary_key": [[name] for name in self.primary_key],
            "is_resumable": bool(self.primary_key),
        }


def tables(connection: psycopg.Connection[Any], config: Config) -> list[Table]:
    """The tables of the configured schemas; with ``check_privileges``, only what the role may read. Partitions are
    tables, too, and listed beside their partitioned table.

    Raises:
        ConnectorError: config_error naming schemas that do not exist, or what Postgres says.
    """
    try:
        pg_types, rows, money_scale = _read(connection, config)
    except psycopg.Error as error:
        raise explained(error, "Reading the catalog") from error
    found: dict[int, Table] = {}
    keys: dict[int, dict[int, str]] = {}
    for row in rows:
        if row["key_position"] is not None:
            keys.setdefault(row["oid"], {})[row["key_position"]] = row["name"]
        if not row["readable"] and config.check_privileges:
            continue
        table = found.get(row["oid"])
        if table is None:
            names, flags = (row["namespace"], row["table"]), (row["has_children"], row["has_xmin"])
            table = found[row["oid"]] = Table(*names, row["kind"], row["oid"], {}, (), *flags)
        pg_type = types.resolve(row["type"], row["modifier"], pg_types)
        table.columns[row["name"]] = Column(
            row["name"],
            row["sql_type"],
            (row["type"], row["modifier"]),
            row["not_null"],
            types.column_type(pg_type, connection.info.server_version, money_scale),
        )
    return [_with_key(table, keys.get(table.oid, {})) for table in found.values()]


def _read(connection: psycopg.Connection[Any], config: Config) -> tuple[dict[int, Any], list[Any], int]:
    """The rows of pg_type by oid, and those of ``_COLUMNS``: in one snapshot, lest a type be made in between. Then how
    many digits after the point money has."""
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        money: Any = cursor.execute("SELECT scale(1::money::numeric)").fetchone()
        settle(connection)
        # format_type leaves out the schemas of this path, and reading has another.
        cursor.execute("SET LOCAL search_path = pg_catalog")
        _require_schemas(connection, config)
        pg_types = {row["oid"]: row for row in cursor.execute(_TYPES).fetchall()}
        parameters = {"kinds": list(_KINDS), "schemas": list(config.schemas)}
        return pg_types, cursor.execute(_COLUMNS, parameters).fetchall(), money["scale"]


def _with_key(table: Table, key: dict[int, str]) -> Table:
    names = tuple(name for _, name in sorted(key.items()))
    # A part of a key tells no row from another.
    return replace(table, primary_key=names) if table.columns.keys() >= set(names) else table


def nothing_to_read(connection: psycopg.Connection[Any], config: Config) -> ConnectorError:
    """Why :func:`tables` found none: there is none, its schema is closed to the role, or the table is."""
    where = f"schema {', '.join(config.schemas)}" if config.schemas else f"database {config.database}"
    user = config.username
    parameters = {"kinds": list(_KINDS), "schemas": list(config.schemas)}
    rows = connection.execute(_SCHEMAS, parameters).fetchall()
    closed = sorted({schema for schema, usable in rows if not usable})
    if not rows:
        return ConnectorError(f"There is no table in {where}; create one, or check schemas and database.")
    if len(closed) == len({schema for schema, _ in rows}):
        return ConnectorError(
            f"User {user!r} may not use schema {', '.join(closed)}; GRANT USAGE ON SCHEMA {', '.join(closed)} "
            f"TO {user}, and SELECT on its tables."
        )
    return ConnectorError(
        f"User {user!r} can read no table in {where}, which holds {len(rows)}; GRANT SELECT ON ALL TABLES IN SCHEMA "
        f"{', '.join(config.schemas) or '…'} TO {user}."
    )


def _require_schemas(connection: psycopg.Connection[Any], config: Config) -> None:
    rows = connection.execute(
        "SELECT name FROM unnest(%s::text[]) AS wanted(name) "
        "WHERE NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = wanted.name)",
        [list(config.schemas)],
    ).fetchall()
    if rows:
        raise ConnectorError(
            f"Schema {', '.join(repr(row[0]) for row in rows)} does not exist in database {config.database!r} "
            "(names are case-sensitive); check schemas in the configuration."
        )
