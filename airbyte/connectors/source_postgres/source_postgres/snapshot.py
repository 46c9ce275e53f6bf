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

#: Of the relations that this transaction has locked (so nobody rewrites them now), those that have another file than
#: its snapshot knows. Not LOCK TABLE before the snapshot: it wants privileges on all columns, and knows no foreign
#: tables nor materialized views.
_REWRITTEN = """
SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND c.relfilenode NOT IN (0, pg_relation_filenode(c.oid))
"""


@contextmanager
def snapshot_of(connection: psycopg.Connection[Any], table: Table) -> Iterator[None]:
    """A transaction of one snapshot, in which nobody rewrites ``table``, nor has since the snapshot was taken."""
    while True:
        with connection.transaction():
            # Locks what a view reads, and all partitions, too.
            connection.execute(f"SELECT FROM {query.relation(table)} LIMIT 0".encode())
            row = connection.execute(_REWRITTEN).fetchone()
            if row is None or not row[0]:
                yield
                return
