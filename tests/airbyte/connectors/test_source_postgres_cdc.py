"""Change data capture: a snapshot, then what the log tells, in an order that deduplication can trust."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from cdc_replica import CDC, Replica
from source_postgres import follow


def test_a_snapshot_then_changes(replica: Replica, execute: Any) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    execute("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, NULL)")
    first = replica.sync()
    assert first.statuses("t") == ["STARTED", "RUNNING", "COMPLETE"]
    assert [record["id"] for record in first.records("t")] == [1, 2, 3]
    execute("UPDATE t SET v = 'A' WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (4, 'd')")
    second = replica.sync()
    records = second.records("t")
    assert [(record["id"], record["v"]) for record in records] == [(1, "A"), (2, None), (4, "d")]
    assert [record["_ab_cdc_deleted_at"] is None for record in records] == [True, False, True]
    lsns = [record["_ab_cdc_lsn"] for record in first.records("t") + records]
    assert lsns == sorted(lsns)
    assert len(set(lsns[2:])) == 4
    assert all(isinstance(lsn, Decimal) for lsn in lsns)
    assert records[0]["_ab_cdc_updated_at"].endswith("Z")
    assert replica.table("t") == [{"id": 1, "v": "A"}, {"id": 3, "v": None}, {"id": 4, "v": "d"}]
    third = replica.sync()
    assert third.records("t") == []
    assert third.statuses("t") == ["STARTED", "COMPLETE"]


def test_changes_of_the_key_and_of_one_row_within_a_transaction(replica: Replica, execute: Any) -> None:
    execute("CREATE TABLE t (id int, part text, v int, PRIMARY KEY (id, part))")
    execute("INSERT INTO t VALUES (1, 'x', 0), (2, 'x', 0)")
    replica.sync()
    execute(
        "UPDATE t SET id = 10 WHERE id = 1; UPDATE t SET v = 1 WHERE id = 10; UPDATE t SET v = 2 WHERE id = 10;"
        "DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (2, 'x', 5)"
    )
    records = replica.sync().records("t")
    assert [(r["id"], r["v"], r["_ab_cdc_deleted_at"] is None) for r in records] == [
        (1, None, False),
        (10, 0, True),
        (10, 1, True),
        (10, 2, True),
        (2, None, False),
        (2, 5, True),
    ]
    assert replica.table("t") == [{"id": 2, "part": "x", "v": 5}, {"id": 10, "part": "x", "v": 2}]


@pytest.mark.parametrize("identity", ["DEFAULT", "FULL"])
def test_a_large_value_that_was_left_alone_is_kept(replica: Replica, execute: Any, identity: str) -> None:
    # What is generated is not in the log either; a full identity may hold no such column.
    generated = "GENERATED ALWAYS AS (0) STORED" if identity == "DEFAULT" else "DEFAULT 0"
    execute(f"CREATE TABLE t (id int PRIMARY KEY, v int, large text, zero int {generated})")
    execute(f"ALTER TABLE t ALTER large SET STORAGE EXTERNAL; ALTER TABLE t REPLICA IDENTITY {identity}")
    large = "x" * 5000
    execute("INSERT INTO t (id, v, large) SELECT i, i, %s FROM generate_series(1, 4) i", large)
    replica.sync()
    execute("UPDATE t SET v = 10 WHERE id = 1; UPDATE t SET id = 20 WHERE id = 2; UPDATE t SET v = 7 WHERE id = 3")
    execute("DELETE FROM t WHERE id = 3; UPDATE t SET large = NULL WHERE id = 4; UPDATE t SET v = 9 WHERE id = 4")
    run = replica.sync()
    assert replica.table("t") == [
        {"id": 1, "v": 10, "large": large, "zero": 0},
        {"id": 4, "v": 9, "large": None, "zero": 0},
        {"id": 20, "v": 2, "large": large, "zero": 0},
    ]
    gone = next(record for record in run.records("t") if record["_ab_cdc_deleted_at"] and record["id"] == 3)
    assert gone["large"] == (large if identity == "FULL" else None)


@pytest.mark.parametrize(
    ("written", "declared", "now"), [("text", "text[]", "ARRAY[v]"), ("numeric(12, 3)", "numeric(12, 2)", "v")]
)
def test_values_from_before_a_column_changed_its_type_are_read_from_the_table(
    replica: Replica, execute: Any, written: str, declared: str, now: str
) -> None:
    execute(
        f"CREATE TABLE t (id int PRIMARY KEY, v {written}); INSERT INTO t SELECT i, '1.25' FROM generate_series(1, 4) i"
    )
    replica.sync()
    execute("UPDATE t SET v = '1.245' WHERE id = 1; DELETE FROM t WHERE id = 2; UPDATE t SET id = 30 WHERE id = 3")
    execute(f"ALTER TABLE t ALTER v TYPE {declared} USING {now}; DELETE FROM t WHERE id = 4")
    replica.sync()
    assert [[row["id"], row["v"]] for row in replica.table("t")] == [
        list(row) for row in execute("SELECT id, to_jsonb(v) FROM t ORDER BY id")
    ]


def test_tables_of_several_schemas_and_partitions(replica: Replica, execute: Any) -> None:
    replica.source.config["schemas"] = ["public", "sales"]
    execute("CREATE SCHEMA sales; CREATE TABLE sales.u (id int PRIMARY KEY, v int)")
    execute("CREATE TABLE t (id int PRIMARY KEY, v int) PARTITION BY RANGE (id)")
    execute("CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (100)")
    execute("INSERT INTO t VALUES (1, 0), (2, 0); INSERT INTO sales.u VALUES (1, 0)")
    replica.sync()
    # A partition of its own order of columns.
    execute("CREATE TABLE high (v int, id int NOT NULL, PRIMARY KEY (id))")
    execute("ALTER TABLE t ATTACH PARTITION high FOR VALUES FROM (100) TO (200)")
    execute("INSERT INTO t VALUES (101, 7); UPDATE t SET id = 102 WHERE id = 1; UPDATE sales.u SET v = 1")
    replica.sync()
    assert replica.table("t") == [{"id": 2, "v": 0}, {"id": 101, "v": 7}, {"id": 102, "v": 0}]
    assert replica.table("u") == [{"id": 1, "v": 1}]


def test_a_table_added_later_gets_a_snapshot_of_its_own(replica: Replica, execute: Any) -> None:
    execute("CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1)")
    execute("CREATE TABLE b (id int PRIMARY KEY); INSERT INTO b VALUES (1)")
    assert replica.sync("a").records("b") == []
    execute("INSERT INTO b VALUES (2); INSERT INTO a VALUES (2)")
    run = replica.sync("a", "b")
    assert [record["id"] for record in run.records("a")] == [2]
    assert [record["id"] for record in run.records("b")] == [1, 2]
    # Changes were missed while b was not read: it is read anew.
    execute("INSERT INTO b VALUES (3)")
    replica.sync("a")
    assert [record["id"] for record in replica.sync("a", "b").records("b")] == [1, 2, 3]


@pytest.mark.parametrize(("state_is_lost", "words"), [(False, "refresh the"), (True, "rows of an interrupted")])
def test_a_truncated_table_is_named(replica: Replica, execute: Any, state_is_lost: bool, words: str) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    replica.sync()
    if state_is_lost:
        replica.state = []
    execute("TRUNCATE t; INSERT INTO t VALUES (2)")
    run = replica.sync()
    assert [record["id"] for record in run.records("t")] == [2]
    assert "TRUNCATE of public.t at" in run.logs
    assert f"is not replicated; {words}" in run.logs


def test_a_full_refresh_beside_changes(replica: Replica, execute: Any) -> None:
    execute(
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE VIEW w AS SELECT id + 1 AS id FROM t"
    )
    catalog = replica.configured(t=CDC, w={})
    run = replica.source("read", catalog=catalog)
    assert run.records("w") == [{"id": 2}]
    assert run.statuses("w")[-1] == run.statuses("t")[-1] == "COMPLETE"
    assert {state["type"] for state in run.states()} == {"GLOBAL"}
    counts = [state["sourceStats"]["recordCount"] for state in run.states()]
    assert sum(counts) == 2


def test_the_slot_moves_on_only_after_the_state_was_given_back(replica: Replica, execute: Any, slot: str) -> None:
    def confirmed() -> Any:
        return execute("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = %s", slot)

    execute("CREATE TABLE t (id int PRIMARY KEY)")
    before = confirmed()
    replica.sync()
    execute("INSERT INTO t VALUES (1)")
    state = replica.state
    assert confirmed() == before
    assert len(replica.sync().records("t")) == 1
    moved = confirmed()
    assert moved > before
    # The states of the second read were lost on the way.
    replica.state = state
    assert len(replica.sync().records("t")) == 1
    assert confirmed() == moved


def test_a_quiet_database_with_an_open_transaction_does_not_keep_a_read_waiting(
    replica: Replica, execute: Any, database: Any
) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    replica.sync()
    with psycopg.connect(database.conninfo) as open_transaction:
        open_transaction.execute("INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 40) i")
        started = time.monotonic()
        assert replica.sync().records("t") == []
        assert time.monotonic() - started < 20
    assert len(replica.sync().records("t")) == 40


def test_the_position_of_upstreams_state_is_continued(replica: Replica, execute: Any) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    position = execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::int8")[0][0]
    execute("INSERT INTO t VALUES (2)")
    offset = {'["db",{"server":"db"}]': f'{{"transaction_id":null,"lsn_proc":{position},"lsn":{position},"txId":7}}'}
    stream = {"stream_descriptor": {"name": "t", "namespace": "public"}, "stream_state": {}}
    shared = {"state": offset, "schema_history": None}
    replica.state = [{"type": "GLOBAL", "global": {"shared_state": shared, "stream_states": [stream]}}]
    assert [record["id"] for record in replica.sync().records("t")] == [2]


def test_the_slot_can_move_on_while_reading(replica: Replica, execute: Any, slot: str) -> None:
    replica.source.config["replication_method"]["lsn_commit_behaviour"] = "While reading Data"
    execute("CREATE TABLE t (id int PRIMARY KEY)")
    replica.sync()
    execute("INSERT INTO t VALUES (1)")
    state = replica.state
    replica.sync()
    # The states of that read were lost on the way: so are its changes, and that is told.
    replica.state = state
    assert "it was advanced by something else" in replica.sync(status=1).errors[0]["message"]


def test_changes_of_wide_rows_have_states_by_bytes(
    replica: Replica, execute: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "CHECKPOINT_BYTES", 50_000)
    execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    replica.sync()
    for first in range(0, 100, 10):
        execute(f"INSERT INTO t SELECT i, repeat('x', 2000) FROM generate_series({first}, {first} + 9) i")
    counts = [state["sourceStats"]["recordCount"] for state in replica.sync().states()]
    assert sum(counts) == 100
    assert max(counts) <= 30
