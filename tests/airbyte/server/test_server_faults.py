"""kill -9 of a connector or the server at any moment, a stop, a database that hangs up: every row counts, and once; no
job is stuck, no connector runs on."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from airbyte_server.database import _ONE_SERVER_LOCK
from airbyte_server.database import Database as MetadataDatabase
from airbyte_server.replication.attempt import Attempt, Plan, Side
from airbyte_server.replication.checkpoints import Checkpoint
from airbyte_server.replication.logs import AttemptLog
from airbyte_server.replication.mapping import NameMapping
from airbyte_server.replication.processes import Launcher
from airbyte_server.settings import Timeouts
from airbyte_services import HERE, AirbyteServer
from real_services import Database

# Goes on after the state it is given, with a state after every other record.
COUNT_TO_TWENTY = [{"count_to": 20, "pause": 0.05}, {"status": "users"}]


def _working_for(server: AirbyteServer, job_id: int | None = None) -> dict[str, psutil.Process]:
    """Live connectors of the server, or of one of its jobs, by role, and what they have started."""
    below = server.folder / "data" / "work"
    found = {}
    for process in psutil.process_iter(["cwd", "cmdline", "status"]):
        folder = Path(process.info["cwd"] or "/")
        asked_for = job_id is None or folder.parent.name.startswith(f"job-{job_id}-")
        if below in folder.parents and asked_for and process.info["status"] != psutil.STATUS_ZOMBIE:
            is_connector = "fake_" in " ".join(process.info["cmdline"] or [])
            found[folder.name if is_connector else f"{folder.name}'s {process.pid}"] = process
    return found


def _assert_counted_once(server: AirbyteServer, connection: str, job_id: int, output: Path) -> None:
    job = server.wait(job_id, timeout=60)
    assert (job["status"], job["rowsSynced"]) == ("succeeded", 20), server.explain(job_id)
    assert server.state(connection) == {"users": {"n": 20}}
    ids = [json.loads(line)["record"]["data"]["id"] for line in (output / "records.jsonl").read_text().splitlines()]
    assert set(ids) == set(range(1, 21))
    assert _working_for(server) == {}


@pytest.fixture(scope="module")
def metadata(new_database: Callable[[], Database]) -> Database:
    return new_database()


@pytest.fixture(scope="module")
def mortal(metadata: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirbyteServer]:
    """A server to be killed and started again."""
    limits = {"AIRBYTE_RETRY_SUCCESSIVE_COMPLETE_FAILURES": "9", "AIRBYTE_RETRY_BACKOFF_SECONDS": "5"}
    server = AirbyteServer(metadata.url, tmp_path_factory.mktemp("mortal"), **limits)
    yield server
    server.stop()


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


def test_a_server_killed_again_and_again_ends_its_jobs_all_the_same(mortal: AirbyteServer, tmp_path: Path) -> None:
    # Waits five seconds after its first attempt.
    once = {"once": str(tmp_path / "once"), "steps": [{"error": "transient_error", "message": "later"}]}
    waiting = mortal.trigger(mortal.connect([once, {"status": "users"}], tmp_path / "other"))
    mortal.wait(waiting, "incomplete")
    connection = mortal.connect(COUNT_TO_TWENTY, tmp_path / "out")
    job_id = mortal.trigger(connection)
    # Before it has started, as it starts, and in the middle.
    for moment in (0.0, 0.15, 0.6):
        time.sleep(moment)
        mortal.kill()
        mortal.start()
    assert mortal.wait(waiting)["status"] == "succeeded"
    _assert_counted_once(mortal, connection, job_id, tmp_path / "out")
    first, second, *_ = (entry["attempt"] for entry in mortal.details(waiting)["attempts"])
    assert second["createdAt"] - first["endedAt"] >= 4, "the wait between attempts survives"


def test_a_database_that_ends_all_sessions_abandons_no_job(
    mortal: AirbyteServer, metadata: Database, tmp_path: Path
) -> None:
    connection = mortal.connect(COUNT_TO_TWENTY, tmp_path / "out")
    job_id = mortal.trigger(connection)
    while mortal.state(connection) is None:
        time.sleep(0.02)
    with psycopg.connect(metadata.superuser_conninfo) as administrator:
        administrator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [metadata.user]
        )
    _assert_counted_once(mortal, connection, job_id, tmp_path / "out")
    held = "SELECT 1 FROM pg_locks JOIN pg_database d ON d.oid = database WHERE objid = %s AND datname = %s"
    with psycopg.connect(metadata.superuser_conninfo, autocommit=True) as administrator:
        deadline = time.monotonic() + 20
        while not administrator.execute(held, [_ONE_SERVER_LOCK, metadata.name]).fetchone():
            assert time.monotonic() < deadline, "another server could take the database"
            time.sleep(0.2)


def test_records_of_a_commit_that_failed_are_not_counted(tmp_path: Path) -> None:
    """Whether it has happened all the same only the database knows, and so what is stored there stays."""
    stream = {"stream": {"name": "users", "namespace": "public", "json_schema": {}}, "sync_mode": "incremental"}
    script = [{"records": 2}, {"state": "users", "value": {"n": 2}}, {"status": "users"}]
    source, destination = (
        Side([sys.executable, str(HERE / name)], configuration, {"streams": [stream]})
        for name, configuration in (
            ("fake_source.py", {"script": script}),
            ("fake_destination.py", {"folder": str(tmp_path)}),
        )
    )
    mapping = NameMapping("destination", None, "")
    plan = Plan(source, destination, None, None, mapping, [("public", "users")], frozenset(), tmp_path / "attempt")
    log = AttemptLog(tmp_path / "log", str, 10_000)
    seen = []

    def commit(checkpoints: list[Checkpoint]) -> None:
        seen.append(attempt.stats()[0]["stats"]["recordsCommitted"])
        raise ConnectionError("the server closed the connection unexpectedly")

    with log:
        attempt = Attempt(plan, Launcher(tmp_path, {}), log, Timeouts(), commit)
        outcome = attempt.run()
    assert "the server closed the connection" in outcome.failures[0].external_message
    assert seen == [2]
    assert attempt.final_stats is None
    with attempt.progress() as stats:
        assert stats is None


def test_a_killed_server_goes_on_with_its_job_from_the_committed_state(mortal: AirbyteServer, tmp_path: Path) -> None:
    once, kept, apart = tmp_path / "once", tmp_path / "state.json", tmp_path / "apart"
    script = [
        {"save_state": str(kept)},
        {
            "once": str(once),
            "steps": [
                {"fork": str(apart), "apart": True},
                *({"records": 5}, {"state": "users", "value": {"n": 5}}, {"records": 1}, {"sleep": 300}),
            ],
        },
        {"records": 2},
        {"state": "users", "value": {"n": 7}},
        {"status": "users"},
    ]
    connection = mortal.connect(script, tmp_path / "out", source={"api_key": "hidden-key"})
    job_id = mortal.trigger(connection)
    while mortal.state(connection) is None:
        time.sleep(0.05)
    before = list(_working_for(mortal).values())
    assert len(before) == 3, "also what the source has started in a group of its own"
    mortal.kill()
    assert any(process.is_running() for process in before)
    mortal.start()
    job = mortal.wait(job_id)
    assert (job["status"], job["rowsSynced"]) == ("succeeded", 7)
    assert json.loads(kept.read_text())[0]["stream"]["stream_state"] == {"n": 5}
    assert mortal.state(connection) == {"users": {"n": 7}}
    first, second = (entry["attempt"] for entry in mortal.details(job_id)["attempts"])
    assert (first["status"], second["status"]) == ("failed", "succeeded")
    assert (
        first["failureSummary"]["failures"][0]["externalMessage"]
        == "the server or its database stopped during the attempt"
    )
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in before)
    assert mortal.sync(connection)["status"] == "succeeded", "the connection is free again"
    assert not list((mortal.folder / "data" / "work").rglob("config.json"))


def test_stopping_the_server_ends_connectors_and_starting_it_resumes(mortal: AirbyteServer, tmp_path: Path) -> None:
    once = tmp_path / "once"
    script = [{"once": str(once), "steps": [{"sleep": 300}]}, {"records": 2}, {"status": "users"}]
    connection = mortal.connect(script, tmp_path / "out")
    job_id = mortal.trigger(connection)
    while not once.exists():
        time.sleep(0.05)
    mortal.stop()
    assert _working_for(mortal) == {}
    mortal.start()
    assert mortal.wait(job_id)["status"] == "succeeded"


def test_two_servers_on_one_database_are_refused(database: Database) -> None:
    url = database.url.replace("postgresql:", "postgresql+psycopg:")
    first = MetadataDatabase(url)
    try:
        with pytest.raises(RuntimeError, match="another airbyte-server works on this metadata database"):
            MetadataDatabase(url)
    finally:
        first.close()
    MetadataDatabase(url).close()
