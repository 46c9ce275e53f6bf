"""Tables that expire keep the rows of large Parquet loads in the files that came. Nobody can tell."""

from __future__ import annotations

import random
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from destination_bigquery.catalog import parse
from destination_bigquery.sql import replace_table
from emulator_jobs import run

from bq_emulator.duck import Session
from bq_emulator.emulator import Emulator
from bq_emulator.jobs.job import Job
from bq_emulator.sql.frontend import GoogleSqlFrontend

ROWS = 20_000
CENTS = pa.decimal128(12, 2)
PLAIN = "CREATE TABLE d.plain (n NUMERIC, s STRING, t TIMESTAMP, missing STRING)"
KEPT = PLAIN.replace("plain", "kept") + " OPTIONS (expiration_timestamp = TIMESTAMP '2999-01-01')"


@pytest.fixture
def emulator(tmp_path: Path, frontend: GoogleSqlFrontend) -> Iterator[Emulator]:
    emulator = Emulator(tmp_path / "data", "p", "US", frontend)
    for sql in ("CREATE SCHEMA d", PLAIN, KEPT):
        run(emulator, {"query": {"query": sql}})
    yield emulator
    assert emulator.close()


def query(emulator: Emulator, sql: str) -> list[tuple[object, ...]]:
    job = run(emulator, {"query": {"query": sql}})
    assert job.error is None, job.error
    destination = job.parameters.get("destinationTable")
    with emulator.database.session() as db:
        record = emulator.metadata.find_table(db, destination["datasetId"], destination["tableId"])
        return db.rows(f"SELECT * FROM {record.physical}") if job.rows is not None and record else []


def rows(seed: int, decimals: pa.DataType = CENTS, count: int = ROWS) -> pa.Table:
    numbers = random.Random(seed)
    return pa.table(
        {
            "t": pa.array([numbers.randrange(10**15) for _ in range(count)], pa.timestamp("us", "UTC")),
            "s": [numbers.choice(["", "ä" * 40, None, f"{seed}-{i}"]) for i in range(count)],
            "n": pa.array([Decimal(numbers.randrange(-(10**9), 10**9)).scaleb(-2) for _ in range(count)], decimals),
        }
    )


def load(emulator: Emulator, file: bytes | pa.Table, table: str, write: str = "WRITE_APPEND") -> Job:
    upload = emulator.uploads / uuid.uuid4().hex
    if isinstance(file, pa.Table):
        pq.write_table(file, upload, use_dictionary=False, compression="none")
    else:
        upload.write_bytes(file)
    target = {"projectId": "p", "datasetId": "d", "tableId": table}
    configuration = {"destinationTable": target, "sourceFormat": "PARQUET", "writeDisposition": write}
    return run(emulator, {"load": configuration}, upload)


def files(emulator: Emulator) -> int:
    return len(list((emulator.uploads.parent / "loaded").iterdir()))


def swept(emulator: Emulator, left: int) -> bool:
    """Whether sweeping comes down to so many files; the emulator's own sweeper may be at it, too."""
    for _ in range(200):
        emulator.sweeper.sweep()
        if files(emulator) == left:
            return True
        time.sleep(0.05)
    return False


def is_kept(emulator: Emulator) -> bool:
    with emulator.database.session() as db:
        return bool(emulator.metadata.kept(db))


