"""What has outlived its time goes by itself, whether or not anybody looks."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import emulator_jobs
import pytest

from bq_emulator.emulator import Emulator
from bq_emulator.jobs import history
from bq_emulator.jobs.job import Job
from bq_emulator.metadata import now_ms
from bq_emulator.rest.uploads import Uploads
from bq_emulator.sql.frontend import GoogleSqlFrontend


@pytest.fixture
def emulator(tmp_path: Path, frontend: GoogleSqlFrontend) -> Iterator[Emulator]:
    emulator = Emulator(tmp_path, "p", "US", frontend)
    yield emulator
    assert emulator.close()


def run(emulator: Emulator, sql: str) -> Job:
    job = emulator_jobs.run(emulator, {"query": {"query": sql}})
    assert job.error is None, job.error
    return job


def stored(emulator: Emulator) -> dict[str, int]:
    """The rows of each table in the file, those of anonymous results under the empty name."""
    with emulator.database.session() as db:
        names = db.rows("SELECT table_name FROM duckdb_tables() WHERE schema_name = '__data'")
        counts = [(name, db.scalar(f'SELECT count(*) FROM __data."{name}"')) for (name,) in names]
    return {name.split(".")[1] if name.startswith("d.") else "": count for name, count in counts}


def sweep_until(emulator: Emulator, ended: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not ended():
        assert time.monotonic() < deadline
        emulator.sweeper.sweep()


def test_expired_tables_partitions_and_results_free_their_space(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(emulator, "CREATE SCHEMA d")
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    days = (datetime.now(UTC) - midnight).total_seconds() / 86400 + 1.5 / 86400
    run(
        emulator,
        f"CREATE TABLE d.parted (t TIMESTAMP) PARTITION BY DATE(t) OPTIONS (partition_expiration_days = {days:.9f})",
    )
    run(emulator, "INSERT INTO d.parted (t) VALUES (CURRENT_TIMESTAMP()), (NULL)")
    monkeypatch.setattr("bq_emulator.statements.ANONYMOUS_LIFETIME_MS", 0)
    run(emulator, "SELECT 1")
    soon = "TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 SECOND)"
    run(emulator, f"CREATE TABLE d.short OPTIONS (expiration_timestamp = {soon}) AS SELECT 1 AS n")
    run(emulator, "CREATE TABLE d.kept AS SELECT 1 AS n")
    with emulator.locks.tables([("d", "parted")]):  # the sweeper waits for nobody
        sweep_until(emulator, lambda: stored(emulator) in ({"parted": 2, "kept": 1}, {"parted": 1, "kept": 1}))
    sweep_until(emulator, lambda: stored(emulator) == {"parted": 1, "kept": 1})


def test_old_jobs_are_forgotten_and_so_are_the_oldest_of_too_many(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [run(emulator, "ASSERT TRUE").job_id for _ in range(4)]

    def known() -> list[str]:
        with emulator.database.session() as db:
            return [job_id for (job_id,) in db.rows("SELECT job_id FROM __bq.jobs ORDER BY created_ms")]

    with emulator.database.transaction() as db:
        old = [now_ms() - history.HISTORY_MS - 1, now_ms() - 3000, now_ms() - 2000, now_ms()]
        for job_id, created in zip(jobs, old, strict=True):
            db.execute("UPDATE __bq.jobs SET created_ms = ? WHERE job_id = ?", [created, job_id])
    emulator.sweeper.sweep()
    assert known() == jobs[1:]
    monkeypatch.setattr(history, "MAX_JOBS", 2)
    emulator.sweeper.sweep()
    assert known() == jobs[2:]


def test_uploads_nobody_goes_on_with_are_forgotten(emulator: Emulator) -> None:
    uploads = Uploads(emulator)
    identifier = uploads.begin({"configuration": {"load": {}}})
    emulator.sweeper.sweep()
    assert len(os.listdir(emulator.uploads)) == 1
    uploads.find(identifier).used -= 8 * 24 * 3600
    emulator.sweeper.sweep()
    assert os.listdir(emulator.uploads) == []
