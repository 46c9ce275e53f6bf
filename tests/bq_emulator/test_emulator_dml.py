"""Rows in numbers of which DuckDB makes row groups of their own before a transaction ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
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
def emulator(tmp_path: Path, frontend: GoogleSqlFrontend) -> Iterator[Emulator]:
    emulator = Emulator(tmp_path / "data", "p", "US", frontend)
    for sql in ("CREATE SCHEMA d", "CREATE TABLE d.t (n INT64)", NEW):
        run(emulator, {"query": {"query": sql}})
    yield emulator
    emulator.close()


def stored(emulator: Emulator) -> tuple[int, int]:
    """The rows of ``d.t`` and how many differ; every one of them is read, in as plain a way as there is."""
    with emulator.database.session() as db:
        record = emulator.metadata.table(db, "d", "t")
        rows, different = db.one(f"SELECT count(n), count(DISTINCT n) FROM {record.physical}") or (0, 0)
    return rows, different


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
    assert stored(emulator) == (ROW_GROUP + there, ROW_GROUP + there)


def test_a_temporary_table_made_of_nothing_takes_many_rows_in_a_transaction(emulator: Emulator) -> None:
    made = "BEGIN TRANSACTION; CREATE TEMP TABLE made AS SELECT n FROM d.new WHERE n = 0; "
    filled = "INSERT INTO made SELECT n FROM d.new; INSERT INTO d.t SELECT n FROM made; COMMIT TRANSACTION;"
    run(emulator, {"query": {"query": made + filled}})
    assert stored(emulator) == (ROW_GROUP, ROW_GROUP)


@pytest.mark.parametrize("relaxes", [False, True], ids=["after an empty file", "into a table that is made anew"])
def test_one_load_of_many_rows_hides_none(emulator: Emulator, relaxes: bool) -> None:
    mode = " NOT NULL" if relaxes else ""
    run(emulator, {"query": {"query": f"CREATE OR REPLACE TABLE d.t (n INT64{mode})"}})
    bucket = emulator.uploads.parent / "gcs" / "bucket"
    bucket.mkdir(parents=True)
    for name, rows in (("1", ROW_GROUP),) if relaxes else (("1", 0), ("2", ROW_GROUP)):
        pq.write_table(pa.table({"n": pa.array(range(rows), pa.int64())}), bucket / f"{name}.parquet")
    target = {"projectId": "p", "datasetId": "d", "tableId": "t"}
    load = {"destinationTable": target, "sourceFormat": "PARQUET", "sourceUris": ["gs://bucket/*"]}
    if relaxes:
        fields = [{"name": "n", "type": "INT64"}]
        load |= {"schema": {"fields": fields}, "schemaUpdateOptions": ["ALLOW_FIELD_RELAXATION"]}
    job = run(emulator, {"load": load})
    assert (job.error, job.statistics["load"]["outputBytes"]) == (None, str(8 * ROW_GROUP))
    assert stored(emulator) == (ROW_GROUP, ROW_GROUP)
