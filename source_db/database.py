"""The connection to the marketplace database: tables, bulk loading, grants."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString, cast

import psycopg
import pyarrow as pa
import pyarrow.csv
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

# Parents before children.
TABLES = (
    "users",
    "categories",
    "products",
    "orders",
    "order_items",
    "payments",
    "reviews",
    "seller_tier_history",
    "event_log",
)
SEQUENCES = ("categories", "seller_tier_history", "event_log")
READER = "airbyte"
# Any number, the same for all writers: one generator or simulator works in a database at a time.
_LOCK = 7216033

Connection = psycopg.Connection[tuple]


class SourceDatabaseError(RuntimeError):
    """The database cannot be used as asked; the message says why and what to do."""


def connect(dsn: str) -> Connection:
    """A connection in UTC, in autocommit mode: a transaction is what asks for one.

    Raises:
        SourceDatabaseError: if there is none to be had; the message leaves out the password.
    """
    try:
        # What a bulk load may take of memory to build its indexes.
        options = "-c timezone=UTC -c client_encoding=UTF8 -c maintenance_work_mem=256MB"
        return psycopg.connect(dsn, autocommit=True, options=options, application_name="source-db", connect_timeout=10)
    except psycopg.Error as error:
        try:
            parts = conninfo_to_dict(dsn)
        except psycopg.Error:
            raise SourceDatabaseError(
                "The DSN is not a Postgres address (postgresql://user:password@host:port/database). "
                "Check --dsn or SOURCE_DB_DSN."
            ) from None
        where = f"{parts.get('user')}@{parts.get('host')}:{parts.get('port', 5432)}/{parts.get('dbname')}"
        raise SourceDatabaseError(f"No connection to {where}: {error}. Check --dsn or SOURCE_DB_DSN.") from None


def lock(connection: Connection) -> None:
    """Wait until no other writer of this module works in the database; holds until the transaction ends."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def run_script(connection: Connection, name: str) -> None:
    """Execute a ``.sql`` file of this package."""
    connection.execute(cast(LiteralString, Path(__file__).with_name(name).read_text("utf-8")))


def filled_tables(connection: Connection) -> list[str]:
    """The contract's tables that hold rows."""
    return [
        table
        for table in TABLES
        if connection.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(sql.Identifier(table))).fetchone()
    ]


def missing_tables(connection: Connection) -> list[str]:
    return [table for table in TABLES if _value(connection, "SELECT to_regclass(%s) IS NULL", f"public.{table}")]


def copy(connection: Connection, table: str, rows: pa.Table) -> None:
    """Append ``rows``, whose columns are named as the table's, by ``COPY``."""
    if rows.num_rows == 0:
        return
    # Strings are quoted and NULLs are not, which is how Postgres's CSV tells '' from NULL.
    output = pa.BufferOutputStream()
    pyarrow.csv.write_csv(rows, output, pyarrow.csv.WriteOptions(include_header=False))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, ENCODING 'UTF8')").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, rows.column_names))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as stream:
        stream.write(memoryview(output.getvalue()))


@contextmanager
def bulk_load(connection: Connection) -> Iterator[None]:
    """Take indexes, keys and references off the empty tables, and put them back after the block: building them once
    over all rows costs a fraction of keeping them row by row. Leaves the sequences behind the highest ids."""
    drops, creates = _constraints_and_indexes(connection)
    for statement in drops:
        connection.execute(statement)
    yield
    for statement in creates:
        connection.execute(statement)
    for table in SEQUENCES:
        connection.execute(
            sql.SQL(
                "SELECT setval(pg_get_serial_sequence({}, 'id'), coalesce(max(id), 1), count(*) > 0) FROM {}"
            ).format(sql.Literal(table), sql.Identifier(table))
        )
    connection.execute(sql.SQL("ANALYZE {}").format(sql.SQL(", ").join(map(sql.Identifier, TABLES))))


def _constraints_and_indexes(
    connection: Connection,
) -> tuple[list[sql.Composed | sql.SQL], list[sql.Composed | sql.SQL]]:
    """Statements that drop and re-create them, in an order that their dependencies allow."""
    constraints = connection.execute(
        """
        SELECT conrelid::regclass::text, conname, contype = 'f', pg_get_constraintdef(oid)
        FROM pg_constraint
        WHERE contype IN ('p', 'u', 'f') AND conrelid = ANY(%s::regclass[])
        ORDER BY contype = 'f', conrelid::regclass::text, conname
        """,
        [list(TABLES)],
    ).fetchall()
    indexes = connection.execute(
        """
        SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid)
        FROM pg_index
        WHERE indrelid = ANY(%s::regclass[]) AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
        ORDER BY 1
        """,
        [list(TABLES)],
    ).fetchall()
    drops: list[sql.Composed | sql.SQL] = [
        sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(sql.SQL(table), sql.Identifier(name))
        for table, name, _, _ in reversed(constraints)
    ]
    drops += [sql.SQL("DROP INDEX {}").format(sql.SQL(name)) for name, _ in indexes]
    additions = [
        (
            sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(
                sql.SQL(table), sql.Identifier(name), sql.SQL(definition)
            ),
            is_reference,
        )
        for table, name, is_reference, definition in constraints
    ]
    creates: list[sql.Composed | sql.SQL] = [statement for statement, is_reference in additions if not is_reference]
    creates += [sql.SQL(definition) for _, definition in indexes]
    creates += [statement for statement, is_reference in additions if is_reference]
    return drops, creates


def grant_reader(connection: Connection) -> None:
    """Let the replication role, if there is one, read the tables that are here and those to come."""
    if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [READER]).fetchone():
        return
    role = sql.Identifier(READER)
    for statement in (
        "GRANT USAGE ON SCHEMA public TO {}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {}",
    ):
        connection.execute(sql.SQL(cast(LiteralString, statement)).format(role))


def _value(connection: Connection, query: LiteralString, *parameters: object) -> object:
    row = connection.execute(query, parameters).fetchone()
    assert row is not None, query  # noqa: S101 - an aggregate or expression always gives a row
    return row[0]
