"""Tables that ALTER TABLE writes anew while a read begins: a snapshot from before finds nothing in them after."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import psycopg
import pytest
from cdc_replica import Replica
from source_postgres import catalog, slot

ROWS = [{"id": 1, "v": 1}, {"id": 2, "v": 2}]


@contextmanager
def being_rewritten(conninfo: str, table: str) -> Iterator[None]:
    """``table`` is rewritten by a transaction that ends once somebody waits for it."""
    with psycopg.connect(conninfo) as rewriting, psycopg.connect(conninfo, autocommit=True) as watching:
        rewriting.execute(f"ALTER TABLE {table} ALTER v TYPE bigint".encode())

        def end() -> None:
            until = time.monotonic() + 20
            while time.monotonic() < until:
                if watching.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
                    break
                time.sleep(0.02)
            rewriting.commit()

        thread = threading.Thread(target=end)
        thread.start()
        yield
        thread.join()


@pytest.fixture
def table(execute: Any) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1), (2, 2)")


@pytest.mark.parametrize("method", ["Standard", "Xmin"])
@pytest.mark.parametrize("stream", [{}, {"cursor_field": ["id"]}], ids=["full refresh", "incremental"])
def test_a_read_waits_for_a_rewrite_and_finds_its_rows(
    source: Any, configured: Any, database: Any, table: None, method: str, stream: dict[str, Any]
) -> None:
    source.config["replication_method"] = {"method": method}
    catalog = configured(t=stream)
    with being_rewritten(database.conninfo, "t"):
        run = source("read", catalog=catalog)
    assert run.records("t") == ROWS


@pytest.fixture
def rewritten_meanwhile(database: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Table t is rewritten from when source-postgres has looked whether it can be read until it reads it."""
    require = slot.require
    with ExitStack() as stack:

        def then_rewrite(*arguments: Any) -> None:
            require(*arguments)
            stack.enter_context(being_rewritten(database.conninfo, "t"))

        monkeypatch.setattr(slot, "require", then_rewrite)
        yield


def test_a_cdc_snapshot_waits_for_a_rewrite_and_finds_its_rows(
    replica: Replica, table: None, rewritten_meanwhile: None
) -> None:
    replica.sync("t")
    assert replica.table("t") == ROWS


def test_values_that_the_log_lacks_are_read_after_a_rewrite(
    replica: Replica, execute: Any, table: None, request: pytest.FixtureRequest
) -> None:
    execute("ALTER TABLE t ADD large text; ALTER TABLE t ALTER large SET STORAGE EXTERNAL")
    execute("UPDATE t SET large = repeat('x', 5000)")
    replica.sync("t")
    execute("UPDATE t SET v = 3 WHERE id = 1")
    request.getfixturevalue("rewritten_meanwhile")
    replica.sync("t")
    assert [(row["v"], len(row["large"])) for row in replica.table("t")] == [(3, 5000), (2, 5000)]


@pytest.fixture
def altered_meanwhile(execute: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], AbstractContextManager[None]]:
    """A context in which a statement runs once source-postgres has read the catalog."""
    tables = catalog.tables

    @contextmanager
    def altering(statement: str) -> Iterator[None]:
        def then_alter(*arguments: Any) -> Any:
            found = tables(*arguments)
            execute(statement)
            return found

        with monkeypatch.context() as patched:
            patched.setattr(catalog, "tables", then_alter)
            yield

    return altering


@pytest.mark.parametrize("method", ["Standard", "Xmin", "CDC"])
def test_a_column_that_changes_its_type_meanwhile_loses_nothing(
    source: Any, configured: Any, request: Any, altered_meanwhile: Any, table: None, method: str
) -> None:
    if method == "CDC":
        request.getfixturevalue("replica")
    source.config["replication_method"] |= {"method": method}
    whole = configured(t={"cursor_field": ["id"]})
    with altered_meanwhile("ALTER TABLE t ALTER v TYPE numeric USING v / 2.0"):
        run = source("read", catalog=whole)
    assert (run.records("t"), run.statuses("t")[-1]) == ([], "INCOMPLETE")
    assert "'v' became of another type" in run.errors[0]["message"]
    assert run.errors[0]["failure_type"] == "transient_error"
    run = source("read", catalog=configured(t={"cursor_field": ["id"]}))
    assert [float(record["v"]) for record in run.records("t")] == [0.5, 1]


def test_a_value_of_a_type_that_came_meanwhile_is_kept(replica: Replica, altered_meanwhile: Any, table: None) -> None:
    replica.sync("t")
    before = replica.catalog("t")
    with altered_meanwhile("ALTER TABLE t ALTER v TYPE text USING 'v' || v; UPDATE t SET v = 'new' WHERE id = 1"):
        run = replica.source("read", catalog=before, state=replica.state)
    assert (run.status, run.records("t")) == (1, [])
    replica.sync("t")
    assert replica.table("t")[0] == {"id": 1, "v": "new"}
