"""Jobs through the real server with scripted connectors: what arrives, what is stored, what happens on failures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psutil
import pytest
from airbyte_services import ORDERS_OVERWRITE, USERS_APPEND, AirbyteServer

COMPLETE = {"status": "users", "value": "COMPLETE"}


def read(folder: Path, name: str = "records.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def ids(folder: Path) -> list[int]:
    return [message["record"]["data"]["id"] for message in read(folder)]


def test_a_sync_moves_every_record_and_stores_the_confirmed_state(airbyte: AirbyteServer, tmp_path: Path) -> None:
    script = [{"records": 250}, {"state": "users", "value": {"cursor": "2026-01-01"}}, COMPLETE]
    connection = airbyte.connect(script, tmp_path)
    job = airbyte.sync(connection)
    assert (job["status"], job["rowsSynced"], job["jobType"]) == ("succeeded", 250, "sync")
    assert ids(tmp_path) == list(range(1, 251))
    assert read(tmp_path)[0]["record"]["data"] == {"id": 1, "name": 'ü1 "data":', "updated_at": "2026-01-01"}
    assert airbyte.state(connection) == {"users": {"cursor": "2026-01-01"}}
    stats = airbyte.details(job["jobId"])["job"]["streamAggregatedStats"]
    assert [(s["streamName"], s["recordsEmitted"], s["recordsCommitted"], s["status"]) for s in stats] == [
        ("users", 250, 250, "COMPLETE")
    ]
    assert job["bytesSynced"] == sum(
        len(json.dumps(m["record"]["data"], separators=(",", ":"), ensure_ascii=False).encode()) for m in read(tmp_path)
    )


def test_names_on_the_destinations_side_follow_namespace_definition_and_prefix(
    airbyte: AirbyteServer, tmp_path: Path
) -> None:
    script = [{"records": 2}, {"state": "users", "value": {"n": 1}}, COMPLETE]
    cases: list[tuple[dict[str, Any], str | None]] = [
        ({"namespaceDefinition": "destination"}, None),
        ({"namespaceDefinition": "source"}, "public"),
        ({"namespaceDefinition": "custom_format", "namespaceFormat": "raw_${SOURCE_NAMESPACE}"}, "raw_public"),
    ]
    for number, (options, namespace) in enumerate(cases):
        folder = tmp_path / str(number)
        connection = airbyte.connect(script, folder, prefix="x_", **options)
        assert airbyte.sync(connection)["status"] == "succeeded"
        assert {(m["record"]["stream"], m["record"].get("namespace")) for m in read(folder)} == {("x_users", namespace)}
        catalog = json.loads((folder / "catalog.json").read_text())["streams"][0]["stream"]
        assert (catalog["name"], catalog.get("namespace")) == ("x_users", namespace)
        status, state = read(folder, "other.jsonl")[::-1]
        for descriptor in (
            state["state"]["stream"]["stream_descriptor"],
            status["trace"]["stream_status"]["stream_descriptor"],
        ):
            assert (descriptor["name"], descriptor.get("namespace")) == ("x_users", namespace)
        assert airbyte.state(connection) == {"users": {"n": 1}}, "states are stored under the source's names"


def test_state_returns_to_the_source_digit_for_digit(airbyte: AirbyteServer, tmp_path: Path) -> None:
    exact = '{"cursor":123456789012345678901234567890.10,"b":1.0}'
    state = (
        '{"type":"STATE","state":{"type":"STREAM","stream":{"stream_descriptor":{"name":"users","namespace":"public"},'
        f'"stream_state":{exact}}}}}}}'
    )
    kept = tmp_path / "state.json"
    script = [{"save_state": str(kept)}, {"raw": state}, COMPLETE]
    connection = airbyte.connect(script, tmp_path / "out")
    assert airbyte.sync(connection)["status"] == "succeeded"
    assert not kept.exists(), "the first sync has no state"
    assert airbyte.sync(connection)["status"] == "succeeded"
    assert exact in kept.read_text()


def test_a_crash_goes_on_as_a_new_attempt_from_the_committed_state(airbyte: AirbyteServer, tmp_path: Path) -> None:
    kept, once = tmp_path / "state.json", tmp_path / "once"
    script = [
        {
            "once": str(once),
            "steps": [{"records": 5}, {"state": "users", "value": {"n": 5}}, {"records": 3}, {"crash": "out of luck"}],
        },
        {"save_state": str(kept)},
        {"records": 2},
        {"state": "users", "value": {"n": 7}},
        COMPLETE,
    ]
    connection = airbyte.connect(script, tmp_path / "out")
    job = airbyte.sync(connection)
    attempts = [entry["attempt"] for entry in airbyte.details(job["jobId"])["attempts"]]
    assert [attempt["status"] for attempt in attempts] == ["failed", "succeeded"]
    assert attempts[0]["failureSummary"]["partialSuccess"] is True
    (failure,) = attempts[0]["failureSummary"]["failures"]
    assert failure["failureOrigin"] == "source"
    assert failure["externalMessage"] == "the source ended with exit status 3; its last words: out of luck"
    assert json.loads(kept.read_text())[0]["stream"]["stream_state"] == {"n": 5}
    assert (job["status"], job["rowsSynced"]) == ("succeeded", 7)
    assert airbyte.state(connection) == {"users": {"n": 7}}
    other = read(tmp_path / "out", "other.jsonl")
    statuses = [m["trace"]["stream_status"]["status"] for m in other if m["type"] == "TRACE"]
    assert statuses == ["INCOMPLETE", "COMPLETE"], "an aborted stream must not look complete"


def test_complete_failures_are_retried_up_to_the_limit(airbyte: AirbyteServer, tmp_path: Path) -> None:
    connection = airbyte.connect([{"error": "transient_error", "message": "try later"}], tmp_path)
    job = airbyte.sync(connection)
    details = airbyte.details(job["jobId"])
    assert job["status"] == "failed"
    assert [entry["attempt"]["status"] for entry in details["attempts"]] == ["failed"] * 3
    failure = details["attempts"][0]["attempt"]["failureSummary"]["failures"][0]
    assert (failure["externalMessage"], failure["failureType"], failure["retryable"]) == (
        "try later",
        "transient_error",
        True,
    )


def test_a_configuration_error_is_not_retried(airbyte: AirbyteServer, tmp_path: Path) -> None:
    connection = airbyte.connect([{"error": "config_error", "message": "wrong password"}], tmp_path)
    job = airbyte.sync(connection)
    assert job["status"] == "failed"
    assert len(airbyte.details(job["jobId"])["attempts"]) == 1


def test_a_destination_that_dies_ends_the_source_and_tells_why(airbyte: AirbyteServer, tmp_path: Path) -> None:
    script = [{"records": 1}, {"sleep": 60}]
    connection = airbyte.connect(script, tmp_path, destination={"mode": "die", "token": "s3cr3t-token"})
    job = airbyte.sync(connection)
    attempt = airbyte.details(job["jobId"])["attempts"][0]
    (failure,) = attempt["attempt"]["failureSummary"]["failures"]
    assert (failure["failureOrigin"], failure["externalMessage"]) == ("destination", "no access with **********")
    assert "s3cr3t-token" not in json.dumps(attempt)


def test_a_destination_that_forgets_the_id_still_confirms_states(airbyte: AirbyteServer, tmp_path: Path) -> None:
    script = [
        {"records": 1},
        {"state": "users", "value": {"n": 1}},
        {"records": 1},
        {"state": "users", "value": {"n": 2}},
        COMPLETE,
    ]
    connection = airbyte.connect(script, tmp_path, destination={"mode": "forgetful"})
    assert airbyte.sync(connection)["status"] == "succeeded"
    assert airbyte.state(connection) == {"users": {"n": 2}}


def test_counts_of_source_platform_and_destination_are_compared(airbyte: AirbyteServer, tmp_path: Path) -> None:
    state = {"type": "STREAM", "stream": {"stream_descriptor": {"name": "users", "namespace": "public"}}}
    raw = json.dumps({"type": "STATE", "state": {**state, "sourceStats": {"recordCount": 5.0}}})
    connection = airbyte.connect([{"records": 3}, {"raw": raw}, COMPLETE], tmp_path, destination={"mode": "miscount"})
    job = airbyte.sync(connection)
    assert (job["status"], job["rowsSynced"]) == ("succeeded", 3), "what passed through is what counts"
    log = "\n".join(airbyte.details(job["jobId"])["attempts"][0]["logs"]["logLines"])
    assert "record count of a state differs for users: the source counted 5 records, 3 arrived" in log
    assert "record count of a state differs for users: the destination counted 2 records, 3 were sent" in log


def test_a_source_without_statuses_is_complete_when_it_exits_well(airbyte: AirbyteServer, tmp_path: Path) -> None:
    connection = airbyte.connect([{"records": 3}], tmp_path)
    assert airbyte.sync(connection)["status"] == "succeeded"
    (status,) = read(tmp_path, "other.jsonl")
    assert status["trace"]["stream_status"]["status"] == "COMPLETE"


def test_a_stream_left_incomplete_fails_the_job(airbyte: AirbyteServer, tmp_path: Path) -> None:
    script = [{"status": "users", "value": "STARTED"}, {"records": 3}]
    connection = airbyte.connect(script, tmp_path)
    job = airbyte.sync(connection)
    assert job["status"] == "failed"
    failures = airbyte.details(job["jobId"])["attempts"][0]["attempt"]["failureSummary"]["failures"]
    assert "without completing stream 'users'" in failures[0]["externalMessage"]


def test_generations_rise_for_replaced_streams_only(airbyte: AirbyteServer, tmp_path: Path) -> None:
    script = [
        {"state": "users", "value": {}},
        {"state": "orders", "value": {"end": True}},
        COMPLETE,
        {"status": "orders"},
    ]
    connection = airbyte.connect(script, tmp_path, streams=[USERS_APPEND, ORDERS_OVERWRITE])
    seen = []
    for _ in range(2):
        job = airbyte.sync(connection)
        streams = json.loads((tmp_path / "catalog.json").read_text())["streams"]
        assert {stream["sync_id"] for stream in streams} == {job["jobId"]}
        seen.append({s["stream"]["name"]: (s["generation_id"], s["minimum_generation_id"]) for s in streams})
    assert seen == [{"users": (0, 0), "orders": (1, 1)}, {"users": (0, 0), "orders": (2, 2)}]


def test_a_full_refresh_starts_every_job_without_state(airbyte: AirbyteServer, tmp_path: Path) -> None:
    kept = tmp_path / "state.json"
    script = [{"save_state": str(kept)}, {"state": "orders", "value": {"end": True}}, {"status": "orders"}]
    connection = airbyte.connect(script, tmp_path / "out", streams=[ORDERS_OVERWRITE])
    airbyte.sync(connection)
    assert airbyte.sync(connection)["status"] == "succeeded"
    assert not kept.exists()


def test_a_reset_empties_the_streams_and_forgets_the_state(airbyte: AirbyteServer, tmp_path: Path) -> None:
    script = [{"records": 2}, {"state": "users", "value": {"n": 2}}, COMPLETE]
    connection = airbyte.connect(script, tmp_path)
    airbyte.sync(connection)
    job = airbyte.sync(connection, "reset")
    assert (job["status"], job["jobType"], job["rowsSynced"]) == ("succeeded", "reset", 0)
    (stream,) = json.loads((tmp_path / "catalog.json").read_text())["streams"]
    assert (stream["destination_sync_mode"], stream["generation_id"], stream["minimum_generation_id"]) == (
        "overwrite",
        1,
        1,
    )
    assert airbyte.state(connection) is None


@pytest.mark.parametrize("destination", [{}, {"mode": "hang"}])
def test_cancelling_ends_the_whole_process_groups_within_two_seconds(
    airbyte: AirbyteServer, tmp_path: Path, destination: dict[str, str]
) -> None:
    pid_file = tmp_path / "grandchild"
    script = [{"records": 10}, {"fork": str(pid_file)}, {"sleep": 120}]
    connection = airbyte.connect(script, tmp_path / "out", destination=destination)
    job_id = airbyte.trigger(connection)
    while not pid_file.exists() or not pid_file.read_text():
        airbyte.wait(job_id, "running", "pending")
    answer = airbyte.http.delete(f"/api/public/v1/jobs/{job_id}")
    assert answer.status_code == 200
    assert answer.json()["status"] == "cancelled"
    assert answer.elapsed.total_seconds() < 2
    grandchild = int(pid_file.read_text())
    assert not psutil.pid_exists(grandchild) or psutil.Process(grandchild).status() == psutil.STATUS_ZOMBIE
    assert airbyte.call("DELETE", f"/jobs/{job_id}", expect=409)["title"] == "state-conflict"


def test_one_job_at_a_time_per_connection(airbyte: AirbyteServer, tmp_path: Path) -> None:
    connection = airbyte.connect([{"sleep": 60}], tmp_path)
    job_id = airbyte.trigger(connection)
    problem = airbyte.call("POST", "/jobs", expect=409, json={"connectionId": connection, "jobType": "sync"})
    assert problem["title"] == "try-again-later"
    assert problem["data"]["message"] == f"A sync is already running for: {connection}"
    airbyte.call("DELETE", f"/jobs/{job_id}")


def test_progress_is_visible_while_the_job_runs(airbyte: AirbyteServer, tmp_path: Path) -> None:
    script = [{"records": 40}, {"state": "users", "value": {"n": 40}}, {"records": 7}, {"sleep": 60}]
    connection = airbyte.connect(script, tmp_path)
    job_id = airbyte.trigger(connection)

    def numbers() -> tuple[int, int]:
        job = airbyte.details(job_id)
        entries = job["attempts"][0]["attempt"]["streamStats"] if job["attempts"] else []
        return (entries[0]["stats"]["recordsEmitted"], entries[0]["stats"]["recordsCommitted"]) if entries else (0, 0)

    while numbers() != (47, 40):
        airbyte.wait(job_id, "running", "pending")
    assert airbyte.call("GET", f"/jobs/{job_id}")["rowsSynced"] == 40
    airbyte.call("DELETE", f"/jobs/{job_id}")


def test_logs_tell_what_happened_and_hide_secrets(airbyte: AirbyteServer, tmp_path: Path) -> None:
    script = [{"log": "opening with hunter2-key"}, {"text": "plain hunter2-key line"}, {"records": 1}, COMPLETE]
    connection = airbyte.connect(script, tmp_path, source={"api_key": "hunter2-key"})
    job = airbyte.sync(connection)
    log = "\n".join(airbyte.details(job["jobId"])["attempts"][0]["logs"]["logLines"])
    assert "opening with **********" in log
    assert "plain ********** line" in log
    for file in [airbyte.log, *(path for path in (airbyte.folder / "data").rglob("*") if path.is_file())]:
        assert "hunter2-key" not in file.read_text(errors="replace"), file
