"""The source database: every declared stream can be read, by a role that can do no more than that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import yaml
from psycopg import sql

from local_stack.preflight.finding import Finding
from local_stack.settings import ROOT, Settings

OLDEST = 120000  # Postgres 12, as PQserverVersion writes it
_CONNECTION = "airbyte/connections/marketplace_postgres_to_bigquery/configuration.yaml"
_SOURCE = "airbyte/sources/marketplace_postgres/configuration.yaml"
_RIGHTS = """
SELECT has_table_privilege(oid, 'SELECT'),
       has_table_privilege(oid, 'INSERT, UPDATE, DELETE, TRUNCATE'),
       ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)
FROM pg_class AS c WHERE oid = to_regclass(%s)
"""


def check(settings: Settings) -> Iterator[Finding]:
    """Findings about SOURCE_POSTGRES_*, in a read-only session."""
    source = settings.source
    address = f"{source['HOST']}:{source['PORT']}/{source['DATABASE']} as {source['USER']}"
    try:
        connection = psycopg.connect(
            host=source["HOST"],
            port=source["PORT"],
            dbname=source["DATABASE"],
            user=source["USER"],
            password=source["PASSWORD"],
            sslmode=settings.get("SOURCE_POSTGRES_SSL_MODE", "prefer"),
            connect_timeout=10,
            options="-c default_transaction_read_only=on",
        )
    except psycopg.OperationalError as error:
        yield Finding("missing", f"{address}: {str(error).strip()}", "Correct the SOURCE_POSTGRES_* variable it names.")
        return
    with connection:
        yield from _server(connection, address)
        for stream in _declared_streams():
            yield _stream(connection, stream)
        if _replicates_changes():
            yield from _change_data_capture(connection)


def _server(connection: psycopg.Connection, address: str) -> Iterator[Finding]:
    version = connection.info.server_version
    if version < OLDEST:
        yield Finding("missing", f"{address}: Postgres {version // 10000}", "Postgres 12 or newer is needed.")
    else:
        yield Finding("good", f"{address}: Postgres {version // 10000}")
    if not connection.pgconn.ssl_in_use and connection.info.host not in ("127.0.0.1", "localhost", "::1"):
        yield Finding("unsure", "the connection is not encrypted", "Say SOURCE_POSTGRES_SSL_MODE=verify-full.")


def _stream(connection: psycopg.Connection, stream: dict[str, Any]) -> Finding:
    namespace, name = stream["stream"]["namespace"], stream["stream"]["name"]
    table = sql.Identifier(namespace, name).as_string(connection)
    found = connection.execute(_RIGHTS, [table]).fetchone()
    if found is None:
        return Finding("missing", f"table {namespace}.{name} does not exist", "Create it, or take its stream out.")
    readable, writable, columns = found
    if not readable:
        return Finding("missing", f"table {namespace}.{name} may not be read", f"GRANT SELECT ON {table} TO the role.")
    keys = stream["config"].get("primary_key", [])
    wanted = [*stream["config"].get("cursor_field", []), *(column for key in keys for column in key)]
    if absent := [column for column in wanted if column not in columns]:
        return Finding("missing", f"table {namespace}.{name} has no column {', '.join(absent)}", f"See {_CONNECTION}.")
    if writable:
        return Finding("unsure", f"table {namespace}.{name} may be written, too", "Give the role SELECT alone.")
    return Finding("good", f"table {namespace}.{name} can be read")


def _change_data_capture(connection: psycopg.Connection) -> Iterator[Finding]:
    (level,) = connection.execute("SHOW wal_level").fetchone() or ("",)
    if level != "logical":
        yield Finding("missing", f"wal_level is {level}", "ALTER SYSTEM SET wal_level = logical, and restart Postgres.")
    else:
        yield Finding("good", "wal_level is logical")
    (may,) = connection.execute(
        "SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user"
    ).fetchone() or (False,)
    if not may:
        yield Finding("missing", "the role may not replicate", "ALTER ROLE … REPLICATION.")


def _declared_streams() -> list[dict[str, Any]]:
    declared = yaml.safe_load((ROOT / _CONNECTION).read_text())
    streams: list[dict[str, Any]] = declared["configuration"]["sync_catalog"]["streams"]
    return streams


def _replicates_changes() -> bool:
    method = yaml.safe_load((ROOT / _SOURCE).read_text())["configuration"]["replication_method"]["method"]
    return str(method) == "CDC"
