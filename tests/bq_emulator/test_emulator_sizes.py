"""Sizes of tables go on from what changes, and are those that reading all rows would give."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from emulator_jobs import run

from bq_emulator import sizes, tables
from bq_emulator.emulator import Emulator
from bq_emulator.jobs.job import Job
from bq_emulator.sql.frontend import GoogleSqlFrontend

NAMES = ("id", "day", "s", "j", "a", "st", "st.s")
#: 600 rows on five days and on none; texts, JSON, arrays and structs, each NULL or empty now and then.
ROWS = """
SELECT id, IF(MOD(id, 6) = 0, NULL, DATE_ADD(DATE '2024-01-01', INTERVAL MOD(id, 6) DAY)) AS day,
  IF(MOD(id, 7) = 0, NULL, REPEAT('ä', MOD(id, 11))) AS s,
  IF(MOD(id, 5) = 0, NULL, PARSE_JSON(FORMAT('{"n": %d}', id))) AS j,
  IF(MOD(id, 3) = 0, [], [CAST(id AS STRING), 'x']) AS a,
  IF(MOD(id, 4) = 0, NULL, STRUCT(id AS i, FORMAT('%d', id) AS s)) AS st
FROM UNNEST(GENERATE_ARRAY(1, 600)) AS id
"""
#: Of a statement: {k} is a number below 50, {new} an id that no row has yet.
FEW = (
    "UPDATE d.{t} SET s = CONCAT(IFNULL(s, ''), '€{k}') WHERE MOD(id, 50) = {k}",
    "UPDATE d.{t} SET s = NULL, j = JSON '{{\"k\": [1, 2, {k}]}}' WHERE MOD(id, 50) = {k}",
    "UPDATE d.{t} SET day = IF(day IS NULL, DATE '2024-01-03', NULL) WHERE MOD(id, 50) = {k}",
    "UPDATE d.{t} SET a = ARRAY_CONCAT(a, ['{k}']), st.s = 'new' WHERE MOD(id, 50) = {k} AND st IS NOT NULL",
    "UPDATE d.{t} AS t SET s = o.s, day = o.day FROM d.other AS o WHERE t.id = o.id AND MOD(o.id, 50) = {k}",
    "DELETE FROM d.{t} WHERE MOD(id, 50) = {k} AND id > 300",
    "INSERT INTO d.{t} (id, s, a) VALUES ({new}, 'inserted', NULL), ({new} + 1, NULL, ['y'])",
    """MERGE d.{t} AS t USING (SELECT * FROM d.other WHERE MOD(id, 50) = {k} UNION ALL
         SELECT {new} + id, day, s, j, a, st FROM d.other WHERE MOD(id, 50) = {k}) AS o ON t.id = o.id
       WHEN MATCHED AND MOD(o.id, 4) = 0 THEN DELETE
       WHEN MATCHED THEN UPDATE SET s = o.s, day = DATE '2024-01-02', st = o.st
       WHEN NOT MATCHED THEN INSERT ROW""",
    "MERGE d.{t} AS t USING d.other AS o ON t.id = o.id WHEN NOT MATCHED BY SOURCE AND t.id > {new} THEN DELETE",
    "BEGIN TRANSACTION; UPDATE d.{t} SET s = 'twice' WHERE MOD(id, 50) = {k}; INSERT INTO d.{t} (id) VALUES ({new}); "
    "UPDATE d.{t} SET s = 'again', a = ['b'] WHERE id >= {new} OR id = {k}; COMMIT TRANSACTION",
    "BEGIN TRANSACTION; DELETE FROM d.{t} WHERE id < 500; INSERT INTO d.{t} (id) VALUES ({new}); ROLLBACK TRANSACTION",
    "BEGIN TRANSACTION; UPDATE d.{t} SET s = 'much longer than before' WHERE MOD(id, 50) = {k}; INSERT INTO d.{t} (id) "
    "VALUES ({new}); DELETE FROM d.{t} WHERE MOD(id, 100) = {k} OR id = {new}; COMMIT TRANSACTION",
    "UPDATE d.{t} SET id = DIV(1, id - id) WHERE MOD(id, 50) = {k}",
    """MERGE d.{t} AS t USING (SELECT * FROM d.other WHERE MOD(id, 50) = {k}) AS o
       ON t.id = o.id AND t.id BETWEEN 9 AND 400
       WHEN MATCHED THEN UPDATE SET a = o.a, st = o.st, j = o.j, s = 'whole', day = o.day, id = o.id
       WHEN NOT MATCHED THEN INSERT ROW""",
    "UPDATE d.{t} SET id = NULL WHERE MOD(id, 50) = {k} AND id < 100",
)
MANY = (
    "UPDATE d.{t} SET s = CONCAT(IFNULL(s, ''), 'all') WHERE TRUE",
    "DELETE FROM d.{t} WHERE MOD(id, 2) = 0",
    "TRUNCATE TABLE d.{t}",
)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    emulator = Emulator(tmp_path_factory.mktemp("data"), "p", "US", GoogleSqlFrontend(threads=1))
    query(emulator, f"CREATE SCHEMA d; CREATE TABLE d.other AS {ROWS}")
    yield emulator
    assert emulator.close()


def query(emulator: Emulator, sql: str) -> Job:
    return run(emulator, {"query": {"query": sql}})


def load(emulator: Emulator, table: str, write: str, day: int | None = None) -> Job:
    upload = emulator.uploads / uuid.uuid4().hex
    columns: dict[str, object] = {"id": [9001, 9002], "s": ["loaded", None]}
    if day is not None:
        columns["day"] = pa.array([day, day], pa.date32())
    pq.write_table(pa.table(columns), upload)
    target = {"projectId": "p", "datasetId": "d", "tableId": table}
    configuration = {"destinationTable": target, "sourceFormat": "PARQUET", "writeDisposition": write}
    return run(emulator, {"load": configuration}, upload)


@pytest.fixture
def reads_all(monkeypatch: pytest.MonkeyPatch) -> Callable[[Emulator, str], bool]:
    """Whether all rows of a table are read to measure it; its measures must be those of all rows."""
    read, whole = sizes._read, []

    def watched(db: object, record: object, names: object, condition: str | None = None) -> object:
        whole.append(names) if condition is None else None
        return read(db, record, names, condition)  # type: ignore[arg-type]

    monkeypatch.setattr(sizes, "_read", watched)

    def measure(emulator: Emulator, name: str) -> bool:
        with emulator.database.transaction() as db:
            record = emulator.metadata.table(db, "d", name)
            whole.clear()
            found = emulator.tables.sizes.measure(db, record, NAMES)
            read_all = bool(whole)
            assert found == sizes.Sizes().measure(db, record, NAMES)
            return read_all

    return measure


@pytest.fixture(params=[False, True], ids=["at once", "afterwards"])
def afterwards(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that a change takes out are weighed in its transaction, or after it."""
    if request.param:
        weigh_afterwards(monkeypatch)


