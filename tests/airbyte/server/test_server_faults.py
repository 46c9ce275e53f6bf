"""kill -9 of a connector or the server at any moment, and a database that hangs up: every row counts, and once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest
from airbyte_server.database import _ONE_SERVER_LOCK
from airbyte_services import AirbyteServer
from real_services import Database

# Goes on after the state it is given, with a state after every other record.
COUNT_TO_TWENTY = [{"count_to": 20, "pause": 0.05}, {"status": "users"}]


def _working_for(server: AirbyteServer, job_id: int | None = None) -> dict[str, psutil.Process]:
    """Live connectors of the server, or of one of its jobs, by role."""
    below = server.folder / "data" / "work"
    found = {}
    for process in psutil.process_iter(["cwd", "status"]):
        folder = Path(process.info["cwd"] or "/")
        asked_for = job_id is None or folder.parent.name.startswith(f"job-{job_id}-")
        if below in folder.parents and asked_for and process.info["status"] != psutil.STATUS_ZOMBIE:
            found[folder.name] = process
    return found


def _assert_counted_once(server: AirbyteServer, connection: str, job_id: int, output: Path) -> None:
    job = server.wait(job_id, timeout=60)
    assert (job["status"], job["rowsSynced"]) == ("succeeded", 20), server.explain(job_id)
    assert server.state(connection) == {"users": {"n": 20}}
    ids = [json.loads(line)["record"]["data"]["id"] for line in (output / "records.jsonl").read_text().splitlines()]
    assert set(ids) == set(range(1, 21))
    assert _working_for(server) == {}


@pytest.mark.parametrize("role", ["source", "destination"])
def test_a_killed_connector_costs_an_attempt_and_no_row(airbyte: AirbyteServer, tmp_path: Path, role: str) -> None:
    connection = airbyte.connect(COUNT_TO_TWENTY, tmp_path)
    job_id = airbyte.trigger(connection)
    while airbyte.state(connection) is None:
        time.sleep(0.02)
    _working_for(airbyte, job_id)[role].kill()
    _assert_counted_once(airbyte, connection, job_id, tmp_path)
    first, *_ = (entry["attempt"] for entry in airbyte.details(job_id)["attempts"])
    assert first["failureSummary"]["failures"][0]["failureOrigin"] == role


def test_a_server_killed_again_and_again_ends_its_job_all_the_same(
    new_database: Callable[[], Database], tmp_path: Path
) -> None:
    server = AirbyteServer(
        new_database().url,
        tmp_path,
        AIRBYTE_RETRY_SUCCESSIVE_COMPLETE_FAILURES="9",
        AIRBYTE_RETRY_BACKOFF_SECONDS="5",
    )
    try:
        connection = server.connect(COUNT_TO_TWENTY, tmp_path / "out")
        job_id = server.trigger(connection)
        # Before it has started, as it starts, and in the middle.
        for moment in (0.0, 0.15, 0.6):
            time.sleep(moment)
            server.kill()
            server.start()
        _assert_counted_once(server, connection, job_id, tmp_path / "out")

        once = {"once": str(tmp_path / "once"), "steps": [{"error": "transient_error", "message": "later"}]}
        waiting = server.connect([once, {"status": "users"}], tmp_path / "other")
        job_id = server.trigger(waiting)
        server.wait(job_id, "incomplete")
        server.kill()
        server.start()
        assert server.wait(job_id)["status"] == "succeeded"
        first, second = (entry["attempt"] for entry in server.details(job_id)["attempts"])
        assert second["createdAt"] - first["endedAt"] >= 4, "the wait between attempts survives"
    finally:
        server.stop()


def test_a_database_that_ends_all_sessions_abandons_no_job(
    new_database: Callable[[], Database], tmp_path: Path
) -> None:
    database = new_database()
    server = AirbyteServer(database.url, tmp_path)
    try:
        connection = server.connect(COUNT_TO_TWENTY, tmp_path / "out")
        job_id = server.trigger(connection)
        while server.state(connection) is None:
            time.sleep(0.02)
        with psycopg.connect(database.superuser_conninfo) as administrator:
            administrator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [database.user]
            )
        _assert_counted_once(server, connection, job_id, tmp_path / "out")
        held = "SELECT 1 FROM pg_locks JOIN pg_database d ON d.oid = database WHERE objid = %s AND datname = %s"
        with psycopg.connect(database.superuser_conninfo, autocommit=True) as administrator:
            deadline = time.monotonic() + 20
            while not administrator.execute(held, [_ONE_SERVER_LOCK, database.name]).fetchone():
                assert time.monotonic() < deadline, "another server could take the database"
                time.sleep(0.2)
    finally:
        server.stop()
