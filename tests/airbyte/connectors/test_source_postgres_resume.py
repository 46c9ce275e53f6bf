"""Passes that go on where they stopped, and reads by the transactions that wrote the rows (Xmin)."""

from __future__ import annotations

from typing import Any

import pytest


def test_an_interrupted_full_refresh_goes_on_and_misses_no_moved_row(
    source: Any, execute: Any, configured: Any
) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY, v int)")
    execute("INSERT INTO t SELECT i, 0 FROM generate_series(1, 130000) i; ANALYZE t")
    whole = source("read", catalog=configured())
    end = next(i for i, message in enumerate(whole.messages) if message["type"] == "STATE")
    seen = [m["record"]["data"]["id"] for m in whole.messages[:end] if m["type"] == "RECORD"]
    state = whole.states("t")[0]
    assert 40_000 < len(seen) < 60_000
    # Free the first pages, then move the table's last rows into them.
    execute("DELETE FROM t WHERE id <= 20000")
    execute("VACUUM t")
    execute("UPDATE t SET v = 1 WHERE id > 120000")
    assert execute("SELECT count(*) FROM t WHERE v = 1 AND (ctid::text::point)[0] < 80")[0][0] > 0
    rest = source("read", catalog=configured(), state=[state])
    ids = {record["id"] for record in rest.records("t")}
    assert len(ids) < 100_000
    assert set(seen) | ids >= set(range(20001, 130001))
    assert {record["id"] for record in rest.records("t") if record["v"] == 1} == set(range(120001, 130001))


def test_a_full_refresh_does_not_go_on_where_the_platform_does_not_want_it(
    source: Any, execute: Any, configured: Any
) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT i, 0 FROM generate_series(1, 60000) i")
    execute("ANALYZE t")
    resumable = configured()
    states = source("read", catalog=resumable).states("t")
    assert len(states) == 2
    unwanted = configured()
    unwanted["streams"][0]["stream"]["is_resumable"] = False
    again = source("read", catalog=unwanted, state=states[:1])
    assert len(again.records("t")) == 60000
    assert len(again.states("t")) == 1, "none amid the table"


def test_a_finished_full_refresh_is_not_read_again(source: Any, execute: Any, configured: Any) -> None:
    execute("CREATE TABLE t (id int); INSERT INTO t VALUES (1)")
    first = source("read", catalog=configured())
    again = source("read", catalog=configured(), state=first.states("t"))
    assert again.records("t") == []
    assert again.statuses("t") == ["STARTED", "COMPLETE"]


@pytest.fixture
def xmin(source: Any) -> Any:
    source.config["replication_method"] = {"method": "Xmin"}
    return source


INCREMENTAL = {"cursor_field": [], "sync_mode": "incremental", "destination_sync_mode": "append"}


def test_xmin_reads_what_was_written_since(xmin: Any, execute: Any, configured: Any) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT i, 0 FROM generate_series(1, 1000) i")
    catalog = configured(t=INCREMENTAL)
    assert catalog["streams"][0]["stream"]["source_defined_cursor"] is True
    first = xmin("read", catalog=catalog)
    assert len(first.records("t")) == 1000
    assert first.states("t")[-1]["stream"]["stream_state"]["state_type"] == "xmin_based"
    execute("UPDATE t SET v = 1 WHERE id = 7; INSERT INTO t VALUES (1001, 0)")
    second = xmin("read", catalog=catalog, state=first.states("t")[-1:])
    assert sorted(record["id"] for record in second.records("t")) == [7, 1001]
    third = xmin("read", catalog=catalog, state=second.states("t")[-1:])
    assert third.records("t") == []


def test_xmin_after_a_wraparound_reads_everything(xmin: Any, execute: Any, configured: Any) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)")
    catalog = configured(t=INCREMENTAL)
    state = xmin("read", catalog=catalog).states("t")[-1]
    state["stream"]["stream_state"]["xmin"] -= 2**31
    run = xmin("read", catalog=catalog, state=[state])
    assert len(run.records("t")) == 2
    assert "wrapped around" in run.logs


def test_xmin_continues_states_of_version_2(xmin: Any, execute: Any, configured: Any) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    catalog = configured(t=INCREMENTAL)
    state = xmin("read", catalog=catalog).states("t")[-1]
    value = state["stream"]["stream_state"]["xmin"]
    state["stream"]["stream_state"] = {
        "version": 2,
        "state_type": "xmin",
        "num_wraparound": 0,
        "xmin_xid_value": value,
        "xmin_raw_value": value,
    }
    execute("INSERT INTO t VALUES (2)")
    assert xmin("read", catalog=catalog, state=[state]).records("t") == [{"id": 2}]


def test_a_view_has_no_xmin(xmin: Any, execute: Any, configured: Any) -> None:
    execute("CREATE VIEW v AS SELECT 1 AS id")
    catalog = configured()
    assert catalog["streams"][0]["stream"]["supported_sync_modes"] == ["full_refresh"]
    run = xmin("read", catalog=configured(v=INCREMENTAL))
    assert "has no xmin" in run.errors[0]["message"]