def test_rows_in_files_are_rows_like_others_until_and_after_they_change(emulator: Emulator) -> None:
    for number, table in enumerate((rows(1), rows(2), rows(3, count=10))):
        jobs = [load(emulator, table, name) for name in ("plain", "kept")]
        plain, kept = (job.statistics["load"] for job in jobs)
        assert kept == plain and kept["outputRows"] == str(len(table))
        assert (is_kept(emulator), files(emulator)) == (True, number + 1)
    same = "SELECT COUNT(*) FROM (SELECT * FROM d.plain EXCEPT DISTINCT SELECT * FROM d.kept)"
    both = "SELECT COUNT(*), COUNT(DISTINCT s), SUM(n), MAX(t), COUNTIF(missing IS NULL) FROM d."
    assert query(emulator, same) == [(0,)]
    assert query(emulator, both + "kept") == query(emulator, both + "plain")
    with emulator.database.session() as db:
        records = [emulator.metadata.table(db, "d", name) for name in ("plain", "kept")]
        sizes = [emulator.tables.sizes.total(db, record) for record in records]
        assert [record.resource["numRows"] for record in records] == [str(2 * ROWS + 10)] * 2
        emulator.tables.sizes._known.clear()
        assert sizes == [emulator.tables.sizes.total(db, record) for record in records]
        assert sizes[0] == sizes[1]
    changes = (
        "CREATE TABLE d.{}_copied COPY d.{}",
        "UPDATE d.{} SET s = 'new' WHERE MOD(CAST(n * 100 AS INT64), 3) = 0",
        "DELETE FROM d.{} WHERE s IS NULL",
        "MERGE d.{} AS t USING (SELECT DISTINCT n FROM d.{} WHERE n > 0) AS s ON t.n = s.n AND t.s = 'new' "
        "WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (n) VALUES (s.n)",
        "INSERT INTO d.{} (n) VALUES (7)",
        "ALTER TABLE d.{} DROP COLUMN missing",
    )
    for change in changes:
        for table in ("plain", "kept"):
            query(emulator, change.format(table, table))
        assert query(emulator, same) == [(0,)], change
    assert not is_kept(emulator)
    assert load(emulator, rows(4), "kept").error is None and not is_kept(emulator)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE d.kept SET n = 1 WHERE s = ''",
        "INSERT INTO d.kept (n) VALUES (1)",
        "ALTER TABLE d.kept ADD COLUMN x INT64",
    ],
)
def test_each_change_gives_the_rows_a_store_of_their_own(emulator: Emulator, change: str) -> None:
    load(emulator, rows(1), "kept")
    assert is_kept(emulator)
    query(emulator, change)
    assert not is_kept(emulator)
    (count,) = query(emulator, "SELECT COUNT(*) FROM d.kept")
    assert count == (ROWS + ("INSERT" in change),)


def test_files_of_other_columns_are_not_read_as_the_first_ones(emulator: Emulator) -> None:
    exact = rows(2, pa.decimal128(38, 9)).set_column(2, "n", pa.array([Decimal("0.123456789")] * ROWS))
    for table in (rows(1), exact):
        assert load(emulator, table, "kept").error is None
    assert query(emulator, "SELECT COUNT(*) FROM d.kept WHERE n = 0.123456789") == [(ROWS,)]


def test_a_broken_file_fails_its_job_and_leaves_nothing(emulator: Emulator) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(rows(1), sink, use_dictionary=False, compression="snappy")
    whole = sink.getvalue().to_pybytes()
    broken = load(emulator, whole[:1000] + bytes(200_000) + whole[201_000:], "kept")
    assert broken.error is not None and query(emulator, "SELECT COUNT(*) FROM d.kept") == [(0,)]
    assert not is_kept(emulator)


def test_a_decimal_beyond_numeric_fails_its_job_though_the_file_can_be_read(emulator: Emulator) -> None:
    table = rows(1, pa.decimal128(38, 2))
    great = pa.array([Decimal(10) ** 30] * ROWS, pa.decimal128(38, 2))
    beyond = load(emulator, table.set_column(2, "n", great), "kept")
    assert beyond.error is not None and query(emulator, "SELECT COUNT(*) FROM d.kept") == [(0,)]
    assert load(emulator, table, "kept").error is None and is_kept(emulator)


def test_files_stay_while_somebody_reads_them_and_outlive_a_move(
    emulator: Emulator, tmp_path: Path, frontend: GoogleSqlFrontend
) -> None:
    load(emulator, rows(1), "kept")
    with emulator.database.transaction() as db:
        physical = emulator.metadata.table(db, "d", "kept").physical
        load(emulator, rows(2), "kept", "WRITE_TRUNCATE")
        assert files(emulator) == 2
        for _ in range(2):
            emulator.sweeper.sweep()
        assert db.scalar(f"SELECT count(*) FROM {physical}") == ROWS
    assert swept(emulator, 1)
    assert emulator.close()
    shutil.move(emulator.uploads.parent, tmp_path / "moved")
    (tmp_path / "moved" / "loaded" / "0-0.parquet").touch()
    moved = Emulator(tmp_path / "moved", "p", "US", frontend)
    assert files(moved) == 1
    assert query(moved, "SELECT COUNT(*), MAX(CHAR_LENGTH(s)) FROM d.kept") == [(ROWS, 40)]
    query(moved, "DROP TABLE d.kept")
    assert swept(moved, 0)
    assert moved.close()


