"""kill -9 of the server: no job is lost or stuck, no connector runs on, stored secrets stay readable."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from airbyte_server.database import Database as MetadataDatabase
from airbyte_services import AirbyteServer
from real_services import Database


def _connectors(folder: Path) -> list[psutil.Process]:
    """Live processes of scripted connectors that work below ``folder``."""
    found = []
    for process in psutil.process_iter(["cmdline", "status", "cwd"]):
        command = " ".join(process.info["cmdline"] or [])
        below = (process.info["cwd"] or "").startswith(str(folder))
        if "fake_" in command and below and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def test_a_killed_server_goes_on_with_its_job_from_the_committed_state(
    new_database: Callable[[], Database], tmp_path: Path
) -> None:
    server = AirbyteServer(new_database().url, tmp_path)
    try:
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
        connection = server.connect(script, tmp_path / "out", source={"api_key": "hidden-key"})
        job_id = server.trigger(connection)
        while server.state(connection) is None:
            time.sleep(0.05)
        before = _connectors(tmp_path)
        assert len(before) == 2
        before.append(psutil.Process(int(apart.read_text())))
        server.kill()
        assert any(process.is_running() for process in before)
        server.start()
        job = server.wait(job_id)
        assert (job["status"], job["rowsSynced"]) == ("succeeded", 7)
        assert json.loads(kept.read_text())[0]["stream"]["stream_state"] == {"n": 5}
        assert server.state(connection) == {"users": {"n": 7}}
        first, second = (entry["attempt"] for entry in server.details(job_id)["attempts"])
        assert (first["status"], second["status"]) == ("failed", "succeeded")
        assert (
            first["failureSummary"]["failures"][0]["externalMessage"]
            == "the server or its database stopped during the attempt"
        )
        assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in before)
        assert server.sync(connection)["status"] == "succeeded", "the connection is free again"
        assert not list((tmp_path / "data" / "work").rglob("config.json"))
    finally:
        server.stop()


def test_stopping_the_server_ends_connectors_and_starting_it_resumes(
    new_database: Callable[[], Database], tmp_path: Path
) -> None:
    server = AirbyteServer(new_database().url, tmp_path)
    try:
        once = tmp_path / "once"
        script = [{"once": str(once), "steps": [{"sleep": 300}]}, {"records": 2}, {"status": "users"}]
        connection = server.connect(script, tmp_path / "out")
        job_id = server.trigger(connection)
        while not once.exists():
            time.sleep(0.05)
        server.stop()
        assert _connectors(tmp_path) == []
        server.start()
        assert server.wait(job_id)["status"] == "succeeded"
    finally:
        server.stop()


def test_two_servers_on_one_database_are_refused(database: Database) -> None:
    url = database.url.replace("postgresql:", "postgresql+psycopg:")
    first = MetadataDatabase(url)
    try:
        with pytest.raises(RuntimeError, match="another airbyte-server works on this metadata database"):
            MetadataDatabase(url)
    finally:
        first.close()
    MetadataDatabase(url).close()
