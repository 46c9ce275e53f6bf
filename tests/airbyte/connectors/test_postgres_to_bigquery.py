"""Both connectors joined by a pipe, as the platform joins them: what is in Postgres is in BigQuery."""

from __future__ import annotations

from typing import Any

import pytest
from google.cloud import bigquery


@pytest.fixture
def sync(source: Any, destination: Any, configured: Any) -> Any:
    """Run one sync; returns the states to go on from. ``generation`` is also the sync's number."""

    def run(generation: int, state: list[Any] | None = None, **stream: Any) -> list[Any]:
        catalog = configured(t=stream)
        for configured_stream in catalog["streams"]:
            configured_stream["sync_id"] = configured_stream["generation_id"] = generation
            if configured_stream["minimum_generation_id"]:
                configured_stream["minimum_generation_id"] = generation
        read = source("read", catalog=catalog, state=state)
        assert read.status == 0, read.errors
        for configured_stream in catalog["streams"]:
            configured_stream["stream"]["namespace"] = None
        # The platform takes the namespace off for a connection whose namespace is the destination's.
        lines = b"".join(read.lines).replace(b'"namespace":"public"', b'"namespace":null')
        written = destination("write", lines, catalog=catalog)
        assert written.status == 0, written.errors
        assert [s["sourceStats"]["recordCount"] for s in read.states()] == [
            s["destinationStats"]["recordCount"] for s in written.states()
        ]
        return read.states()

    return run


@pytest.fixture
def rows(bigquery_client: bigquery.Client, dataset: str) -> Any:
    def query(columns: str, order: str = "id") -> list[tuple[Any, ...]]:
        result = bigquery_client.query(f"SELECT {columns} FROM `{dataset}.t` ORDER BY {order}").result()
        return [tuple(row.values()) for row in result]

    return query


DEDUP = {"cursor_field": ["at"], "destination_sync_mode": "append_dedup", "primary_key": [["id"]]}


def test_increments_keep_one_row_per_key(execute: Any, sync: Any, rows: Any) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY, at timestamptz, v text)")
    execute("INSERT INTO t VALUES (1, '2024-01-01Z', 'a'), (2, '2024-01-02Z', 'a')")
    state = sync(1, **DEDUP)
    execute("UPDATE t SET at = '2024-01-03Z', v = 'b' WHERE id = 1")
    execute("INSERT INTO t VALUES (3, '2024-01-03Z', 'a')")
    sync(2, state[-1:], **DEDUP)
    assert rows("id, v") == [(1, "b"), (2, "a"), (3, "a")]


def test_an_appended_stream_repeats_no_row(execute: Any, sync: Any, rows: Any) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 10)")
    state = sync(1, cursor_field=["id"])
    execute("INSERT INTO t VALUES (11), (12)")
    state = sync(2, state[-1:], cursor_field=["id"])
    sync(3, state[-1:], cursor_field=["id"])
    assert [row[0] for row in rows("id")] == [*range(1, 13)]


def test_an_overwritten_stream_follows_hard_deletes(execute: Any, sync: Any, rows: Any) -> None:
    execute("CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 5)")
    sync(1)
    execute("DELETE FROM t WHERE id < 4")
    sync(2)
    assert rows("id") == [(4,), (5,)]