MADE = """
CREATE OR REPLACE TABLE d.{} (
  id STRING NOT NULL, t TIMESTAMP NOT NULL, meta JSON NOT NULL, one INT64, n NUMERIC, s STRING)
PARTITION BY TIMESTAMP_TRUNC(t, YEAR) CLUSTER BY s
AS SELECT GENERATE_UUID() AS id, t, IF(missing IS NULL, JSON '{{"a": []}}', PARSE_JSON(missing)) AS meta, 1 AS one, n, s
FROM d.{} {}
"""
#: Two made tables without what is different in them by right.
MADE_DIFFER = """
SELECT COUNT(*) FROM (
  SELECT TO_JSON_STRING(meta), t, one, n, s FROM d.{}
  EXCEPT DISTINCT
  SELECT TO_JSON_STRING(meta), t, one, n, s FROM d.{}
)
"""


def kept_tables(emulator: Emulator) -> int:
    with emulator.database.session() as db:
        return len(emulator.metadata.kept(db))


def test_a_table_made_of_one_in_files_reads_them_and_is_like_one_that_stores_its_rows(emulator: Emulator) -> None:
    for table in (rows(1), rows(2)):
        for name in ("plain", "kept"):
            load(emulator, table, name)
    for name in ("plain", "kept"):
        query(emulator, MADE.format(f"of_{name}", name, ""))
    assert kept_tables(emulator) == 2
    query(emulator, "DROP TABLE d.kept")
    assert kept_tables(emulator) == 1 and swept(emulator, 2)
    (counts,) = query(emulator, "SELECT COUNT(*), COUNT(DISTINCT id), MIN(CHAR_LENGTH(id)), MAX(id) FROM d.of_kept")
    assert counts[:3] == (2 * ROWS, 2 * ROWS, 36) and uuid.UUID(str(counts[3])).version == 4
    assert query(emulator, MADE_DIFFER.format("of_plain", "of_kept")) == [(0,)]
    with emulator.database.session() as db:
        records = [emulator.metadata.table(db, "d", name) for name in ("of_plain", "of_kept")]
        sizes = [emulator.tables.sizes.measure(db, record, ["id", "t", "meta", "n", "s"]) for record in records]
        assert sizes[0] == sizes[1] and len(sizes[0]) > 10
        assert [record.resource["numRows"] for record in records] == [str(2 * ROWS)] * 2
    query(emulator, "CREATE TABLE d.before AS SELECT * FROM d.of_kept")
    for change in (
        "DELETE FROM d.{} WHERE s = ''",
        "INSERT INTO d.{} (id, t, meta) VALUES ('x', TIMESTAMP '2020-01-01', JSON '1')",
        "ALTER TABLE d.{} SET OPTIONS (partition_expiration_days = 100000)",
    ):
        for name in ("of_plain", "of_kept"):
            query(emulator, change.format(name))
        assert query(emulator, MADE_DIFFER.format("of_plain", "of_kept")) == [(0,)], change
        assert kept_tables(emulator) == 0
    changed = "SELECT COUNT(*) FROM d.of_kept AS a JOIN d.before AS b USING (id) WHERE a.n IS DISTINCT FROM b.n"
    unchanged = "SELECT COUNT(*) = (SELECT COUNT(*) - 1 FROM d.of_kept) FROM d.of_kept JOIN d.before USING (id)"
    assert (query(emulator, changed), query(emulator, unchanged)) == ([(0,)], [(True,)])


