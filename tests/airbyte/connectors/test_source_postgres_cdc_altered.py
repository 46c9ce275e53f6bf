"""Tables that are altered between two reads of the log, or meanwhile: their changes are told right, or refused."""

from __future__ import annotations

from typing import Any

import pytest
from cdc_replica import Replica
from source_postgres import cdc, slot


def rows_of(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: record[name] for name in record if not name.startswith("_ab_cdc")} for record in records]


@pytest.mark.parametrize(
    "statements",
    [
        ["DELETE FROM t WHERE id = 1", "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (u)"],
        ["DELETE FROM t WHERE id = 1", "ALTER TABLE t RENAME id TO number"],
        ["UPDATE t SET id = 5 WHERE id = 1", "ALTER TABLE t RENAME id TO number"],
        ["UPDATE t SET id = 5 WHERE id = 1", "ALTER TABLE t ALTER id TYPE text USING 'n' || id", "UPDATE t SET v = 1"],
        ["INSERT INTO t VALUES (5, 50)", "ALTER TABLE t ALTER id TYPE date USING date '2000-01-01' + id"],
        [
            "ALTER TABLE t REPLICA IDENTITY USING INDEX t_u_key",
            "DELETE FROM t WHERE id = 1",
            "ALTER TABLE t REPLICA IDENTITY DEFAULT",
        ],
        [
            "ALTER TABLE t REPLICA IDENTITY USING INDEX t_u_key",
            "UPDATE t SET id = 5 WHERE id = 1",
            "ALTER TABLE t REPLICA IDENTITY DEFAULT",
        ],
    ],
    ids="; ".join,
)
def test_changes_that_are_told_by_another_key_ask_for_a_refresh(
    replica: Replica, execute: Any, statements: list[str]
) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY, u int NOT NULL UNIQUE, v int); CREATE TABLE o (id int PRIMARY KEY)")
    execute("INSERT INTO t SELECT i, 10 * i, 0 FROM generate_series(1, 4) i")
    replica.sync()
    for statement in statements:
        execute(statement)
    execute("INSERT INTO o VALUES (1)")
    run = replica.source("read", catalog=replica.catalog(), state=replica.state)
    assert (run.status, run.records("t")) == (1, [])
    assert "does not tell which rows they were of; refresh the stream's data" in run.errors[0]["message"]
    # A refresh begins without the stream's state, and the log is the same.
    states = replica.state[0]["global"]["stream_states"]
    states[:] = [state for state in states if state["stream_descriptor"]["name"] == "o"]
    run = replica.source("read", catalog=replica.catalog(), state=replica.state)
    assert run.status == 0, run.errors
    assert rows_of(run.records("t")) == [row[0] for row in execute("SELECT to_jsonb(t) FROM t")]
    assert rows_of(run.records("o")) == [{"id": 1}]


@pytest.mark.parametrize(
    "statements",
    [
        ["ALTER TABLE t ALTER id TYPE bigint"],
        ["ALTER TABLE t ALTER id TYPE numeric", "ALTER TABLE t REPLICA IDENTITY FULL"],
        ["ALTER TABLE t REPLICA IDENTITY USING INDEX t_u_key", "INSERT INTO t VALUES (5, 50)"],
    ],
    ids="; ".join,
)
def test_a_key_that_reads_as_before_is_followed(replica: Replica, execute: Any, statements: list[str]) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY, u int NOT NULL UNIQUE)")
    execute("INSERT INTO t SELECT i, 10 * i FROM generate_series(1, 4) i")
    replica.sync()
    for statement in ["DELETE FROM t WHERE id = 1", "UPDATE t SET id = 6 WHERE id = 2", *statements]:
        execute(statement)
    execute("ALTER TABLE t REPLICA IDENTITY DEFAULT; DELETE FROM t WHERE id = 3; UPDATE t SET id = 7 WHERE id = 4")
    replica.sync()
    assert replica.table("t") == [row[0] for row in execute("SELECT to_jsonb(t) FROM t ORDER BY id")]


def test_a_partition_beside_its_table(replica: Replica, execute: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("source_postgres.follow._HELD_BYTES", 1)  # a write after each change
    execute("CREATE TABLE t (id int PRIMARY KEY, v int) PARTITION BY RANGE (id)")
    execute("CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id)")
    execute("CREATE TABLE lowest PARTITION OF low FOR VALUES FROM (0) TO (10); INSERT INTO t VALUES (1, 0), (2, 0)")
    replica.sync()
    execute("INSERT INTO t VALUES (3, 0); DELETE FROM t WHERE id = 1; UPDATE t SET v = 1 WHERE id = 2")
    replica.sync()
    assert [replica.table(name) for name in ("t", "low", "lowest")] == [[{"id": 2, "v": 1}, {"id": 3, "v": 0}]] * 3


def test_a_partition_that_is_made_and_altered_meanwhile(
    replica: Replica, execute: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id)")
    execute("CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id)")
    execute("CREATE TABLE lowest PARTITION OF low FOR VALUES FROM (0) TO (10)")
    replica.sync("t", "low")
    catalog = replica.catalog("t", "low")
    follow = cdc._Reading.follow

    def then_follow(*arguments: Any) -> bool:
        execute("CREATE TABLE new PARTITION OF low FOR VALUES FROM (10) TO (20); INSERT INTO t VALUES (11)")
        execute("ALTER TABLE t ADD v int; INSERT INTO t VALUES (12)")
        return follow(*arguments)

    monkeypatch.setattr(cdc._Reading, "follow", then_follow)
    run = replica.source("read", catalog=catalog, state=replica.state)
    assert rows_of(run.records("t")) == rows_of(run.records("low")) == [{"id": 11}, {"id": 12}]


def test_a_partition_that_is_made_before_its_tables_turn(
    replica: Replica, execute: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id)")
    execute("CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (10)")
    catalog, require = replica.catalog("a", "t"), slot.require

    def require_then_make(*arguments: Any) -> None:
        require(*arguments)
        execute("CREATE TABLE IF NOT EXISTS new PARTITION OF t FOR VALUES FROM (10) TO (20)")

    monkeypatch.setattr(slot, "require", require_then_make)
    run = replica.source("read", catalog=catalog)
    assert run.statuses("t")[-1] == "COMPLETE", run.errors


def test_a_large_value_under_a_partitioned_tables_identity_is_kept(replica: Replica, execute: Any) -> None:
    """The log calls an old row whole that is a partition's, of which it has the key alone."""
    execute("ALTER PUBLICATION airbyte_publication SET (publish_via_partition_root = true)")
    execute("CREATE TABLE t (id int PRIMARY KEY, large text STORAGE EXTERNAL) PARTITION BY RANGE (id)")
    execute("CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (100); ALTER TABLE t REPLICA IDENTITY FULL")
    large = "x" * 5000
    execute("INSERT INTO t VALUES (1, %s), (2, %s)", large, large)
    replica.sync("t")
    execute("UPDATE t SET id = 3 WHERE id = 1")
    replica.sync("t")
    assert replica.table("t") == [{"id": 2, "large": large}, {"id": 3, "large": large}]
