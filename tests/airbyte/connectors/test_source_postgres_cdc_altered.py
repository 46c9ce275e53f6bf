"""Tables that are altered between two reads of the log, or meanwhile: their changes are told right, or refused."""

from __future__ import annotations

from typing import Any

import pytest
from cdc_replica import Replica
from source_postgres import cdc


def rows_of(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: record[name] for name in record if not name.startswith("_ab_cdc")} for record in records]


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
