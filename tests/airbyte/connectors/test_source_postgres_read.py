"""Full refresh and incremental reads: snapshots, states, resuming, failures of single streams."""

from __future__ import annotations

import subprocess
from typing import Any

import orjson
import pytest
from source_postgres import checkpoints, rows


def test_full_refresh_ends_with_a_state_and_complete(source: Any, execute: Any, configured: Any) -> None:
    execute("CREATE TABLE a (id int); INSERT INTO a VALUES (1), (2); CREATE TABLE empty (id int)")
    run = source("read", catalog=configured())
    assert run.status == 0
    assert run.statuses("a") == ["STARTED", "RUNNING", "COMPLETE"]
    assert run.statuses("empty") == ["STARTED", "COMPLETE"]
    assert [state["sourceStats"]["recordCount"] for state in run.states()] == [2, 0]
    assert run.messages[-1]["trace"]["stream_status"]["status"] == "COMPLETE"


def test_a_full_refresh_sees_one_snapshot(source: Any, execute: Any, configured: Any) -> None:
    execute(
        "CREATE TABLE t (id int, v text); INSERT INTO t SELECT i, repeat('x', 200) FROM generate_series(1, 40000) i"
    )
    arguments = source.arguments("read", catalog=configured())
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
        lines = [process.stdout.readline() for _ in range(10)]
        execute("UPDATE t SET v = 'changed'; INSERT INTO t VALUES (0, 'new'); DELETE FROM t WHERE id > 20000")
        lines += process.stdout.readlines()
    records = [orjson.loads(line)["record"]["data"] for line in lines if b'"RECORD"' in line]
    assert [record["id"] for record in records] == list(range(1, 40001))
    assert {record["v"] for record in records} == {"x" * 200}


def test_only_selected_columns_are_read(source: Any, execute: Any, configured: Any) -> None:
    execute("CREATE TABLE t (a int, b int, c int); INSERT INTO t VALUES (1, 2, 3)")
    catalog = configured()
    del catalog["streams"][0]["stream"]["json_schema"]["properties"]["b"]
    assert source("read", catalog=catalog).records("t") == [{"a": 1, "c": 3}]


def test_a_second_incremental_read_moves_only_new_rows(source: Any, execute: Any, configured: Any) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL)")
    execute("INSERT INTO t SELECT i, timestamptz '2024-01-01Z' + i * interval '1 s' FROM generate_series(1, 100) i")
    catalog = configured(t={"cursor_field": ["at"]})
    first = source("read", catalog=catalog)
    assert len(first.records("t")) == 100
    assert first.states("t")[-1]["stream"]["stream_state"]["cursors"] == {"at": "2024-01-01T00:01:40.000000Z"}
    second = source("read", catalog=catalog, state=first.states("t")[-1:])
    assert second.records("t") == []
    assert second.statuses("t") == ["STARTED", "COMPLETE"]
    execute("INSERT INTO t VALUES (101, '2024-01-01 00:01:40Z'), (102, '2024-01-01 00:02:00Z')")
    third = source("read", catalog=catalog, state=second.states("t")[-1:])
    # The saved value's own row comes again, and with it the one that came later and shares it.
    assert sorted(record["id"] for record in third.records("t")) == [100, 101, 102]
    assert third.states("t")[-1]["stream"]["stream_state"]["cursors"] == {"at": "2024-01-01T00:02:00.000000Z"}


