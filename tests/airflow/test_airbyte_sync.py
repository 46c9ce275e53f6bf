"""Starting a sync and waiting for it: one job per run, whatever goes wrong on the way."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import RetryAction
from marketplace_pipeline.airbyte import AirbyteError, AirbyteJobs, AirbyteUnavailable
from marketplace_pipeline.sync import RETRY_WHILE_UNAVAILABLE, TriggerSync, WaitForSync
from scripted_airbyte import CONNECTION_ID, ScriptedAirbyte, connection, details

NAME = "marketplace_postgres_to_bigquery"


def trigger(store: dict[str, Any]) -> Any:
    """One try of the task; ``store`` is its state store, which outlives a try."""

    class Store:
        get = staticmethod(store.get)
        set = staticmethod(store.__setitem__)

    task = TriggerSync(task_id="trigger_sync", connection_name=NAME)
    return task.execute({"task_state_store": Store})  # type: ignore[typeddict-item]


def wait(job_id: int) -> WaitForSync:
    return WaitForSync(task_id="wait", job_id=job_id, poke_interval=0.01, execution_timeout=timedelta(seconds=5))


def is_retried(error: BaseException) -> bool:
    return RETRY_WHILE_UNAVAILABLE.evaluate(error, try_number=1, max_tries=3).action is RetryAction.RETRY


def test_starts_a_sync_of_the_connection_with_that_name(airbyte: ScriptedAirbyte) -> None:
    other = [connection(f"other_{number}", connection_id=f"id-{number}") for number in range(3)]
    airbyte.connections = other + airbyte.connections  # on the second page
    assert trigger({}) == 1
    assert airbyte.started == [1]
    assert airbyte.jobs[1]["connectionId"] == CONNECTION_ID


def test_unknown_connection_name_says_which_exist_and_how_to_create_it(airbyte: ScriptedAirbyte) -> None:
    airbyte.connections = [connection("another")]
    with pytest.raises(AirbyteError, match=rf"{NAME}.*another.*octavia apply") as failure:
        trigger({})
    assert not is_retried(failure.value)


def test_two_connections_of_one_name_are_refused(airbyte: ScriptedAirbyte) -> None:
    airbyte.connections = [connection(NAME, connection_id="one"), connection(NAME, connection_id="two")]
    with pytest.raises(AirbyteError, match="one, two"):
        trigger({})
    assert airbyte.started == []


def test_attaches_to_a_running_job_that_somebody_else_started(airbyte: ScriptedAirbyte) -> None:
    airbyte.add_job("succeeded")
    running = airbyte.add_job("running")
    assert trigger({}) == running
    assert airbyte.started == []


def test_retry_takes_the_job_of_the_earlier_try_even_if_it_has_ended(airbyte: ScriptedAirbyte) -> None:
    store: dict[str, Any] = {}
    assert trigger(store) == 1
    airbyte.jobs[1]["status"] = "succeeded"
    assert trigger(store) == 1
    assert airbyte.started == [1]


def test_retry_after_a_failed_job_starts_another(airbyte: ScriptedAirbyte) -> None:
    store: dict[str, Any] = {}
    trigger(store)
    airbyte.jobs[1]["status"] = "failed"
    assert trigger(store) == 2


def test_job_that_ended_between_refusal_and_look_up_is_worth_a_retry(
    airbyte: ScriptedAirbyte, monkeypatch: pytest.MonkeyPatch
) -> None:
    airbyte.add_job("running")
    answer = airbyte.answer

    def end_before_listing(method: str, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> Any:
        if method == "GET" and path.endswith("/jobs"):
            airbyte.jobs[1]["status"] = "succeeded"
        return answer(method, path, query, body)

    monkeypatch.setattr(airbyte, "answer", end_before_listing)
    with pytest.raises(AirbyteUnavailable, match="has ended") as failure:
        trigger({})
    assert is_retried(failure.value)
    assert trigger({}) == 2


def test_unavailable_airbyte_is_retried_and_wrong_credentials_are_not(airbyte: ScriptedAirbyte) -> None:
    airbyte.credentials_are_good = False
    with pytest.raises(AirbyteError, match="client id and secret") as refused:
        trigger({})
    assert not is_retried(refused.value)
    airbyte.credentials_are_good = True
    airbyte.unavailable = 1
    with pytest.raises(AirbyteUnavailable, match="503") as unavailable:
        trigger({})
    assert is_retried(unavailable.value)
    assert trigger({}) == 1


def test_airbyte_that_is_down_is_retried(airbyte: ScriptedAirbyte) -> None:
    airbyte.__exit__(None, None, None)
    with pytest.raises(AirbyteUnavailable, match="did not answer") as failure:
        trigger({})
    assert is_retried(failure.value)


def test_mistakes_in_the_code_are_not_retried() -> None:
    assert not is_retried(KeyError("x"))


def test_waits_until_the_job_succeeds(airbyte: ScriptedAirbyte) -> None:
    job_id = airbyte.add_job("pending")
    sensor = wait(job_id)
    for status in ("pending", "running", "incomplete", "running"):
        airbyte.jobs[job_id]["status"] = status
        assert sensor.poke({}) is False
    airbyte.jobs[job_id]["status"] = "succeeded"
    assert sensor.poke({}) is True


def test_failed_job_fails_the_wait_at_once_with_the_connectors_message(airbyte: ScriptedAirbyte) -> None:
    job_id = airbyte.add_job("failed", rows=7)
    airbyte.details[job_id] = details({}, attempts=3, failure="password authentication failed")
    with pytest.raises(AirbyteError, match=r"job 1 failed after 7 .*: source: password authentication failed Once"):
        wait(job_id).poke({})


def test_failed_job_without_config_api_names_the_server_to_look_at(airbyte: ScriptedAirbyte) -> None:
    job_id = airbyte.add_job("cancelled")
    with pytest.raises(AirbyteError, match=r"job 1 cancelled .*see the job's log in Airbyte at http"):
        wait(job_id).poke({})


def test_killing_the_wait_cancels_the_job(airbyte: ScriptedAirbyte) -> None:
    job_id = airbyte.add_job("running")
    wait(job_id).on_kill()
    assert airbyte.cancelled == [job_id]


def test_killing_the_wait_ends_even_if_airbyte_is_away(airbyte: ScriptedAirbyte) -> None:
    job_id = airbyte.add_job("running")
    sensor = wait(job_id)
    sensor.poke({})
    airbyte.unavailable = 1
    sensor.on_kill()
    assert (airbyte.unavailable, airbyte.cancelled) == (0, [])


def test_details_give_rows_per_stream_and_each_failure_once(airbyte: ScriptedAirbyte) -> None:
    job_id = airbyte.add_job("failed")
    airbyte.details[job_id] = details({"users": 3}, attempts=2, failure="boom")
    found = AirbyteJobs().job_details(job_id)
    assert found is not None
    assert (found.committed, found.attempts, found.failures) == ({"users": 3}, 2, ("source: boom",))