def weigh_afterwards(monkeypatch: pytest.MonkeyPatch, soon: float = 600) -> None:
    """``soon``: seconds after which changed rows are weighed though nobody asks."""
    monkeypatch.setattr(sizes, "_LARGE", 1)
    monkeypatch.setattr(sizes, "_SOON", soon)
    monkeypatch.setattr(tables, "_MANY", 4)


@pytest.mark.usefixtures("afterwards")
@pytest.mark.parametrize("layout", ["", "PARTITION BY day"])
def test_sizes_that_follow_changes_are_those_of_all_rows(
    emulator: Emulator, layout: str, reads_all: Callable[[Emulator, str], bool]
) -> None:
    name = f"t{uuid.uuid4().hex[:8]}"
    numbers = random.Random(layout)

    def check(after: str, *, follows: bool) -> None:
        assert not (reads_all(emulator, name) and follows), after

    query(emulator, f"CREATE TABLE d.{name} {layout} AS {ROWS}")
    check("the start", follows=False)
    for number in range(24):
        some = numbers.choice(FEW) if number >= len(FEW) else FEW[number]
        sql = some.format(t=name, k=numbers.randrange(50), new=10_000 + 1000 * number)
        job = query(emulator, sql)
        assert ("division by zero" in str(job.error)) if "DIV(" in sql else job.error is None, job.error
        if number % 4 != 3:  # else two changes come before the next look
            check(sql, follows=True)
    assert load(emulator, name, "WRITE_APPEND").error is None
    check("a load", follows=True)
    if layout == "PARTITION BY day":
        assert load(emulator, f"{name}$20240103", "WRITE_TRUNCATE", 19725).error is None
        check("a load that replaces a partition", follows=True)
    with emulator.database.session() as db:
        db.execute("FORCE CHECKPOINT")
    for sql in (FEW[0], *MANY, FEW[6]):
        assert query(emulator, sql.format(t=name, k=3, new=99_000)).error is None
        check(sql, follows=False)
    assert load(emulator, name, "WRITE_TRUNCATE_DATA").error is None
    check("a load that replaces all", follows=False)


