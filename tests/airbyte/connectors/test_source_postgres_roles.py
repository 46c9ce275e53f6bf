"""What an administrator set for the role that reads: privileges on columns, a search_path, timeouts, a pooler."""

from __future__ import annotations

import subprocess
import time
from typing import Any

import orjson
import pytest
from source_postgres import catalog, config, connection
from source_postgres.snapshot import snapshot_of


def test_a_table_of_which_some_columns_may_be_read(
    source: Any, execute: Any, configured: Any, postgres_server: Any, database: Any
) -> None:
    """Privileges on columns are none on ctid and xmin."""
    execute("CREATE TABLE t (id int PRIMARY KEY, secret text STORAGE PLAIN, v int)")
    execute("INSERT INTO t SELECT i, repeat('x', 5000), 0 FROM generate_series(1, 1100) i")
    reader = f"reader_{database.name}"
    postgres_server.ensure_role(reader, "pw")
    execute(f"GRANT SELECT (id, v) ON t TO {reader}")
    source.config |= {"username": reader, "password": "pw"}
    for stream in ({}, {"cursor_field": ["id"]}):
        run = source("read", catalog=configured(t=stream))
        assert run.status == 0, run.errors
        assert len(run.records("t")) == 1100
    source.config["replication_method"] = {"method": "Xmin"}
    assert configured()["streams"][0]["stream"]["supported_sync_modes"] == ["full_refresh"]
    run = source("read", catalog=configured(t={"cursor_field": [], "sync_mode": "incremental"}))
    assert "takes SELECT on the whole of it" in run.errors[0]["message"]


def test_functions_of_views_and_policies_find_their_tables(source: Any, execute: Any, configured: Any) -> None:
    execute("CREATE TABLE rates (code text, rate int); INSERT INTO rates VALUES ('EUR', 2)")
    execute("CREATE FUNCTION rate() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT rate FROM rates); END'")
    execute("CREATE VIEW v AS SELECT rate() AS rate; CREATE TABLE t (id int); INSERT INTO t VALUES (1), (2)")
    execute("ALTER TABLE t FORCE ROW LEVEL SECURITY; ALTER TABLE t ENABLE ROW LEVEL SECURITY")
    execute("CREATE POLICY rated ON t USING (id = rate())")
    run = source("read", catalog=configured())
    assert run.records("v") == [{"rate": 2}], run.errors
    assert run.records("t") == [{"id": 2}]


def test_types_are_found_wherever_the_role_looks(
    source: Any, execute: Any, configured: Any, postgres_server: Any, database: Any
) -> None:
    """Also if its search_path changes between the catalog and the rows."""
    execute("CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE t (id int, m mood); INSERT INTO t VALUES (1, 'sad')")
    parsed = config.parse(source.config)
    with connection.connect(parsed) as opened:
        (table,) = catalog.tables(opened, parsed)
    assert table.columns["m"].sql_type == "public.mood"
    execute(f"ALTER ROLE {database.user} SET search_path = nowhere")
    assert source("read", catalog=configured()).records("t") == [{"id": 1, "m": "sad"}]


def records_read_slowly(arguments: list[str]) -> int:
    """Records of a read, which must succeed, by a reader that stops for a while amid them."""
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
        lines = [process.stdout.readline() for _ in range(100)]
        time.sleep(1.5)
        lines += process.stdout.readlines()
    assert [line for line in lines if orjson.loads(line).get("trace", {}).get("type") == "ERROR"] == []
    assert process.returncode == 0
    return sum(line.startswith(b'{"type":"RECORD"') for line in lines)


@pytest.mark.parametrize(
    ("setting", "rows"),
    [("statement_timeout", 20_000), ("transaction_timeout", 20_000), ("idle_session_timeout", 3000)],
)
def test_timeouts_of_the_role_end_no_read(
    source: Any, execute: Any, configured: Any, database: Any, setting: str, rows: int
) -> None:
    """Nor where a destination takes its time: over a table larger, or smaller, than what is held in memory."""
    execute("CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int)")
    execute(f"INSERT INTO a SELECT i, repeat('x', 1000) FROM generate_series(1, {rows}) i")
    catalog = configured()
    execute(f"ALTER ROLE {database.user} SET {setting} = '600ms'")
    assert records_read_slowly(source.arguments("read", catalog=catalog)) == rows


def test_timeouts_of_the_role_end_no_read_of_the_log(source: Any, replica: Any, execute: Any, database: Any) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    replica.sync("t")
    execute("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 40000) i")
    catalog = replica.catalog("t")
    execute(f"ALTER ROLE {database.user} SET transaction_timeout = '600ms'")
    assert records_read_slowly(source.arguments("read", catalog=catalog, state=replica.state)) == 40_000


def test_nothing_is_left_in_a_session_that_a_pooler_gives_to_others(source: Any, execute: Any) -> None:
    """PgBouncer's transaction mode: each transaction may have another session, which others have before and after."""
    execute("CREATE TABLE t (id int)")
    parsed = config.parse(source.config)
    with connection.connect(parsed) as opened:

        def settings() -> dict[str, str]:
            rows = opened.execute("SELECT name, setting FROM pg_settings WHERE source = 'session'")
            return {name: setting for name, setting in rows if name != "idle_session_timeout"}

        before = settings()
        (table,) = catalog.tables(opened, parsed)
        with snapshot_of(opened, table):
            assert settings().items() >= {"TimeZone": "UTC", "statement_timeout": "0"}.items()
        for _ in range(10):
            catalog.tables(opened, parsed)
        assert settings() == before
        assert opened.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)


def test_what_no_retry_can_read_is_no_fault_of_the_connector(source: Any, execute: Any, configured: Any) -> None:
    execute("CREATE VIEW zero AS SELECT 1 / (random() * 0)::int AS id")
    execute("CREATE MATERIALIZED VIEW empty AS SELECT 1 AS id WITH NO DATA")
    errors = source("read", catalog=configured()).errors
    assert ["division by zero" in error["message"] for error in errors] == [False, True]
    assert "REFRESH MATERIALIZED VIEW" in errors[0]["message"]
    assert [error["failure_type"] for error in errors] == ["config_error"] * 2


def test_a_server_that_is_away_is_back_soon(source: Any) -> None:
    def failure(**overrides: Any) -> str:
        run = source("read", config={**source.config, **overrides}, catalog={})
        return run.errors[0]["failure_type"]

    assert failure(port=1) == "transient_error"
    assert failure(host="no-such-host.invalid") == "config_error"