def test_a_row_that_changes_at_the_saved_value_comes_again(source: Any, execute: Any, configured: Any) -> None:
    """The number of rows with that value stays as it was: one is updated in the same second, or replaced."""
    execute("CREATE TABLE t (id int PRIMARY KEY, at timestamp(0), v int)")
    execute("INSERT INTO t VALUES (1, '2024-01-01', 0), (2, '2024-01-02', 0), (3, '2024-01-02', 0)")
    catalog = configured(t={"cursor_field": ["at"]})
    state = source("read", catalog=catalog).states("t")[-1:]

    def read() -> list[tuple[int, int]]:
        nonlocal state
        run = source("read", catalog=catalog, state=state)
        state = run.states("t")[-1:]
        return sorted((record["id"], record["v"]) for record in run.records("t"))

    assert read() == []
    execute("UPDATE t SET v = 1 WHERE id = 2")
    assert read() == [(2, 1), (3, 0)]
    execute("DELETE FROM t WHERE id = 3; INSERT INTO t VALUES (4, '2024-01-02', 0), (5, '2024-01-03', 0)")
    assert read() == [(2, 1), (4, 0), (5, 0)]
    execute("INSERT INTO t VALUES (6, '2024-01-04', 0)")
    assert read() == [(6, 0)]


@pytest.mark.parametrize(
    ("sql_type", "low", "high"),
    [
        ("bigint", "9223372036854775806", "9223372036854775807"),
        ("numeric", "0.1000000000000000000001", "0.1000000000000000000002"),
        ("numeric", "1e400", "1e401"),
        ("text", "'a''\\'", "'b'"),
        ("uuid", "'00000000-0000-0000-0000-000000000001'", "'00000000-0000-0000-0000-000000000002'"),
        ("date", "'2024-01-01'", "'2024-01-02'"),
        ("timestamp", "'2024-01-01 00:00:00.000001'", "'2024-01-01 00:00:00.000002'"),
        ("time", "'10:00'", "'10:00:00.000001'"),
        ("float8", "0.1", "0.30000000000000004"),
    ],
)
def test_cursors_of_each_type_continue(
    source: Any, execute: Any, configured: Any, sql_type: str, low: str, high: str
) -> None:
    execute(f"CREATE TABLE t (id int, c {sql_type}); INSERT INTO t VALUES (0, NULL), (1, {low})")
    catalog = configured(t={"cursor_field": ["c"]})
    first = source("read", catalog=catalog)
    assert [record["id"] for record in first.records("t")] == [0, 1]
    execute(f"INSERT INTO t VALUES (2, {high})")
    second = source("read", catalog=catalog, state=first.states("t")[-1:])
    assert [record["id"] for record in second.records("t")] == [2]
    assert "1 rows have no usable value in cursor column 'c'" in second.logs
    assert source("read", catalog=catalog, state=second.states("t")[-1:]).records("t") == []


def test_an_infinite_cursor_does_not_poison_the_state(source: Any, execute: Any, configured: Any) -> None:
    execute("CREATE TABLE t (id int, at timestamptz); INSERT INTO t VALUES (1, '2024-01-01Z'), (2, 'infinity')")
    catalog = configured(t={"cursor_field": ["at"]})
    first = source("read", catalog=catalog)
    assert len(first.records("t")) == 2
    assert first.states("t")[-1]["stream"]["stream_state"]["cursors"] == {"at": "2024-01-01T00:00:00.000000Z"}
    execute("INSERT INTO t VALUES (3, '2024-01-02Z')")
    second = source("read", catalog=catalog, state=first.states("t")[-1:])
    assert [record["id"] for record in second.records("t")] == [3]


def test_an_empty_table_has_no_state_yet(source: Any, execute: Any, configured: Any) -> None:
    execute("CREATE TABLE t (id int)")
    catalog = configured(t={"cursor_field": ["id"]})
    first = source("read", catalog=catalog)
    assert first.states("t")[-1]["stream"]["stream_state"] is None
    execute("INSERT INTO t VALUES (1)")
    assert source("read", catalog=catalog, state=first.states("t")[-1:]).records("t") == [{"id": 1}]


