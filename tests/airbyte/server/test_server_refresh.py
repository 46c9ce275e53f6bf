"""Refreshes and clears of some streams: what the connectors are told, and which state survives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airbyte_services import USERS_APPEND, AirbyteServer

ORDERS_APPEND = {**USERS_APPEND, "name": "orders"}


def _generations(folder: Path) -> dict[str, tuple[int, int]]:
    streams = json.loads((folder / "catalog.json").read_text())["streams"]
    return {one["stream"]["name"]: (one["generation_id"], one["minimum_generation_id"]) for one in streams}


def _connect(airbyte: AirbyteServer, folder: Path, kept: Path) -> str:
    """A connection with state for both its streams; each sync keeps the state it was given."""
    streams = ("users", "orders")
    states = [{"state": name, "value": {"n": 1}} for name in streams]
    script = [{"save_state": str(kept)}, *states, *({"status": name} for name in streams)]
    connection = airbyte.connect(script, folder, streams=[USERS_APPEND, ORDERS_APPEND])
    assert airbyte.sync(connection)["status"] == "succeeded"
    return connection


def _start(airbyte: AirbyteServer, path: str, connection: str, expect: int = 200, **body: Any) -> dict[str, Any]:
    answer = airbyte.call("POST", f"/api/v1/connections/{path}", expect, json={"connectionId": connection, **body})
    return airbyte.wait(answer["job"]["id"]) if expect == 200 else answer


def test_a_refresh_reads_a_stream_anew_and_syncs_the_others(airbyte: AirbyteServer, tmp_path: Path) -> None:
    folder, kept = tmp_path / "out", tmp_path / "state.json"
    connection = _connect(airbyte, folder, kept)
    users = [{"streamName": "users", "streamNamespace": "public"}]

    job = _start(airbyte, "refresh", connection, streams=users, refreshMode="Truncate")
    assert (job["status"], job["jobType"]) == ("succeeded", "refresh")
    assert _generations(folder) == {"users": (1, 1), "orders": (0, 0)}
    assert [one["stream"]["stream_descriptor"]["name"] for one in json.loads(kept.read_text())] == ["orders"]

    _start(airbyte, "refresh", connection, streams=users, refreshMode="Merge")
    assert _generations(folder) == {"users": (2, 0), "orders": (0, 0)}, "a merge keeps the rows of older generations"

    kept.unlink()
    _start(airbyte, "refresh", connection, refreshMode="Merge")
    assert _generations(folder) == {"users": (3, 0), "orders": (1, 0)}
    assert not kept.exists(), "all streams begin anew"
    airbyte.sync(connection)
    assert _generations(folder) == {"users": (3, 0), "orders": (1, 0)}, "later syncs add to the generation"


@pytest.mark.parametrize("begun", ["refresh", "reset"])
def test_replacing_that_was_given_up_is_ended_by_the_next_sync(
    airbyte: AirbyteServer, tmp_path: Path, begun: str
) -> None:
    folder = tmp_path / "out"
    connection = _connect(airbyte, folder, tmp_path / "state.json")
    destination = airbyte.call("GET", f"/connections/{connection}")["destinationId"]
    airbyte.call("PATCH", f"/destinations/{destination}", json={"configuration": {"mode": "hang"}})
    body = {"connectionId": connection, "refreshMode": "Truncate"}
    job = (
        airbyte.call("POST", "/api/v1/connections/refresh", json=body)["job"]["id"]
        if begun == "refresh"
        else airbyte.trigger(connection, begun)
    )
    while _generations(folder) != {"users": (1, 1), "orders": (1, 1)}:
        airbyte.wait(job, "running", "pending")
    airbyte.call("DELETE", f"/jobs/{job}")
    # The rows may be gone already: a sync that went on from the state would leave them out for ever.
    assert airbyte.state(connection) is None

    airbyte.call("PATCH", f"/destinations/{destination}", json={"configuration": {"mode": "echo"}})
    for minimum in (1, 0):
        assert airbyte.sync(connection)["status"] == "succeeded"
        assert _generations(folder) == {"users": (1, minimum), "orders": (1, minimum)}


def test_clearing_a_stream_leaves_the_others_alone(airbyte: AirbyteServer, tmp_path: Path) -> None:
    connection = _connect(airbyte, tmp_path / "out", tmp_path / "state.json")
    job = _start(airbyte, "clear/stream", connection, streams=[{"streamName": "users", "streamNamespace": "public"}])
    assert (job["status"], job["jobType"]) == ("succeeded", "reset")
    assert _generations(tmp_path / "out") == {"users": (1, 1)}
    assert airbyte.state(connection) == {"orders": {"n": 1}}


def test_states_of_another_type_want_a_clear_first(airbyte: AirbyteServer, tmp_path: Path) -> None:
    """As when the source is changed to change data capture, or back: what is stored does not say where to begin."""
    connection = _connect(airbyte, tmp_path / "out", tmp_path / "state.json")
    state = {"shared_state": {"lsn": 1}, "stream_states": []}
    script = [
        {"records": 2},
        {"raw": json.dumps({"type": "STATE", "state": {"type": "GLOBAL", "global": state}})},
        *({"status": name} for name in ("users", "orders")),
    ]
    source = airbyte.call("GET", f"/connections/{connection}")["sourceId"]
    airbyte.call("PATCH", f"/sources/{source}", json={"configuration": {"script": script}})

    job = airbyte.sync(connection)
    assert job["status"] == "failed"
    [attempt] = airbyte.details(job["jobId"])["attempts"]  # one, for trying again would help nobody
    assert "Clear the connection's data" in attempt["attempt"]["failureSummary"]["failures"][0]["externalMessage"]
    assert airbyte.state(connection) == {name: {"n": 1} for name in ("users", "orders")}

    airbyte.wait(airbyte.trigger(connection, "reset"))
    assert airbyte.sync(connection)["status"] == "succeeded"


def test_a_clear_of_an_unknown_stream_is_refused(airbyte: AirbyteServer, tmp_path: Path) -> None:
    connection = airbyte.connect([], tmp_path / "out")
    problem = _start(airbyte, "clear/stream", connection, 400, streams=[{"streamName": "nobody"}])
    assert problem["data"]["message"] == "Stream 'nobody' is not one of the connection's streams."
