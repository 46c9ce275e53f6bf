"""A source whose schema changes: what a sync finds, stores and does about it, by the connection's setting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airbyte_services import USERS_APPEND, AirbyteServer

USERS = {**USERS_APPEND, "selectedFields": [{"fieldPath": ["id"]}, {"fieldPath": ["updated_at"]}]}


def _connect(airbyte: AirbyteServer, folder: Path, behavior: str) -> str:
    more = {"nonBreakingSchemaUpdatesBehavior": behavior}
    return airbyte.connect([{"status": "users"}, {"status": "items"}], folder, streams=[USERS], **more)


def _change_source(airbyte: AirbyteServer, connection: str, **configuration: Any) -> None:
    source_id = airbyte.call("GET", f"/connections/{connection}")["sourceId"]
    airbyte.call("PATCH", f"/sources/{source_id}", json={"configuration": configuration})


def _connection(airbyte: AirbyteServer, connection: str) -> dict[str, Any]:
    return airbyte.call("POST", "/api/v1/connections/get", json={"connectionId": connection})


def _refusal(airbyte: AirbyteServer, job: dict[str, Any]) -> str:
    """Why the job, of one attempt, failed."""
    (entry,) = airbyte.details(job["jobId"])["attempts"]
    (failure,) = entry["attempt"]["failureSummary"]["failures"]
    assert (job["status"], failure["failureType"]) == ("failed", "config_error")
    return failure["externalMessage"]


@pytest.mark.parametrize(
    ("behavior", "streams"),
    [
        ("ignore", {"users": ["id", "updated_at"]}),
        ("propagate_columns", {"users": ["id", "email", "updated_at"]}),
        ("propagate_fully", {"users": ["id", "email", "updated_at"], "items": ["id", "email", "updated_at"]}),
    ],
)
def test_changes_that_break_nothing_are_propagated_as_set(
    airbyte: AirbyteServer, tmp_path: Path, behavior: str, streams: dict[str, list[str]]
) -> None:
    connection = _connect(airbyte, tmp_path, behavior)
    _change_source(airbyte, connection, fields=["id", "email", "updated_at"], streams=["users", "items", "orders"])
    assert airbyte.sync(connection)["status"] == "succeeded"
    catalog = json.loads((tmp_path / "catalog.json").read_text())["streams"]
    assert {one["stream"]["name"]: sorted(one["stream"]["json_schema"]["properties"]) for one in catalog} == {
        name: sorted(fields) for name, fields in streams.items()
    }
    seen = _connection(airbyte, connection)
    assert (seen["status"], seen["breakingChange"]) == ("active", False)
    assert seen["schemaChange"] == ("no_change" if behavior == "propagate_fully" else "non_breaking")
    changed, added = seen["catalogDiff"]["transforms"]
    assert [(field["transformType"], field["fieldName"]) for field in changed["updateStream"]["fieldTransforms"]] == [
        ("remove_field", ["name"]),
        ("add_field", ["email"]),
    ]
    assert (added["transformType"], added["streamDescriptor"]["name"]) == ("add_stream", "items"), (
        "orders was there and not selected: it is not new"
    )


def test_a_stream_that_is_gone_is_left_out(airbyte: AirbyteServer, tmp_path: Path) -> None:
    both = [USERS_APPEND, {**USERS_APPEND, "name": "orders"}]
    more = {"nonBreakingSchemaUpdatesBehavior": "propagate_fully"}
    connection = airbyte.connect([{"status": "users"}], tmp_path, streams=both, **more)
    _change_source(airbyte, connection, streams=["users"])
    assert airbyte.sync(connection)["status"] == "succeeded"
    (stream,) = airbyte.call("GET", f"/connections/{connection}")["configurations"]["streams"]
    assert stream["name"] == "users"


def test_a_connection_can_be_disabled_by_any_change(airbyte: AirbyteServer, tmp_path: Path) -> None:
    connection = _connect(airbyte, tmp_path, "disable_connection")
    _change_source(airbyte, connection, fields=["id", "name", "updated_at", "email"])
    assert "added users.email" in _refusal(airbyte, airbyte.sync(connection))
    seen = _connection(airbyte, connection)
    assert (seen["status"], seen["schemaChange"]) == ("inactive", "non_breaking")
    assert seen["statusReason"] == "DISABLE_CONNECTION_IF_ANY_SCHEMA_CHANGES"


def test_a_breaking_change_is_never_applied_by_itself(airbyte: AirbyteServer, tmp_path: Path) -> None:
    connection = _connect(airbyte, tmp_path, "propagate_fully")
    _change_source(airbyte, connection, fields=["id", "name", "changed_at"])
    source_id = _connection(airbyte, connection)["sourceId"]
    body = {"sourceId": source_id, "connectionId": connection}
    found = airbyte.call("POST", "/api/v1/sources/discover_schema", json=body)
    assert found["breakingChange"] is True

    assert "(removed users.updated_at)" in _refusal(airbyte, airbyte.sync(connection))
    seen = _connection(airbyte, connection)
    assert (seen["status"], seen["schemaChange"], seen["breakingChange"]) == ("inactive", "breaking", True)
    assert seen["statusReason"] == "SCHEMA_CHANGES_ARE_BREAKING"
    assert not (tmp_path / "catalog.json").exists(), "the destination was never started"
    airbyte.call("POST", "/jobs", expect=409, json={"connectionId": connection, "jobType": "sync"})

    streams = [{"name": "users", "syncMode": "incremental_append", "cursorField": ["changed_at"]}]
    change = {"configurations": {"streams": streams}, "status": "active"}
    airbyte.call("PATCH", f"/connections/{connection}", json=change)
    assert airbyte.sync(connection)["status"] == "succeeded"
    seen = _connection(airbyte, connection)
    assert (seen["schemaChange"], seen["statusReason"]) == ("no_change", None)


def test_another_key_breaks_deduplicated_streams_only(airbyte: AirbyteServer, tmp_path: Path) -> None:
    deduplicated = {**USERS_APPEND, "syncMode": "incremental_deduped_history"}
    for folder, streams, status in (("dedup", [deduplicated], "failed"), ("append", [USERS_APPEND], "succeeded")):
        connection = airbyte.connect([{"status": "users"}], tmp_path / folder, streams=streams)
        _change_source(airbyte, connection, key="name")
        job = airbyte.sync(connection)
        assert job["status"] == status
        if status == "failed":
            assert "(changed the primary key of users)" in _refusal(airbyte, job)