def test_states_of_version_2_are_continued(source: Any, execute: Any, configured: Any) -> None:
    execute("CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 5)")
    old = {
        "version": 2,
        "state_type": "cursor_based",
        "stream_name": "t",
        "stream_namespace": "public",
        "cursor_field": ["id"],
        "cursor": "3",
        "cursor_record_count": 1,
    }
    state = [
        {"type": "STREAM", "stream": {"stream_descriptor": {"name": "t", "namespace": "public"}, "stream_state": old}}
    ]
    run = source("read", catalog=configured(t={"cursor_field": ["id"]}), state=state)
    # As many rows have the saved value as had been read: none of them is new.
    assert [record["id"] for record in run.records("t")] == [4, 5]
    assert run.states("t")[-1]["stream"]["stream_state"]["version"] == 3


def test_a_changed_cursor_starts_over(source: Any, execute: Any, configured: Any) -> None:
    execute("CREATE TABLE t (id int, other int); INSERT INTO t SELECT i, i FROM generate_series(1, 5) i")
    first = source("read", catalog=configured(t={"cursor_field": ["id"]}))
    second = source("read", catalog=configured(t={"cursor_field": ["other"]}), state=first.states("t")[-1:])
    assert len(second.records("t")) == 5
    assert "cursor 'other' replaces 'id'" in second.logs


@pytest.mark.parametrize(
    ("before", "value", "after", "using", "anew"),
    [
        ("text", "'abc'", "int", "1", True),
        ("bigint", "5000000000", "int", "1", True),
        # As texts, 10 is below 9.
        ("int", "9", "text", "c::text", True),
        ("date", "'2024-01-01'", "timestamp", "c::timestamp", False),
        ("date", "'0044-03-15 BC'", "timestamp", "c::timestamp", False),
        ("int", "9", "bigint", "c", False),
    ],
)
def test_a_cursor_of_another_type_goes_on_or_starts_over(
    source: Any, execute: Any, configured: Any, before: str, value: str, after: str, using: str, anew: bool
) -> None:
    execute(f"CREATE TABLE t (id int, c {before}); INSERT INTO t VALUES (0, NULL), (1, {value})")
    state = source("read", catalog=configured(t={"cursor_field": ["c"]})).states("t")[-1:]
    later = "'2024-01-02'" if after == "timestamp" else "'10'"
    execute(f"ALTER TABLE t ALTER c TYPE {after} USING {using}; INSERT INTO t VALUES (2, {later})")
    run = source("read", catalog=configured(t={"cursor_field": ["c"]}), state=state)
    # Of the cursor NULL the whole table alone gives rows; the saved value's own was written anew.
    assert [record["id"] for record in run.records("t")] == ([0, 1, 2] if anew else [1, 2]), run.errors
    assert ("reading the table from the start" in run.logs) is anew


def test_a_table_that_airbyte_has_filled_keeps_its_columns(source: Any, execute: Any, configured: Any) -> None:
    execute("CREATE TABLE t (id int, _ab_cdc_lsn numeric, _ab_cdc_deleted_at text); INSERT INTO t VALUES (1, 2, 'x')")
    run = source("read", catalog=configured())
    assert run.records("t") == [{"id": 1, "_ab_cdc_lsn": 2, "_ab_cdc_deleted_at": "x"}]


def test_an_empty_state_is_none(source: Any, execute: Any, configured: Any) -> None:
    execute("CREATE TABLE t (id int); INSERT INTO t VALUES (1)")
    assert source("read", catalog=configured(), state={}).records("t") == [{"id": 1}]


def test_a_table_is_read_in_parts_of_a_size(source: Any, execute: Any, configured: Any) -> None:
    """And not in large ones and a rest of a few rows, which is a load job of its own."""
    execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 101000); ANALYZE t")
    run = source("read", catalog=configured(t={"sync_mode": "full_refresh"}))
    counts = [state["sourceStats"]["recordCount"] for state in run.states("t")]
    assert sum(counts) == 101_000
    assert all(30_000 < count < 40_000 for count in counts if count)


