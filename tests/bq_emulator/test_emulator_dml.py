"""Rows in numbers of which DuckDB makes row groups of their own before a transaction ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from emulator_jobs import run

from bq_emulator.emulator import Emulator
from bq_emulator.sql.frontend import GoogleSqlFrontend

ROW_GROUP = 122_880
NEW = f"CREATE TABLE d.new AS SELECT n FROM UNNEST(GENERATE_ARRAY(1, {ROW_GROUP})) AS n"
MERGE = """
    MERGE d.t AS t USING d.new AS s ON t.n = s.n
    WHEN MATCHED THEN UPDATE SET n = s.n
    WHEN NOT MATCHED AND s.n < 0 THEN INSERT (n) VALUES (0)
    WHEN NOT MATCHED THEN INSERT (n) VALUES (s.n)
"""


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    emulator = Emulator(tmp_path / "data", "p", "US", GoogleSqlFrontend(threads=1))
    for sql in ("CREATE SCHEMA d", "CREATE TABLE d.t (n INT64)", NEW):
        run(emulator, {"query": {"query": sql}})
    yield emulator
    emulator.close()


@pytest.mark.parametrize(
    "statement",
    [
        MERGE,
        "BEGIN TRANSACTION; INSERT INTO d.t SELECT n FROM d.new WHERE n = 0; INSERT INTO d.t SELECT n FROM d.new;"
        " COMMIT TRANSACTION;",
    ],
    ids=["MERGE", "script"],
)
@pytest.mark.parametrize("there", [0, 1000])
def test_a_clause_without_rows_before_many_rows_hides_none(emulator: Emulator, statement: str, there: int) -> None:
    run(emulator, {"query": {"query": f"INSERT INTO d.t SELECT -n FROM UNNEST(GENERATE_ARRAY(1, {there})) AS n"}})
    run(emulator, {"query": {"query": statement}})
    with emulator.database.session() as db:
        [name] = [row[0] for row in db.rows("SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'd.t.%'")]
        stored = db.one(f'SELECT count(n), count(DISTINCT n) FROM __data."{name}"')
    assert stored == (ROW_GROUP + there, ROW_GROUP + there)
