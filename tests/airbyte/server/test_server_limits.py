"""What a server's settings limit: silence, time, jobs at once, the age of a discovery, and the size of logs."""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from airbyte_server.database import Database as MetadataDatabase
from airbyte_server.replication.logs import attempt_log_path, remove_old_logs
from airbyte_server.replication.queue import AttemptQueue
from airbyte_server.replication.watchdog import Watchdog
from airbyte_server.settings import LogLimits, Timeouts
from airbyte_services import AirbyteServer
from real_services import Database


@pytest.fixture(scope="module")
def strict(new_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirbyteServer]:
    server = AirbyteServer(
        new_database().url,
        tmp_path_factory.mktemp("strict"),
        AIRBYTE_RETRY_SUCCESSIVE_COMPLETE_FAILURES="1",
        AIRBYTE_RETRY_SUCCESSIVE_PARTIAL_FAILURES="1",
        AIRBYTE_SOURCE_HEARTBEAT_SECONDS="1",
        AIRBYTE_DESTINATION_TIMEOUT_SECONDS="1.5",
        AIRBYTE_MAX_CONCURRENT_JOBS="1",
        AIRBYTE_LOG_ATTEMPT_BYTES="2000",
        AIRBYTE_LOG_TOTAL_BYTES="8000",
        AIRBYTE_SCHEMA_MAX_AGE_SECONDS="0",
    )
    yield server
    server.stop()


def _failure(server: AirbyteServer, job: dict[str, Any]) -> dict[str, Any]:
    assert job["status"] == "failed"
    return server.details(job["jobId"])["attempts"][-1]["attempt"]["failureSummary"]["failures"][0]


def test_a_silent_source_is_ended_and_what_it_sent_stays_committed(strict: AirbyteServer, tmp_path: Path) -> None:
    script = [{"records": 3}, {"state": "users", "value": {"n": 3}}, {"sleep": 60}]
    connection = strict.connect(script, tmp_path)
    job = strict.sync(connection)
    failure = _failure(strict, job)
    assert (failure["failureOrigin"], failure["failureType"]) == ("source", "heartbeat_timeout")
    assert failure["externalMessage"] == "the source said nothing for 1 s"
    assert (job["rowsSynced"], strict.state(connection)) == (3, {"users": {"n": 3}})


@pytest.mark.parametrize("records", [1, 200_000], ids=["does not end", "does not read"])
def test_a_destination_that_hangs_is_ended_and_named(strict: AirbyteServer, tmp_path: Path, records: int) -> None:
    """Also where it holds back a source, whose own limit of silence is shorter."""
    script = [{"records": records}, {"status": "users"}]
    failure = _failure(strict, strict.sync(strict.connect(script, tmp_path, destination={"mode": "hang"})))
    assert (failure["failureOrigin"], failure["failureType"]) == ("destination", "destination_timeout")


def test_jobs_beyond_the_limit_wait_and_can_be_cancelled_waiting(strict: AirbyteServer, tmp_path: Path) -> None:
    slow = [{"log": "x"}, {"sleep": 0.8}, {"log": "y"}, {"sleep": 0.8}, {"status": "users"}]
    connections = [strict.connect(slow, tmp_path / str(n)) for n in range(3)]
    first, second, third = (strict.trigger(connection) for connection in connections)
    strict.wait(first, "running")
    assert strict.call("DELETE", f"/jobs/{third}")["status"] == "cancelled"
    assert strict.call("GET", f"/jobs/{second}")["status"] == "pending"
    strict.wait(second, "running")
    assert strict.call("GET", f"/jobs/{first}")["status"] == "succeeded"
    assert strict.wait(second)["status"] == "succeeded"
    assert strict.details(third)["attempts"] == []


def test_a_sync_discovers_the_source_anew_when_the_last_time_is_long_ago(strict: AirbyteServer, tmp_path: Path) -> None:
    marker = tmp_path / "extra"
    more = {"nonBreakingSchemaUpdatesBehavior": "propagate_columns"}
    connection = strict.connect([{"status": "users"}], tmp_path / "out", source={"extra_field": str(marker)}, **more)
    marker.touch()
    assert strict.sync(connection)["status"] == "succeeded"
    assert '"extra"' in (tmp_path / "out" / "catalog.json").read_text()