def test_an_interrupted_first_read_resumes_at_its_last_state(source: Any, execute: Any, configured: Any) -> None:
    execute("CREATE TABLE t (id int NOT NULL); INSERT INTO t SELECT generate_series(1, 130000); ANALYZE t")
    catalog = configured(t={"cursor_field": ["id"]})
    whole = source("read", catalog=catalog)
    checkpoint = next(i for i, message in enumerate(whole.messages) if message["type"] == "STATE")
    seen = [m["record"]["data"]["id"] for m in whole.messages[:checkpoint] if m["type"] == "RECORD"]
    state = whole.states("t")[0]
    assert 40_000 < len(seen) < 60_000
    assert state["stream"]["stream_state"]["ctid"] is not None
    assert state["sourceStats"]["recordCount"] == len(seen)
    execute("INSERT INTO t VALUES (130001)")
    rest = source("read", catalog=catalog, state=[state])
    ids = seen + [record["id"] for record in rest.records("t")]
    assert set(range(1, 130001)) <= set(ids)
    assert len(ids) == len(set(ids))
    # What came after the first read began lies beyond its maximum and is the next read's.
    assert rest.states("t")[-1]["stream"]["stream_state"]["cursors"] == {"id": 130000}
    following = source("read", catalog=catalog, state=rest.states("t")[-1:])
    assert 130001 in [record["id"] for record in following.records("t")]


def test_an_interrupted_increment_resumes_at_its_last_state(source: Any, execute: Any, configured: Any) -> None:
    execute("CREATE TABLE t (id int NOT NULL); INSERT INTO t VALUES (0)")
    catalog = configured(t={"cursor_field": ["id"]})
    first = source("read", catalog=catalog)
    execute("INSERT INTO t SELECT i FROM generate_series(1, 120000) i ORDER BY random()")
    second = source("read", catalog=catalog, state=first.states("t")[-1:])
    state = second.states("t")[0]
    assert len(second.states("t")) > 1
    position = state["stream"]["stream_state"]["cursors"]["id"]
    third = source("read", catalog=catalog, state=[state])
    assert [record["id"] for record in third.records("t")] == list(range(position, 120001))


def test_a_rewritten_table_is_read_from_the_start(source: Any, execute: Any, configured: Any) -> None:
    execute("CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 60000); ANALYZE t")
    catalog = configured(t={"cursor_field": ["id"]})
    state = source("read", catalog=catalog).states("t")[0]
    execute("VACUUM FULL t")
    run = source("read", catalog=catalog, state=[state])
    assert len(run.records("t")) == 60000
    assert "rewritten" in run.logs


def test_a_missing_table_or_column_fails_its_stream_only(source: Any, execute: Any, configured: Any) -> None:
    execute(
        "CREATE TABLE a (id int); CREATE TABLE b (id int, x int); CREATE TABLE c (id int); INSERT INTO c VALUES (1)"
    )
    catalog = configured()
    execute("DROP TABLE a; ALTER TABLE b DROP COLUMN x")
    run = source("read", catalog=catalog)
    assert run.status == 1
    assert run.records("c") == [{"id": 1}]
    assert run.statuses("c")[-1] == "COMPLETE"
    assert run.statuses("a")[-1] == run.statuses("b")[-1] == "INCOMPLETE"
    table, column = run.errors
    assert "Table public.a does not exist" in table["message"]
    assert "no readable column 'x'" in column["message"]
    assert {table["failure_type"], column["failure_type"]} == {"config_error"}
    assert table["stream_descriptor"] == {"name": "a", "namespace": "public"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("RENAME COLUMN v TO w", "no readable column 'v'"),
        ("ALTER COLUMN v TYPE text", "'v' (now text)"),
        ("ALTER COLUMN v TYPE numeric(10,2)", "'v' (now numeric(10,2))"),
        ("ALTER COLUMN at TYPE timestamp", "'at' (now timestamp without time zone)"),
        ("ALTER COLUMN tags TYPE int[] USING NULL", "'tags' (now integer[])"),
        ("ALTER COLUMN v TYPE bigint, ADD COLUMN more text, ALTER COLUMN s TYPE varchar(9)", None),
    ],
)
def test_a_schema_that_has_changed_since_discovery(
    source: Any, execute: Any, configured: Any, change: str, words: str | None
) -> None:
    execute("CREATE TABLE t (v int, at timestamptz, tags text[], s text); INSERT INTO t VALUES (1, NULL, '{}', 'é')")
    catalog = configured()
    execute(f"ALTER TABLE t {change}")
    run = source("read", catalog=catalog)
    if words is None:
        assert run.records("t") == [{"v": 1, "at": None, "tags": [], "s": "é"}]
    else:
        assert (run.status, run.records("t"), run.errors[0]["failure_type"]) == (1, [], "config_error")
        assert words in run.errors[0]["message"]
        assert "refresh the connection's schema" in run.errors[0]["message"]


