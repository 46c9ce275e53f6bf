"""The real Airflow provider (hook, operator, sensor) against the running server."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airbyte_services import CLIENT_ID, CLIENT_SECRET, USERS_APPEND, AirbyteServer
from airflow.providers.airbyte.hooks.airbyte import AirbyteHook
from airflow.providers.airbyte.operators.airbyte import AirbyteTriggerSyncOperator
from airflow.providers.airbyte.sensors.airbyte import AirbyteJobSensor
from airflow.providers.airbyte.triggers.airbyte import AirbyteSyncTrigger
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import TaskDeferred

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


def deferred(task: BaseOperator) -> AirbyteSyncTrigger:
    """The trigger that ``task`` hands over to, as the triggerer would make it."""
    with pytest.raises(TaskDeferred) as raised:
        task.execute({})
    _, arguments = raised.value.trigger.serialize()
    return AirbyteSyncTrigger(**arguments)


def event(trigger: AirbyteSyncTrigger) -> dict[str, Any]:
    """What the trigger reports. It looks at once, then every minute: the job must be over, or the time up."""

    async def first() -> dict[str, Any]:
        return (await anext(trigger.run())).payload  # type: ignore[arg-type]  # an async generator by its body

    return asyncio.run(first())


def test_the_deferred_operator_ends_with_the_job(airbyte: AirbyteServer, tmp_path: Path) -> None:
    good = operator(airbyte.connect([{"sleep": 1}, *SCRIPT], tmp_path), deferrable=True)
    trigger = deferred(good)
    airbyte.wait(trigger.job_id)
    assert good.execute_complete({}, event(trigger)) is None
    bad = operator(airbyte.connect([{"sleep": 1}, *FAILING], tmp_path), deferrable=True)
    trigger = deferred(bad)
    airbyte.wait(trigger.job_id)
    with pytest.raises(RuntimeError, match="has failed"):
        bad.execute_complete({}, event(trigger))


def test_the_deferred_operator_and_sensor_fail_when_somebody_cancels_the_job(
    airbyte: AirbyteServer, tmp_path: Path
) -> None:
    task = operator(airbyte.connect([{"sleep": 60}], tmp_path), deferrable=True)
    trigger = deferred(task)
    sensor = AirbyteJobSensor(task_id="wait", airbyte_job_id=trigger.job_id, deferrable=True)
    of_sensor = deferred(sensor)
    AirbyteHook().cancel_job(trigger.job_id)
    for waiting, its_trigger in ((task, trigger), (sensor, of_sensor)):
        with pytest.raises(RuntimeError, match="has been cancelled"):
            waiting.execute_complete({}, event(its_trigger))
    with pytest.raises(Exception, match="cancelled"):
        AirbyteJobSensor(task_id="poke", airbyte_job_id=trigger.job_id).poke({})


def test_the_deferred_operators_timeout_cancels_the_job(airbyte: AirbyteServer, tmp_path: Path) -> None:
    connection_id = airbyte.connect([{"sleep": 60}], tmp_path)
    task = operator(connection_id, deferrable=True, execution_timeout=timedelta(seconds=0))
    trigger = deferred(task)
    with pytest.raises(RuntimeError, match="execution timeout"):
        task.execute_complete({}, event(trigger))
    assert airbyte.call("GET", f"/jobs/{trigger.job_id}")["status"] == "cancelled"


def test_the_operators_own_timeout_cancels_the_job(airbyte: AirbyteServer, tmp_path: Path) -> None:
    task = operator(airbyte.connect([{"sleep": 60}], tmp_path), timeout=0.5)
    with pytest.raises(Exception, match="Timeout"):
        task.execute({})
    assert airbyte.call("GET", f"/jobs/{task.job_id}")["status"] == "cancelled"


def test_the_hook_resets_a_connection(airbyte: AirbyteServer, tmp_path: Path) -> None:
    connection_id = airbyte.connect([{"state": "users", "value": {"n": 1}}, {"status": "users"}], tmp_path)
    airbyte.sync(connection_id)
    assert airbyte.state(connection_id) == {"users": {"n": 1}}
    job = AirbyteHook().submit_reset_connection(connection_id=connection_id)
    assert airbyte.wait(job.job_id)["jobType"] == "reset"
    assert airbyte.state(connection_id) is None
