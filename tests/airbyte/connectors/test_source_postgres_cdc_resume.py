"""Reads that are cut short, lost states, and a database that is written to meanwhile: nothing is lost or doubled."""

from __future__ import annotations

import json
import subprocess
import threading
from collections import Counter
from typing import Any

import psycopg
import pytest
from cdc_replica import Replica
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

KEYS = st.integers(1, 6)
VALUES = st.integers(0, 99)
LARGE = "x" * 2500
OPERATIONS = st.one_of(
    st.builds("INSERT INTO t VALUES ({}, {}, '{}') ON CONFLICT (id) DO NOTHING".format, KEYS, VALUES, st.just(LARGE)),
    st.builds("INSERT INTO t VALUES ({}, {}, NULL) ON CONFLICT (id) DO NOTHING".format, KEYS, VALUES),
    st.builds("UPDATE t SET v = {} WHERE id = {}".format, VALUES, KEYS),
    st.builds("UPDATE t SET v = {} WHERE id > 100".format, VALUES),
    st.builds("DELETE FROM t WHERE id = {}".format, KEYS),
    st.builds("UPDATE t SET id = {0} WHERE id = {1} AND NOT EXISTS (SELECT FROM t WHERE id = {0})".format, KEYS, KEYS),
    st.just("TRUNCATE t"),
)
TRANSACTIONS = st.lists(st.lists(OPERATIONS, min_size=1, max_size=5), max_size=4)
#: What is written before a sync, how much of the sync's output arrives, and whether records without a state count.
STEPS = st.lists(st.tuples(TRANSACTIONS, st.floats(0, 1), st.booleans()), min_size=2, max_size=4)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """States after every page of a snapshot and after every few changes."""
    from source_postgres import follow, rows

    monkeypatch.setattr(rows, "_PAGES_WITHOUT_STATISTICS", 1)
    monkeypatch.setattr(rows, "CHECKPOINT_ROWS", 1)
    monkeypatch.setattr(follow, "CHECKPOINT_ROWS", 3)


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, identity=st.sampled_from(["DEFAULT", "FULL"]))
def test_whatever_happens_the_replica_becomes_the_table(
    replica: Replica, execute: Any, often: None, steps: list[Any], identity: str
) -> None:
    execute("DROP TABLE IF EXISTS t")
    execute("CREATE TABLE t (id int PRIMARY KEY, v int, large text) WITH (fillfactor = 10, autovacuum_enabled = off)")
    execute(f"ALTER TABLE t ALTER large SET STORAGE EXTERNAL; ALTER TABLE t REPLICA IDENTITY {identity}")
    execute("INSERT INTO t SELECT i, 0, %s FROM generate_series(101, 160) i", LARGE)
    replica.state, replica.rows = [], {}
    truncated: set[int] = set()
    catalog = replica.catalog("t")
    for transactions, share, eager in [*steps, ([], 1.0, False)]:
        for operations in transactions:
            if "TRUNCATE t" in operations:
                # What a truncation removes, in whichever state of the transaction, stays in the replica.
                truncated |= {*range(1, 7), *(row[0] for row in execute("SELECT id FROM t"))}
            execute("; ".join(operations))
        run = replica.source("read", catalog=catalog, state=replica.state)
        assert run.status == 0, run.errors
        arrived = run.messages[: round(share * len(run.messages))]
        if not eager:
            states = [number for number, message in enumerate(arrived) if message["type"] == "STATE"]
            arrived = arrived[: states[-1] + 1 if states else 0]
        replica.apply(arrived)
    table = {row[0]: {"id": row[0], "v": row[1], "large": row[2]} for row in execute("TABLE t")}
    held = {row["id"]: row for row in replica.table("t")}
    assert {key: row for key, row in held.items() if key in table} == table
    assert held.keys() - table.keys() <= truncated


def test_rows_written_while_the_snapshot_is_taken_come_once(
    replica: Replica, execute: Any, database: Any, often: None
) -> None:
    """Each transaction is either in the snapshot or in the changes after it, whatever the moment it commits."""
    execute("CREATE TABLE t (id int PRIMARY KEY, at int) WITH (fillfactor = 10)")
    execute("INSERT INTO t SELECT i, 0 FROM generate_series(1, 2000) i")
    catalog = replica.catalog("t")
    stop = threading.Event()
    number = 2000

    def write() -> None:
        nonlocal number
        with psycopg.connect(database.conninfo, autocommit=True) as connection:
            while not stop.is_set():
                number += 1
                connection.execute("INSERT INTO t VALUES (%s, 0)", [number])

    for _ in range(3):
        replica.state = []
        stop.clear()
        writer = threading.Thread(target=write)
        writer.start()
        runs = [replica.source("read", catalog=catalog, state=replica.state)]
        stop.set()
        writer.join()
        runs.append(replica.source("read", catalog=catalog, state=runs[0].states()[-1:]))
        counts = Counter(record["id"] for run in runs for record in run.records("t"))
        assert counts == Counter(range(1, number + 1))


