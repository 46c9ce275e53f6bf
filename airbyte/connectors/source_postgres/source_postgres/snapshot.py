"""Transactions whose snapshot sees all the rows of what is read.

A table that ALTER TABLE writes anew, or TRUNCATE empties, looks empty to whoever took a snapshot before and reads after
(https://www.postgresql.org/docs/current/mvcc-caveats.html): such as a reader who had to wait for the table's lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from source_postgres import query
from source_postgres.catalog import Table
from source_postgres.connection import settle
from source_postgres.errors import ConnectorError
from source_postgres.types import INTEGER_OIDS, TEXT_OIDS

#: Of the relations that this transaction has locked (so nobody rewrites them now), those that have another file than
#: its snapshot knows. Not LOCK TABLE before the snapshot: it wants privileges on all columns, and knows no foreign
#: tables nor materialized views.
_REWRITTEN = """
SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND c.relfilenode NOT IN (0, pg_relation_filenode(c.oid))
"""
_COLUMNS = """
SELECT attname::text, atttypid::int8, atttypmod FROM pg_attribute
WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
"""


@contextmanager
def snapshot_of(connection: psycopg.Connection[Any], table: Table) -> Iterator[None]:
    """A transaction of one snapshot, in which nobody rewrites ``table``, nor has since the snapshot was taken.

    Raises:
        ConnectorError: transient_error where columns have another type than ``table`` knows: their values would be cast
            to that, and lose what it cannot hold.
    """
    while True:
        with connection.transaction():
            settle(connection)
            # Locks what a view reads, and all partitions, too.
            connection.execute(f"SELECT FROM {query.relation(table)} LIMIT 0".encode())
            row = connection.execute(_REWRITTEN).fetchone()
            if row is None or not row[0]:
                _require_types(connection, table)
                yield
                return


def _require_types(connection: psycopg.Connection[Any], table: Table) -> None:
    name = query.identifier(table.namespace, table.name)
    altered = [
        column
        for column, *type_id in connection.execute(_COLUMNS, [name])
        if column in table.columns and not _same(table.columns[column].type_id, *type_id)
    ]
    if altered:
        raise ConnectorError(
            f"Table {name} was altered while the sync ran: {', '.join(map(repr, altered))} became of another type; "
            "the next attempt reads it as it is.",
            "transient_error",
        )


def _same(known: tuple[int, int], oid: int, modifier: int) -> bool:
    return known == (oid, modifier) or any({known[0], oid} <= kept for kept in (INTEGER_OIDS, TEXT_OIDS))