def test_rows_in_files_are_weighed_without_making_their_ids(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(emulator, rows(1), "kept")
    query(emulator, MADE.format("made", "kept", ""))
    asked = []

    def watched(db: Session, sql: str, parameters: Sequence[object] = ()) -> list[tuple[object, ...]]:
        asked.append(sql)
        return db.execute(sql, parameters).fetchall()

    with emulator.database.session() as db:
        record = emulator.metadata.table(db, "d", "made")
        assert "md5" in str(record.physical)
        monkeypatch.setattr(Session, "rows", watched)
        sizes = emulator.tables.sizes.measure(db, record, ["id"])
    assert sum(each["id"] for each in sizes.values()) == ROWS * (36 + 2)
    assert asked and not any("md5" in sql for sql in asked)


def test_ids_of_rows_in_files_stay_over_a_restart_and_differ_between_tables(
    emulator: Emulator, tmp_path: Path, frontend: GoogleSqlFrontend
) -> None:
    load(emulator, rows(1), "kept")
    for name in ("one", "two"):
        query(emulator, MADE.format(name, "kept", ""))
    assert query(emulator, "SELECT COUNT(*) FROM d.one JOIN d.two USING (id)") == [(0,)]
    ids = "SELECT BIT_XOR(FARM_FINGERPRINT(CONCAT(id, CAST(n AS STRING)))) FROM d.one"
    before = query(emulator, ids)
    assert emulator.close()
    shutil.move(emulator.uploads.parent, tmp_path / "moved")
    moved = Emulator(tmp_path / "moved", "p", "US", frontend)
    assert kept_tables(moved) == 3 and query(moved, ids) == before
    assert moved.close()


def test_what_ends_a_full_refresh_is_made_in_files(emulator: Emulator) -> None:
    """The destination's own statement: were it written otherwise, nothing else would tell but the clock."""
    columns = {"n": {"type": "number"}, "s": {"type": "string"}}
    configured = {
        "stream": {"name": "final", "json_schema": {"properties": columns}}, "destination_sync_mode": "overwrite",
        "sync_mode": "full_refresh", "generation_id": 2, "minimum_generation_id": 2, "sync_id": 1,
    }  # fmt: skip
    (stream,) = parse({"streams": [configured]}, "d")
    query(emulator, KEPT.replace("kept (", "stage (_airbyte_extracted_at TIMESTAMP, _airbyte_meta STRING, "))
    load(emulator, rows(1).rename_columns(["_airbyte_extracted_at", "s", "n"]), "stage")
    for _ in range(2):
        query(emulator, replace_table("`p.d.final`", "`p.d.stage`", stream, hard_deletes=False, resumed=False))
    assert kept_tables(emulator) == 2
    found = "SELECT COUNT(*), MIN(TO_JSON_STRING(_airbyte_meta)), MAX(_airbyte_generation_id) FROM d.final"
    assert query(emulator, found) == [(ROWS, '{"changes":[],"sync_id":1}', 2)]


@pytest.mark.parametrize(
    "made",
    [
        MADE.format("made", "kept", "WHERE n > 0"),
        MADE.format("made", "kept", "LIMIT 5"),
        MADE.format("made", "kept", "").replace("1 AS one", "IF(n > 0, 1, 0) AS one"),
        MADE.format("made", "kept", "").replace("1 AS one", "CAST(FLOOR(RAND() * 100) AS INT64) AS one"),
        MADE.format("made", "kept", "").replace("1 AS one", "IF(n = (SELECT MAX(n) FROM d.kept), 2, NULL) AS one"),
        MADE.format("made", "kept", "").replace(", s STRING)", ", s STRING(40))"),
        "CREATE TABLE d.made AS SELECT DISTINCT s FROM d.kept",
        "CREATE TABLE d.made AS SELECT a.n FROM d.kept AS a JOIN d.kept AS b USING (n)",
    ],
)
def test_rows_that_are_not_those_in_the_files_are_stored(emulator: Emulator, made: str) -> None:
    load(emulator, rows(1), "kept")
    query(emulator, made)
    assert kept_tables(emulator) == 1
    assert query(emulator, "SELECT COUNT(*) > 0 FROM d.made") == [(True,)]


def test_null_in_a_required_column_is_refused_in_files_as_in_a_store(emulator: Emulator) -> None:
    load(emulator, rows(1), "kept")
    job = run(emulator, {"query": {"query": "CREATE TABLE d.made (s STRING NOT NULL) AS SELECT s FROM d.kept"}})
    assert job.error is not None and job.error.message == "Required field s cannot be null"
