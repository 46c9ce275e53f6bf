"""The sync tasks against the embedded Airbyte itself: the answers that the scripted one imitates are the real ones."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from marketplace_pipeline.airbyte import AirbyteError, AirbyteJobs, JobDetails, Stream
from marketplace_pipeline.sync import TriggerSync, WaitForSync

from local_stack.postgres import EmbeddedPostgres

sys.path.append(str(Path(__file__).parents[1] / "airbyte" / "server"))
from airbyte_services import CLIENT_ID, CLIENT_SECRET, AirbyteServer

COMPLETE = {"status": "users", "value": "COMPLETE"}
ROWS = [{"records": 5}, {"state": "users", "value": {"cursor": 1}}, COMPLETE]


@pytest.fixture(scope="module")
def server(postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirbyteServer]:
    postgres_server.ensure_role("airbyte_of_dag", "meta")
    postgres_server.ensure_database("airbyte_of_dag", "airbyte_of_dag")
    url = f"postgresql://airbyte_of_dag:meta@{postgres_server.host}:{postgres_server.port}/airbyte_of_dag"
    server = AirbyteServer(url, tmp_path_factory.mktemp("airbyte"))
    with pytest.MonkeyPatch.context() as patch:
        connection = {
            "conn_type": "airbyte",
            "host": f"{server.url}/api/public/v1/",
            "login": CLIENT_ID,
            "password": CLIENT_SECRET,
        }
        patch.setenv("AIRFLOW_CONN_AIRBYTE_DEFAULT", json.dumps(connection))
        yield server
    server.stop()


def trigger(name: str, store: dict[str, Any] | None = None) -> int:
    kept = {} if store is None else store

    class Store:
        get = staticmethod(kept.get)
        set = staticmethod(kept.__setitem__)

    task = TriggerSync(task_id="trigger_sync", connection_name=name)
    return task.execute({"task_state_store": Store})  # type: ignore[typeddict-item]


def wait(job_id: int) -> WaitForSync:
    return WaitForSync(task_id="wait", job_id=job_id, execution_timeout=timedelta(seconds=30))


def wait_to_the_end(job_id: int) -> None:
    sensor, deadline = wait(job_id), time.monotonic() + 30
    while not sensor.poke({}):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_sync_is_started_waited_for_and_accounted_per_stream(server: AirbyteServer, tmp_path: Path) -> None:
    server.connect(ROWS, tmp_path, name="good")
    job_id = trigger("good")
    wait_to_the_end(job_id)
    airbyte = AirbyteJobs()
    job = airbyte.job(job_id)
    assert (job.has_succeeded, job.rows) == (True, 5)
    assert airbyte.connection(job.connection_id).streams == (Stream("users", "incremental_append"),)
    assert airbyte.job_details(job_id) == JobDetails({"users": 5}, 1, ())


def test_running_job_is_attached_to_and_cancelled_when_the_wait_is_killed(
    server: AirbyteServer, tmp_path: Path
) -> None:
    server.connect([{"sleep": 60}, *ROWS], tmp_path, name="slow")
    store: dict[str, Any] = {}
    job_id = trigger("slow", store)
    assert trigger("slow", store) == job_id  # a retry
    assert trigger("slow") == job_id  # another run, or a person who pressed the button in Airbyte
    sensor = wait(job_id)
    assert sensor.poke({}) is False
    sensor.on_kill()
    assert server.wait(job_id)["status"] == "cancelled"
    with pytest.raises(AirbyteError, match=f"job {job_id} cancelled"):
        sensor.poke({})
    assert trigger("slow", store) != job_id


def test_failed_job_tells_what_the_connector_said(server: AirbyteServer, tmp_path: Path) -> None:
    server.connect([{"error": "config_error", "message": "The password is wrong."}], tmp_path, name="bad")
    with pytest.raises(AirbyteError, match=r"failed after 0 committed rows: source: The password is wrong\."):
        wait_to_the_end(trigger("bad"))


def test_unknown_connection_name_lists_those_there_are(server: AirbyteServer, tmp_path: Path) -> None:
    server.connect(ROWS, tmp_path, name="known")
    with pytest.raises(AirbyteError, match=r"'unknown', but .*known"):
        trigger("unknown")
