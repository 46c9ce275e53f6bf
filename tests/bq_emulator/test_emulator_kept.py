"""Tables that expire keep the rows of large Parquet loads in the files that came. Nobody can tell."""

from __future__ import annotations

import random
import shutil
import time
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bq_emulator.emulator import Emulator
from bq_emulator.jobs.job import Job
from bq_emulator.sql.frontend import GoogleSqlFrontend

ROWS = 20_000
CENTS = pa.decimal128(12, 2)
PLAIN = "CREATE TABLE d.plain (n NUMERIC, s STRING, t TIMESTAMP, missing STRING)"
KEPT = PLAIN.replace("plain", "kept") + " OPTIONS (expiration_timestamp = TIMESTAMP '2999-01-01')"


@pytest.fixture(scope="module")
def frontend() -> GoogleSqlFrontend:
    return GoogleSqlFrontend(threads=1)


@pytest.fixture
def emulator(tmp_path: Path, frontend: GoogleSqlFrontend) -> Iterator[Emulator]:
    emulator = Emulator(tmp_path / "data", "p", "US", frontend)
    for sql in ("CREATE SCHEMA d", PLAIN, KEPT):
        run(emulator, {"query": {"query": sql}})
    yield emulator
    assert emulator.close()


def run(emulator: Emulator, configuration: dict[str, object], upload: Path | None = None) -> Job:
    job = emulator.jobs.submit(configuration, upload=upload)
    job.done.result(60)
    return job


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