def test_rows_that_are_written_anew_are_those_that_an_update_would_give(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for many in (0, 10**9):  # whatever changes are few rows of the table; nothing is
        monkeypatch.setattr(tables, "_MANY", many)
        name = f"t{uuid.uuid4().hex[:8]}"
        query(emulator, f"CREATE TABLE d.{name} PARTITION BY day AS {ROWS}")
        changes = [sql for sql in FEW if "d.other" in sql or "BEGIN" in sql]
        jobs = [query(emulator, sql.format(t=name, k=7, new=20_000)) for sql in changes]
        assert [job.error for job in jobs] == [None] * len(jobs)
        with emulator.database.session() as db:
            record = emulator.metadata.table(db, "d", name)
            rows = db.rows(f"SELECT * FROM {record.physical} ORDER BY ALL")
        found.append((rows, [job.statistics["query"].get("dmlStats") for job in jobs]))
    assert found[0] == found[1]


def test_sizes_outlive_a_restart_and_a_crash_forgets_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads_all: Callable[[Emulator, str], bool]
) -> None:
    monkeypatch.setattr(sizes, "_LARGE", 1)
    frontend = GoogleSqlFrontend(threads=1)
    emulator = Emulator(tmp_path, "p", "US", frontend)
    query(emulator, f"CREATE SCHEMA d; CREATE TABLE d.other AS {ROWS}; CREATE TABLE d.t PARTITION BY day AS {ROWS}")
    assert reads_all(emulator, "t")
    assert query(emulator, "DELETE FROM d.t WHERE MOD(id, 50) = 1").error is None  # DuckDB may close the gaps
    for number in (2, 3):
        assert emulator.close()
        emulator = Emulator(tmp_path, "p", "US", frontend)
        assert query(emulator, FEW[7].format(t="t", k=number, new=1000 * number)).error is None
        assert not reads_all(emulator, "t")
    assert emulator.close()
    for sql in (FEW[6], FEW[0]):  # an insert, which leaves the table's mark, and an update, which does not
        emulator = Emulator(tmp_path, "p", "US", frontend)
        assert query(emulator, sql.format(t="t", k=3, new=30_000)).error is None
        monkeypatch.setattr(emulator.tables.sizes, "store", lambda db, records: None)  # as if killed
        assert emulator.close()
        emulator = Emulator(tmp_path, "p", "US", frontend)
        assert reads_all(emulator, "t")
        assert emulator.close()


@pytest.fixture
def weighed(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Semaphore]:
    """Counts how often rows that a change took out were weighed after it."""
    read, count = sizes._read, threading.Semaphore(0)

    def watched(db: object, record: object, names: object, condition: str | None = None) -> object:
        found = read(db, record, names, condition)  # type: ignore[arg-type]
        if condition is not None and "_leaving" in condition:
            count.release()
        return found

    monkeypatch.setattr(sizes, "_read", watched)
    yield count


MERGE = FEW[7]