def test_a_killed_read_loses_nothing(replica: Replica, execute: Any) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT i, 0 FROM generate_series(1, 100) i")
    replica.sync()
    # In transactions larger than what is held at once.
    execute("INSERT INTO t SELECT i, 0 FROM generate_series(101, 20000) i")
    execute("UPDATE t SET v = 1 WHERE id <= 10000; DELETE FROM t WHERE id % 2 = 0")
    command = replica.source.arguments("read", catalog=replica.catalog("t"), state=replica.state)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(25_000):
            replica.apply([json.loads(process.stdout.readline())])
        process.kill()
    replica.sync()
    assert replica.table("t") == [{"id": i, "v": 1 if i <= 10000 else 0} for i in range(1, 20001, 2)]


def test_deletions_after_a_snapshot_whose_state_was_lost_arrive(replica: Replica, execute: Any) -> None:
    """Its rows were written, so the snapshot that is taken instead must not hide what has been deleted since."""
    execute("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT i, 0 FROM generate_series(1, 6) i")
    replica.sync()
    replica.state = []
    execute("DELETE FROM t WHERE id <= 2; UPDATE t SET id = 30 WHERE id = 3; UPDATE t SET v = 1 WHERE id = 4")
    execute("DELETE FROM t WHERE id = 5; INSERT INTO t VALUES (5, 2), (2, 2); UPDATE t SET id = 3 WHERE id = 6")
    run = replica.sync()
    assert replica.table("t") == [{"id": number, "v": v} for number, v in ((2, 2), (3, 0), (4, 1), (5, 2), (30, 0))]
    # Of what the snapshot has seen, nothing but the keys that were left.
    assert Counter(bool(record["_ab_cdc_deleted_at"]) for record in run.records("t")) == {False: 5, True: 5}


def test_a_key_that_came_back_before_an_interrupted_snapshot_stays(replica: Replica, execute: Any, often: None) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY, v int) WITH (fillfactor = 10); INSERT INTO t VALUES (1, 0)")
    execute("DELETE FROM t; INSERT INTO t SELECT i, 1 FROM generate_series(1, 100) i")
    run = replica.source("read", catalog=replica.catalog("t"))
    first_state = next(number for number, message in enumerate(run.messages) if message["type"] == "STATE")
    replica.apply(run.messages[: first_state + 1])
    assert 0 < len(replica.table("t")) < 100
    execute("INSERT INTO t VALUES (101, 1)")
    replica.sync()
    assert replica.table("t") == [{"id": number, "v": 1} for number in range(1, 102)]


def test_a_snapshot_that_takes_too_long_lets_the_log_be_read(
    replica: Replica, execute: Any, often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY, v int) WITH (fillfactor = 10)")
    execute("INSERT INTO t SELECT i, 0 FROM generate_series(1, 100) i")
    from source_postgres import cdc

    with monkeypatch.context() as patched:
        patched.setattr(cdc, "_SECONDS_AN_HOUR", 0)
        run = replica.sync(status=1)
    assert run.statuses("t")[-1] == "INCOMPLETE"
    assert run.errors[0]["failure_type"] == "transient_error"
    assert "initial_load_timeout_hours" in run.errors[0]["message"]
    assert 0 < len(run.records("t")) < 100
    execute("UPDATE t SET v = 1; DELETE FROM t WHERE id IN (1, 100)")
    run = replica.sync()
    assert len(run.records("t")) < 300
    assert replica.table("t") == [{"id": i, "v": 1} for i in range(2, 100)]


@pytest.mark.parametrize("behaviour", ["After loading Data in the destination", "While reading Data"])
def test_the_log_waits_for_a_stream_that_cannot_be_followed(
    replica: Replica, execute: Any, slot: str, behaviour: str
) -> None:
    replica.source.config["replication_method"]["lsn_commit_behaviour"] = behaviour
    execute("CREATE TABLE a (id int PRIMARY KEY, v int); INSERT INTO a SELECT i, 0 FROM generate_series(1, 4) i")
    execute("CREATE TABLE b (id int PRIMARY KEY, v int); INSERT INTO b SELECT i, 0 FROM generate_series(1, 4) i")
    replica.sync()
    catalog = replica.catalog("a", "b")
    execute("DELETE FROM a WHERE id = 1; DELETE FROM b WHERE id = 1; ALTER TABLE b RENAME v TO w")
    for number in (2, 3):
        execute(f"DELETE FROM a WHERE id = {number}; DELETE FROM b WHERE id = {number}")
        run = replica.source("read", catalog=catalog, state=replica.state)
        assert (run.statuses("a")[-1], run.statuses("b")[-1]) == ("COMPLETE", "INCOMPLETE")
        assert "changes of stream public.b are kept" in run.logs
        # What a destination has taken in is not sent again.
        assert [record["id"] for record in run.records("a")] == ([1, 2] if number == 2 else [3])
        replica.apply(run.messages)
        assert replica.table("a") == [{"id": left, "v": 0} for left in range(number + 1, 5)]
    kept = "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = %s"
    before = execute(kept, slot)
    execute("ALTER TABLE b RENAME w TO v; UPDATE a SET v = 1")
    replica.sync()
    assert (replica.table("a"), replica.table("b")) == ([{"id": 4, "v": 1}], [{"id": 4, "v": 0}])
    replica.sync()
    assert execute(kept, slot) > before
