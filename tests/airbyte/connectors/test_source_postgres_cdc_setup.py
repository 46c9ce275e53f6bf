"""What CDC needs of a server: each thing that is missing is named, with the SQL that makes it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cdc_replica import CDC, Replica
from real_services import free_port
from source_postgres import config, replication
from source_postgres import slot as setup
from source_postgres.errors import ConnectorError

from local_stack.postgres import EmbeddedPostgres


@pytest.fixture
def administer(postgres_server: Any, database: Any) -> Callable[[str], None]:
    """Run SQL in the source database as the superuser."""

    def run(statement: str) -> None:
        with psycopg.connect(postgres_server.conninfo(database.name), autocommit=True) as superuser:
            superuser.execute(statement.encode())

    return run


MAKE = "SELECT pg_create_logical_replication_slot('slot_{0}', 'pgoutput')"


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        ([], "CREATE PUBLICATION"),
        (["SELECT pg_drop_replication_slot('slot_{0}')"], "SELECT pg_create_logical_replication_slot('slot_"),
        (
            [
                "SELECT pg_drop_replication_slot('slot_{0}')",
                "SELECT pg_create_logical_replication_slot('slot_{0}', 'test_decoding')",
            ],
            "is logical with plugin test_decoding",
        ),
        (
            [
                "SELECT pg_drop_replication_slot('slot_{0}')",
                "SELECT pg_create_physical_replication_slot('slot_{0}')",
            ],
            "is physical, not logical",
        ),
        (
            [
                "SELECT pg_drop_replication_slot('slot_{0}')",
                "SELECT pg_create_logical_replication_slot('slot_{0}', 'pgoutput', twophase => true)",
            ],
            "is of two phases",
        ),
        (["ALTER ROLE {0} NOREPLICATION"], "ALTER ROLE {0} REPLICATION"),
        (["CREATE PUBLICATION p FOR TABLE keyless"], "holds no table with a primary key"),
        (["CREATE PUBLICATION p FOR TABLE t (id)"], "leaves out columns v of table"),
        (["CREATE PUBLICATION p FOR TABLE t WHERE (id > 0)"], "leaves out rows (its WHERE clause)"),
        (
            ["ALTER TABLE t REPLICA IDENTITY NOTHING", "CREATE PUBLICATION p FOR TABLE t"],
            "ALTER TABLE \"public\".\"t\" REPLICA IDENTITY DEFAULT",
        ),
        (
            [
                "CREATE UNIQUE INDEX x ON t (v)",
                "ALTER TABLE t REPLICA IDENTITY USING INDEX x",
                "CREATE PUBLICATION p FOR TABLE t",
            ],
            "is an index without its primary key",
        ),
        (
            [
                "ALTER TABLE t DROP CONSTRAINT t_pkey",
                "ALTER TABLE t ADD PRIMARY KEY (id) DEFERRABLE",
                "CREATE PUBLICATION p FOR TABLE t",
            ],
            "is DEFERRABLE",
        ),
        (["CREATE TABLE child () INHERITS (t)", "CREATE PUBLICATION p FOR TABLE t"], "has inheriting tables"),
    ],
)  # fmt: skip
def test_check_tells_what_is_missing(
    replica: Replica, execute: Any, administer: Any, database: Any, statements: list[str], words: str
) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL); CREATE TABLE keyless (id int)")
    replica.source.config["replication_method"]["publication"] = "p"
    for statement in statements:
        administer(statement.format(database.name))
    status = replica.source.check()
    assert status["status"] == "FAILED"
    assert words.format(database.name) in status["message"]


def test_check_succeeds_where_all_is_set_up(replica: Replica, execute: Any) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE keyless (id int)")
    assert replica.source.check() == {"status": "SUCCEEDED"}
    streams = {s["name"]: s for s in replica.source("discover").bodies("CATALOG", "catalog")[0]["streams"]}
    assert streams["keyless"]["supported_sync_modes"] == ["full_refresh"]
    assert streams["t"]["default_cursor_field"] == ["_ab_cdc_lsn"]
    assert list(streams["t"]["json_schema"]["properties"])[1:] == [
        "_ab_cdc_lsn",
        "_ab_cdc_updated_at",
        "_ab_cdc_deleted_at",
    ]


def test_a_slot_of_another_database_or_in_use_is_refused(
    replica: Replica, execute: Any, slot: str, new_database: Any, postgres_server: Any, monkeypatch: Any
) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY)")
    other = new_database()
    with psycopg.connect(postgres_server.conninfo(other.name), autocommit=True) as superuser:
        superuser.execute("SELECT pg_create_logical_replication_slot('elsewhere', 'pgoutput')")
        method = {**replica.source.config["replication_method"], "replication_slot": "elsewhere"}
        assert "is of database" in replica.source.check(replication_method=method)["message"]
        superuser.execute("SELECT pg_drop_replication_slot('elsewhere')")
    monkeypatch.setattr(setup, "IN_USE_SECONDS", 0.1)
    parsed = config.parse(replica.source.config)
    assert parsed.cdc is not None
    reader = replication.LogReader(parsed, parsed.cdc, 0)
    try:
        run = replica.sync(status=1)
        assert "is in use by the process" in run.errors[0]["message"]
        assert run.errors[0]["failure_type"] == "transient_error"
    finally:
        reader.close()
    # A reader that has just gone is waited for.
    monkeypatch.setattr(setup, "IN_USE_SECONDS", 15)
    replica.sync()


def test_a_stream_outside_the_publication_fails_alone(replica: Replica, execute: Any, administer: Any) -> None:
    execute("CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1); CREATE TABLE b (id int PRIMARY KEY)")
    administer("DROP PUBLICATION airbyte_publication; CREATE PUBLICATION airbyte_publication FOR TABLE a")
    run = replica.sync(status=1)
    assert (run.statuses("a")[-1], run.statuses("b")[-1]) == ("COMPLETE", "INCOMPLETE")
    assert 'ALTER PUBLICATION "airbyte_publication" ADD TABLE "public"."b"' in run.errors[0]["message"]
    assert [s["stream_descriptor"]["name"] for s in run.states()[-1]["global"]["stream_states"]] == ["a"]


@pytest.mark.parametrize("published", ["ALL TABLES", "TABLE t", "TABLES IN SCHEMA public"])
def test_a_table_has_no_partition_for_a_while(replica: Replica, execute: Any, administer: Any, published: str) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id)")
    execute("CREATE TABLE sub PARTITION OF t FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id)")
    administer(f"DROP PUBLICATION airbyte_publication; CREATE PUBLICATION airbyte_publication FOR {published}")
    replica.sync("sub", "t")
    execute("CREATE TABLE low PARTITION OF sub FOR VALUES FROM (0) TO (10); INSERT INTO t VALUES (1)")
    replica.sync("sub", "t")
    execute("DROP TABLE low")
    replica.sync("sub", "t")
    assert replica.table("t") == replica.table("sub") == [{"id": 1}]


@pytest.mark.parametrize("behaviour", ["Fail sync", "Re-sync data"])
def test_a_slot_that_was_advanced_by_somebody_else(replica: Replica, execute: Any, slot: str, behaviour: str) -> None:
    replica.source.config["replication_method"]["invalid_cdc_cursor_position_behavior"] = behaviour
    execute("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0), (2, 0)")
    replica.sync()
    execute("UPDATE t SET v = 1 WHERE id = 1")
    execute("SELECT pg_replication_slot_advance(%s, pg_current_wal_flush_lsn())", slot)
    if behaviour == "Fail sync":
        run = replica.sync(status=1)
        assert run.errors[0]["failure_type"] == "config_error"
        assert "it was advanced by something else or created anew" in run.errors[0]["message"]
        assert "Re-sync data" in run.errors[0]["message"]
    else:
        run = replica.sync()
        assert "All tables are read anew" in run.logs
        assert replica.table("t") == [{"id": 1, "v": 1}, {"id": 2, "v": 0}]


def test_a_state_of_another_server_is_refused(replica: Replica, execute: Any) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY)")
    replica.sync()
    replica.state[0]["global"]["shared_state"]["system_identifier"] = "1"
    assert "is of another Postgres server" in replica.sync(status=1).errors[0]["message"]
    replica.state[0]["global"]["shared_state"] = {"state": {}}
    assert "holds no position in the log" in replica.sync(status=1).errors[0]["message"]


def test_a_log_that_was_removed_is_told(replica: Replica, execute: Any, administer: Any, slot: str) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY)")
    replica.sync()
    administer("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
    administer("SELECT pg_reload_conf()")
    try:
        for _ in range(3):
            administer("SELECT pg_switch_wal()")
            execute("INSERT INTO t SELECT coalesce(max(id), 0) + 1 FROM t")
        administer("CHECKPOINT")
        run = replica.sync(status=1)
    finally:
        administer("ALTER SYSTEM RESET max_slot_wal_keep_size")
        administer("SELECT pg_reload_conf()")
    assert "has removed log that replication slot" in run.errors[0]["message"]
    assert run.errors[0]["failure_type"] == "config_error"
    execute("SELECT pg_drop_replication_slot(%s)", slot)
    execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", slot)
    replica.source.config["replication_method"]["invalid_cdc_cursor_position_behavior"] = "Re-sync data"
    assert [record["id"] for record in replica.sync().records("t")] == [1, 2, 3]


def test_a_slot_that_was_idle_for_too_long_is_told(replica: Replica, execute: Any, administer: Any) -> None:
    if execute("SELECT current_setting('idle_replication_slot_timeout', true)") == [(None,)]:
        pytest.skip("before Postgres 18")
    execute("CREATE TABLE t (id int PRIMARY KEY)")
    replica.sync()
    administer("ALTER SYSTEM SET idle_replication_slot_timeout = '1s'")
    administer("SELECT pg_reload_conf()")
    try:
        time.sleep(1.5)
        administer("CHECKPOINT")
        run = replica.sync(status=1)
    finally:
        administer("ALTER SYSTEM RESET idle_replication_slot_timeout")
        administer("SELECT pg_reload_conf()")
    assert "nobody read it for long (idle_replication_slot_timeout)" in run.errors[0]["message"]
    assert "SELECT pg_create_logical_replication_slot" in run.errors[0]["message"]


def test_a_heartbeat_moves_the_log_of_a_quiet_database(replica: Replica, execute: Any) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE beats (at timestamptz)")
    method = replica.source.config["replication_method"]
    method["heartbeat_action_query"] = "INSERT INTO public.beats VALUES (now())"
    replica.sync("t")
    assert execute("SELECT count(*) FROM beats") == [(1,)]
    method["heartbeat_action_query"] = "INSERT INTO no_such_table VALUES (1)"
    assert "heartbeat_action_query failed" in replica.sync("t", status=1).errors[0]["message"]


def test_incremental_streams_need_a_key(replica: Replica, execute: Any) -> None:
    execute("CREATE TABLE keyless (id int)")
    run = replica.source("read", catalog=replica.configured(keyless=CDC))
    assert "has no primary key" in run.errors[0]["message"]


def test_the_log_level_that_postgres_has_by_default_is_named(source: Any, service_dir: Path) -> None:
    server = EmbeddedPostgres(service_dir / "replica" / "data", free_port(), "pw", settings={"wal_level": "replica"})
    server.start()
    try:
        with psycopg.connect(server.conninfo(), autocommit=True) as connection:
            connection.execute("CREATE TABLE t (id int PRIMARY KEY)")
        method = {"method": "CDC", "replication_slot": "s", "publication": "p"}
        role = {"database": "postgres", "username": "postgres", "password": "pw"}
        status = source.check(port=server.port, replication_method=method, **role)
    finally:
        server.stop()
    assert "wal_level is replica" in status["message"]
    assert "ALTER SYSTEM SET wal_level = logical" in status["message"]


def test_a_silent_server_is_not_waited_for_without_end(replica: Replica) -> None:
    replica.source.config["replication_method"]["initial_waiting_seconds"] = 1
    parsed = config.parse(replica.source.config)
    assert parsed.cdc is not None
    reader = replication.LogReader(parsed, parsed.cdc, 0)
    os.kill(reader.backend_pid, signal.SIGSTOP)
    try:
        with pytest.raises(ConnectorError, match="no sign of life for 1 s"):
            for _ in reader.messages():
                pass
    finally:
        os.kill(reader.backend_pid, signal.SIGCONT)
        reader.close()