def merge(emulator: Emulator, number: int) -> None:
    assert query(emulator, MERGE.format(t="t", k=number, new=1000 * number)).error is None


def test_changed_rows_are_weighed_once_and_after_the_answer(
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    reads_all: Callable[[Emulator, str], bool],
    weighed: threading.Semaphore,
) -> None:
    weigh_afterwards(monkeypatch)
    query(emulator, f"CREATE OR REPLACE TABLE d.t PARTITION BY day AS {ROWS}")
    reads_all(emulator, "t")

    def measured() -> sizes.Measured:
        with emulator.database.transaction() as db:
            return emulator.tables.sizes.measure(db, emulator.metadata.table(db, "d", "t"), NAMES)

    before = measured()
    with emulator.database.transaction() as earlier:
        old = emulator.metadata.table(earlier, "d", "t")
        merge(emulator, 1)
        assert not weighed.acquire(blocking=False)
        with ThreadPoolExecutor(4) as pool:
            answers = [future.result() for future in [pool.submit(measured) for _ in range(4)]]
        assert emulator.tables.sizes.measure(earlier, old, NAMES) == before
    assert answers == [answers[0]] * 4 != [before] * 4
    assert weighed.acquire(blocking=False)
    assert not weighed.acquire(blocking=False)
    assert not reads_all(emulator, "t")


def test_changed_rows_are_weighed_soon_though_nobody_asks(
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    reads_all: Callable[[Emulator, str], bool],
    weighed: threading.Semaphore,
) -> None:
    weigh_afterwards(monkeypatch, soon=0.01)
    query(emulator, f"CREATE OR REPLACE TABLE d.t PARTITION BY day AS {ROWS}")
    reads_all(emulator, "t")
    merge(emulator, 1)
    assert weighed.acquire(timeout=30)
    assert not reads_all(emulator, "t")
    assert not weighed.acquire(blocking=False)


@pytest.mark.parametrize("crashes", [False, True])
def test_what_is_not_weighed_yet_outlives_a_restart_and_a_crash_forgets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads_all: Callable[[Emulator, str], bool], *, crashes: bool
) -> None:
    weigh_afterwards(monkeypatch)
    frontend = GoogleSqlFrontend(threads=1)
    emulator = Emulator(tmp_path, "p", "US", frontend)
    query(emulator, f"CREATE SCHEMA d; CREATE TABLE d.other AS {ROWS}; CREATE TABLE d.t PARTITION BY day AS {ROWS}")
    reads_all(emulator, "t")
    merge(emulator, 1)
    if crashes:
        monkeypatch.setattr(emulator.tables.sizes, "store", lambda db, records: None)
    assert emulator.close()
    emulator = Emulator(tmp_path, "p", "US", frontend)
    assert reads_all(emulator, "t") == crashes
    assert emulator.close()


def test_nothing_holds_the_moment_before_a_change_that_fails_or_whose_table_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads_all: Callable[[Emulator, str], bool]
) -> None:
    weigh_afterwards(monkeypatch)
    emulator = Emulator(tmp_path, "p", "US", GoogleSqlFrontend(threads=1))

    def is_held() -> bool:
        now = time.monotonic()
        return emulator.database.busy_since() < now

    query(
        emulator,
        f"CREATE SCHEMA d; CREATE TABLE d.other AS {ROWS}; CREATE TABLE d.t (id INT64 NOT NULL, day DATE, s STRING,"
        " j JSON, a ARRAY<STRING>, st STRUCT<i INT64, s STRING>); INSERT d.t SELECT * FROM d.other",
    )
    reads_all(emulator, "t")
    job = query(
        emulator,
        "MERGE d.t AS t USING d.other AS o ON t.id = o.id AND MOD(o.id, 50) = 1 WHEN MATCHED THEN UPDATE SET id = NULL",
    )
    assert "cannot be null" in str(job.error)
    assert not is_held()
    assert not reads_all(emulator, "t")
    merge(emulator, 2)
    assert is_held()
    assert query(emulator, "DROP TABLE d.t").error is None
    assert emulator.close()
    assert not is_held()