def test_a_first_read_that_upstream_began_goes_on(source: Any, execute: Any, configured: Any) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 9)")
    filenode = execute("SELECT pg_relation_filenode('t')::int8")[0][0]
    incremental = {"version": 2, "state_type": "cursor_based", "cursor_field": ["id"], "cursor": "9"}
    old = {"version": 2, "state_type": "ctid", "ctid": "(0,6)", "relation_filenode": filenode}

    def read(state: dict[str, Any], **stream: Any) -> list[int]:
        body = {"stream_descriptor": {"name": "t", "namespace": "public"}, "stream_state": state}
        run = source("read", catalog=configured(t=stream), state=[{"type": "STREAM", "stream": body}])
        assert run.status == 0, run.errors
        return [record["id"] for record in run.records("t")]

    assert read(old | {"incremental_state": incremental}, cursor_field=["id"]) == [7, 8, 9]
    # A full refresh without a snapshot's xmin cannot tell which rows have moved meanwhile: it begins anew.
    assert read(old) == list(range(1, 10))


@pytest.mark.parametrize(("cursor", "words"), [("tags", "cannot be a cursor"), ("nope", "not among its columns")])
def test_an_unusable_cursor_is_named(source: Any, execute: Any, configured: Any, cursor: str, words: str) -> None:
    execute("CREATE TABLE t (id int, tags text[])")
    run = source("read", catalog=configured(t={"cursor_field": [cursor]}))
    assert run.status == 1
    assert words in run.errors[0]["message"]
    assert repr(cursor) in run.errors[0]["message"]


def test_a_broken_connection_is_transient(source: Any, execute: Any, configured: Any, postgres_server: Any) -> None:
    execute(
        "CREATE TABLE t (id int, v text); INSERT INTO t SELECT i, repeat('x', 200) FROM generate_series(1, 40000) i"
    )
    arguments = source.arguments("read", catalog=configured())
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
        lines = [process.stdout.readline() for _ in range(10)]
        execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'airbyte-source-postgres' AND datname = current_database()"
        )
        lines += process.stdout.readlines()
    messages = [orjson.loads(line) for line in lines]
    error = next(m["trace"]["error"] for m in messages if m["type"] == "TRACE" and m["trace"]["type"] == "ERROR")
    assert process.returncode == 1
    assert error["failure_type"] == "transient_error"
    assert messages[-1]["trace"]["stream_status"]["status"] == "INCOMPLETE"


def test_an_increment_of_wide_rows_has_states_by_bytes(
    source: Any, execute: Any, configured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "CHECKPOINT_BYTES", 50_000)
    monkeypatch.setattr(rows, "_BLOCK_BYTES", 10_000)
    execute("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (0, '')")
    catalog = configured(t={"cursor_field": ["id"]})
    state = source("read", catalog=catalog).states("t")[-1:]
    execute("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 200) i")
    run = source("read", catalog=catalog, state=state)
    counts = [state["sourceStats"]["recordCount"] for state in run.states("t")]
    assert len(counts) > 3
    assert max(counts) <= 60
    assert sum(counts) == 200
