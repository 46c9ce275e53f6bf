"""Change data capture into BigQuery: what is in Postgres is in the table, deletions included."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from google.cloud import bigquery


@pytest.mark.parametrize("mode", ["Hard delete", "Soft delete"])
def test_the_table_follows_the_log(
    replica: Any, destination: Any, execute: Any, bigquery_client: bigquery.Client, dataset: str, mode: str
) -> None:
    destination.config["cdc_deletion_mode"] = mode

    def sync() -> None:
        catalog = replica.catalog("t")
        states = replica.state
        run = replica.sync("t")
        written = copy.deepcopy(catalog)
        for stream in written["streams"]:
            stream["stream"]["namespace"] = None
        # The platform takes the namespace off for a connection whose namespace is the destination's.
        lines = b"".join(run.lines).replace(b'"namespace":"public"', b'"namespace":null')
        done = destination("write", lines, catalog=written)
        assert done.status == 0, done.errors
        assert [s["global"] for s in done.states()] != states
        assert len(done.states()) == len(run.states())

    def rows() -> list[tuple[Any, ...]]:
        query = f"SELECT id, v, large, _ab_cdc_deleted_at IS NULL FROM `{dataset}.t` ORDER BY id"
        return [tuple(row.values()) for row in bigquery_client.query(query).result()]

    execute("CREATE TABLE t (id int PRIMARY KEY, v text, large text); ALTER TABLE t ALTER large SET STORAGE EXTERNAL")
    large = "x" * 4000
    execute("INSERT INTO t SELECT i, 'a', %s FROM generate_series(1, 4) i", large)
    sync()
    assert rows() == [(number, "a", large, True) for number in (1, 2, 3, 4)]
    # Many changes of one row in one transaction, whose order only the numbers in _ab_cdc_lsn tell.
    execute(
        "UPDATE t SET v = 'b' WHERE id = 1; UPDATE t SET v = 'c' WHERE id = 1; DELETE FROM t WHERE id = 2;"
        "INSERT INTO t VALUES (2, 'again', NULL); UPDATE t SET id = 30 WHERE id = 3; DELETE FROM t WHERE id = 4;"
        "INSERT INTO t VALUES (5, 'brief', ''); DELETE FROM t WHERE id = 5"
    )
    sync()
    alive = [(1, "c", large, True), (2, "again", None, True), (30, "a", large, True)]
    gone = [(number, None, None, False) for number in (3, 4, 5)] if mode == "Soft delete" else []
    assert rows() == sorted(alive + gone, key=lambda row: row[0])
    execute("INSERT INTO t VALUES (4, 'back', NULL)")
    sync()
    assert (4, "back", None, True) in rows()
