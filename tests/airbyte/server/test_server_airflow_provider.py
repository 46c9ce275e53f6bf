"""The real Airflow provider (hook, operator, sensor) against the running server."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from airbyte_services import CLIENT_ID, CLIENT_SECRET, USERS_APPEND, AirbyteServer
from airflow.providers.airbyte.hooks.airbyte import AirbyteHook
from airflow.providers.airbyte.operators.airbyte import AirbyteTriggerSyncOperator
from airflow.providers.airbyte.sensors.airbyte import AirbyteJobSensor

SCRIPT = [{"records": 2}, {"state": "users", "value": {"n": 2}}, {"status": "users"}]
FAILING = [{"error": "config_error", "message": "wrong password"}]


@pytest.fixture(autouse=True)
def connection(airbyte: AirbyteServer, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "conn_type": "airbyte",
        "host": f"{airbyte.url}/api/public/v1/",
        "login": CLIENT_ID,
        "password": CLIENT_SECRET,
    }
    monkeypatch.setenv("AIRFLOW_CONN_AIRBYTE_DEFAULT", json.dumps(settings))


def operator(connection_id: str, **options: object) -> AirbyteTriggerSyncOperator:
    return AirbyteTriggerSyncOperator(task_id="sync", connection_id=connection_id, wait_seconds=0.1, **options)


def test_the_hook_finds_a_healthy_server() -> None:
    assert AirbyteHook().test_connection() == (True, "Connection successfully tested")


def test_the_operator_waits_for_the_sync(airbyte: AirbyteServer, tmp_path: Path) -> None:
    job_id = operator(airbyte.connect(SCRIPT, tmp_path)).execute({})
    assert airbyte.call("GET", f"/jobs/{job_id}")["rowsSynced"] == 2


def test_the_operator_fails_with_the_job(airbyte: AirbyteServer, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="failed"):
        operator(airbyte.connect(FAILING, tmp_path)).execute({})


def test_the_sensor_waits_for_an_asynchronous_sync(airbyte: AirbyteServer, tmp_path: Path) -> None:
    job_id = operator(airbyte.connect([{"sleep": 1}, *SCRIPT], tmp_path), asynchronous=True).execute({})
    sensor = AirbyteJobSensor(task_id="wait", airbyte_job_id=job_id)
    assert sensor.poke({}) is False
    deadline = time.monotonic() + 20
    while not sensor.poke({}):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_sensor_fails_with_the_job(airbyte: AirbyteServer, tmp_path: Path) -> None:
    job = airbyte.sync(airbyte.connect(FAILING, tmp_path))
    with pytest.raises(Exception, match="failed"):
        AirbyteJobSensor(task_id="wait", airbyte_job_id=job["jobId"]).poke({})


def test_killing_the_operators_task_cancels_the_job(airbyte: AirbyteServer, tmp_path: Path) -> None:
    task = operator(airbyte.connect([{"sleep": 60}], tmp_path, streams=[USERS_APPEND]), asynchronous=True)
    job_id = task.execute({})
    task.on_kill()
    assert airbyte.call("GET", f"/jobs/{job_id}")["status"] == "cancelled"