def test_a_job_is_cancelled_within_two_seconds_while_its_source_is_discovered(
    strict: AirbyteServer, tmp_path: Path
) -> None:
    slow = tmp_path / "slow"
    script = [{"records": 1}, {"status": "users"}]
    connection = strict.connect(script, tmp_path / "out", source={"extra_field": str(slow)})
    slow.write_text("6")
    job_id = strict.trigger(connection)
    strict.wait(job_id, "running")
    answer = strict.http.delete(f"/api/public/v1/jobs/{job_id}")
    assert (answer.json()["status"], answer.elapsed.total_seconds() < 2) == ("cancelled", True)
    slow.unlink()
    assert strict.sync(connection)["rowsSynced"] == 1
    assert strict.details(job_id)["job"]["status"] == "cancelled"


def test_an_attempt_ends_at_its_limit_however_much_it_says() -> None:
    overdue: queue.Queue[tuple[str, ...]] = queue.Queue()
    watchdog = Watchdog(Timeouts(attempt=0.1), lambda *told: overdue.put(told))
    watchdog.start()
    while overdue.empty():
        watchdog.source_heard()
    watchdog.stop()
    assert overdue.get() == ("platform", "system_error", "the attempt took longer than 0.1 s")


def test_logs_are_removed_when_they_are_old(tmp_path: Path) -> None:
    for job, age in ((1, 3), (2, 1)):
        path = attempt_log_path(tmp_path, job, 0)
        path.parent.mkdir(parents=True)
        path.write_text("said\n")
        os.utime(path, (time.time() - age * 86400,) * 2)
    remove_old_logs(tmp_path, LogLimits(days=2))
    assert [path.name for path in (tmp_path / "logs" / "jobs").iterdir()] == ["2"]


def test_queued_attempts_that_are_over_are_forgotten(database: Database) -> None:
    metadata = MetadataDatabase(database.url.replace("postgresql:", "postgresql+psycopg:"))
    ran: queue.Queue[tuple[int, int]] = queue.Queue()
    attempts = AttemptQueue(metadata.engine, lambda job, number: ran.put((job, number)), 2)
    attempts.start()
    try:
        with metadata.session.begin() as session:
            attempts.put(session, 7, 0)
            attempts.put(session, 8, 0, delay=3600)
        assert ran.get(timeout=10) == (7, 0)
        status = "SELECT workflow_uuid FROM dbos.workflow_status WHERE status = 'SUCCESS'"
        with psycopg.connect(database.conninfo, autocommit=True) as connection:
            deadline = time.monotonic() + 10
            while not connection.execute(status).fetchall():
                assert time.monotonic() < deadline
                time.sleep(0.01)
            attempts.forget()
            assert connection.execute(status).fetchall(), "for a week it is kept"
            attempts.forget(timedelta(0))
            left = connection.execute("SELECT workflow_uuid FROM dbos.workflow_status").fetchall()
        assert left == [("job-8-attempt-0",)]
    finally:
        attempts.stop(0)
        metadata.close()


def test_logs_are_cut_and_the_oldest_removed(strict: AirbyteServer, tmp_path: Path) -> None:
    connection = strict.connect([*({"log": "x" * 90} for _ in range(60)), {"status": "users"}], tmp_path)
    jobs = [strict.sync(connection)["jobId"] for _ in range(6)]
    logs = [strict.details(job)["attempts"][0]["logs"]["logLines"] for job in jobs]
    assert logs[0] == []
    assert logs[-1][-1].endswith("WARN [platform] the log reached 2000 bytes; the rest is left out")
    kept = list((strict.folder / "data" / "logs" / "jobs").rglob("*.log"))
    assert sum(path.stat().st_size for path in kept) < 8000 + 2 * 2200
