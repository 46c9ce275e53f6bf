"""Reads that are cut off anywhere, while the table is written to: nothing is lost, and nothing comes doubled after
deduplication by key."""

from __future__ import annotations

import random
import signal
import subprocess
from typing import Any

import orjson
import psycopg
import pytest

METHODS = {
    "full refresh": ("Standard", {}),
    "Standard": ("Standard", {"cursor_field": ["at"]}),
    "Xmin": ("Xmin", {"cursor_field": [], "sync_mode": "incremental", "destination_sync_mode": "append"}),
}


class Copy:
    """A destination's table: one row per key, the newest by cursor and then by arrival; and the last state."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, Any]] = {}
        self.state: list[Any] = []
        self._waiting: list[dict[str, Any]] = []

    def take(self, lines: list[bytes], *, with_the_rest: bool) -> None:
        """What came before the last state is kept; what came after it may be, or not."""
        for line in lines:
            message = orjson.loads(line)
            if message["type"] == "RECORD":
                self._waiting.append(message["record"]["data"])
            elif message["type"] == "STATE":
                self._keep()
                self.state = [message["state"]]
        if with_the_rest:
            self._keep()
        self._waiting = []

    def _keep(self) -> None:
        for row in self._waiting:
            if row["id"] not in self.rows or row["at"] >= self.rows[row["id"]]["at"]:
                self.rows[row["id"]] = row
        self._waiting = []


@pytest.fixture
def table(database: Any) -> Any:
    """3000 rows on 250 pages, with a checkpoint after every two of them, for Postgres thinks that the rows are many."""
    with psycopg.connect(database.superuser_conninfo, autocommit=True) as connection:
        connection.execute(
            "CREATE SEQUENCE clock; "
            "CREATE TABLE t (id int PRIMARY KEY, at int8 DEFAULT nextval('clock'), pad text DEFAULT repeat('x', 600));"
            "INSERT INTO t SELECT i FROM generate_series(1, 3000) i"
        )
        connection.execute("ANALYZE t")
        connection.execute("UPDATE pg_class SET reltuples = relpages * 25000 WHERE relname = 't'")
        connection.execute(f"GRANT SELECT ON t TO {database.user}")
        yield connection


def write(table: psycopg.Connection[Any], chance: random.Random) -> None:
    """Changes that move rows to other pages: new versions at the end, and in the room that vacuum makes."""
    low = chance.randrange(1, 2900)
    table.execute("UPDATE t SET at = nextval('clock') WHERE id BETWEEN %s AND %s", [low, low + 100])
    table.execute("INSERT INTO t SELECT max(id) + 1 FROM t UNION SELECT max(id) + 2 FROM t")
    if chance.random() < 0.5:
        table.execute("VACUUM t")
    if chance.random() < 0.2:
        table.execute("VACUUM FULL t")
    table.execute("UPDATE pg_class SET reltuples = relpages * 25000 WHERE relname = 't'")


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("method", METHODS)
def test_a_read_cut_off_anywhere_goes_on(source: Any, table: Any, configured: Any, method: str, seed: int) -> None:
    replication, stream = METHODS[method]
    source.config["replication_method"] = {"method": replication}
    catalog = configured(t=stream)
    chance = random.Random(seed)
    copy = Copy()
    passes = 0
    for _ in range(6):
        lines = source("read", catalog=catalog, state=copy.state).lines
        cut = chance.randrange(len(lines))
        passes += any(b'"ctid":"(' in line for line in lines[:cut])
        copy.take(lines[:cut], with_the_rest=chance.random() < 0.5)
        write(table, chance)
    assert passes > 1
    last = source("read", catalog=catalog, state=copy.state)
    assert last.status == 0, last.errors
    copy.take(last.lines, with_the_rest=False)
    if stream:  # what was written behind the first pass's maximum is the next read's
        copy.take(source("read", catalog=catalog, state=copy.state).lines, with_the_rest=False)
    expected = {row[0]: {"id": row[0], "at": row[1], "pad": row[2]} for row in table.execute("SELECT * FROM t")}
    assert copy.rows == expected


def test_a_killed_process_leaves_whole_lines_and_no_session(source: Any, table: Any, configured: Any) -> None:
    arguments = source.arguments("read", catalog=configured())
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
        head = [process.stdout.readline() for _ in range(1000)]
        process.send_signal(signal.SIGKILL)
        lines = head + process.stdout.readlines()
    copy = Copy()
    copy.take([line for line in lines if line.endswith(b"\n")], with_the_rest=False)
    assert 0 < len(copy.rows) < 3000
    rest = source("read", catalog=configured(), state=copy.state)
    copy.take(rest.lines, with_the_rest=False)
    assert len(copy.rows) == 3000
    assert len(rest.records("t")) < 3000
