"""The API's own behaviour: authentication, validation, problems, secrets, paging, schedules, the page."""

from __future__ import annotations

import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from airbyte_server.auth import Authenticator
from airbyte_server.cli import main
from airbyte_server.scheduler import next_run, parse_schedule
from airbyte_services import CLIENT_ID, CLIENT_SECRET, FAKE_SOURCE, USERS_APPEND, AirbyteServer
from click.testing import CliRunner

SCRIPT: list[dict[str, Any]] = [{"records": 1}, {"status": "users"}]


@pytest.mark.parametrize(
    "path",
    [
        "/api/public/v1/applications/token",
        "/v1/applications/token",
        "/api/v1/applications/token",
        "/applications/token",
    ],
)
@pytest.mark.parametrize("encoding", ["json", "data"])
def test_tokens_are_served_where_clients_look_for_them(airbyte: AirbyteServer, path: str, encoding: str) -> None:
    credentials = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    answer = httpx.post(airbyte.url + path, **{encoding: credentials}).json()
    assert (answer["token_type"], answer["expires_in"] >= 900) == ("Bearer", True)
    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    assert httpx.get(f"{airbyte.url}/v1/workspaces", headers=headers).status_code == 200


def test_wrong_credentials_and_missing_tokens_are_refused(airbyte: AirbyteServer) -> None:
    wrong = {"client_id": CLIENT_ID, "client_secret": "guess"}
    assert httpx.post(f"{airbyte.url}/v1/applications/token", json=wrong).status_code == 401
    foreign = Authenticator(CLIENT_ID, "another secret").issue()
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Bearer {foreign}"}):
        for path in ("/v1/jobs", "/v1/unknown", "/api/v1/unknown"):
            assert httpx.get(airbyte.url + path, headers=headers).status_code == 401
        assert httpx.post(f"{airbyte.url}/api/v1/jobs/get", json={"id": 1}, headers=headers).status_code == 401


def test_the_application_is_shown_without_its_secret(airbyte: AirbyteServer) -> None:
    (application,) = airbyte.call("GET", "/applications")["applications"]
    assert (application["clientId"], application["clientSecret"]) == (CLIENT_ID, "**********")
    assert airbyte.call("GET", f"/applications/{application['id']}") == application
    airbyte.call("GET", f"/applications/{uuid.uuid4()}", expect=404)
    airbyte.call("POST", "/applications", expect=501, json={"name": "another"})


def test_tokens_survive_another_server_with_the_same_secret() -> None:
    assert Authenticator(CLIENT_ID, CLIENT_SECRET).is_valid(Authenticator(CLIENT_ID, CLIENT_SECRET).issue())


def test_the_openapi_document_describes_the_public_api(airbyte: AirbyteServer) -> None:
    paths = airbyte.call("GET", "/openapi.json")["paths"]
    assert {"get", "post"} <= paths["/api/public/v1/connections"].keys()
    token = paths["/api/public/v1/applications/token"]["post"]["requestBody"]["content"]
    assert token.keys() == {"application/json", "application/x-www-form-urlencoded"}


def test_problems_have_the_platforms_shape(airbyte: AirbyteServer) -> None:
    missing = str(uuid.uuid4())
    problem = airbyte.call("GET", f"/connections/{missing}", expect=404)
    assert problem == {
        "status": 404,
        "type": "https://reference.airbyte.com/reference/errors#resource-not-found",
        "title": "resource-not-found",
        "detail": "The requested resource could not be found.",
        "documentationUrl": None,
        "data": {"resourceType": "connection", "resourceId": missing},
    }
    assert airbyte.call("GET", "/regions", expect=501)["title"] == "implementation/not-implemented-in-oss"
    assert airbyte.call("POST", "/api/v1/connections/status", expect=501)["status"] == 501
    assert airbyte.call("GET", "/connections/not-an-id", expect=400)["message"] == "Bad Request"
    assert airbyte.call("POST", "/jobs", expect=400, json={"jobType": "sync"})["_embedded"]["errors"]
    refresh = {"connectionId": missing, "jobType": "refresh"}
    assert airbyte.call("POST", "/jobs", expect=422, json=refresh)["title"] == "unprocessable-entity"
    assert airbyte.call("POST", "/jobs", expect=404, json={"connectionId": missing, "jobType": "sync"})
    assert airbyte.call("DELETE", "/jobs/999999", expect=404)
    assert airbyte.call("GET", "/jobs?orderBy=createdAt", expect=400)["title"] == "bad-request"
    assert airbyte.call("GET", "/sources?workspaceIds=x", expect=400)["title"] == "bad-request"


UNSTORABLE: list[tuple[str, str, bytes, int, str]] = [
    ("POST", "/workspaces", b'{"name": "a\\u0000b"}', 400, "U+0000"),
    ("POST", "/workspaces", b'{"name": "\\ud800"}', 400, "surrogate"),
    ("POST", "/workspaces", b'{"name": "n", "notifications": {"n": NaN}}', 400, "NaN"),
    (
        "POST",
        "/workspaces",
        b'{"name": "n", "notifications": ' + b'{"n":' * 200 + b"1" + b"}" * 201,
        400,
        "deeper than 100",
    ),
    ("GET", f"/jobs/{2**63}", b"", 400, "less than or equal"),
    ("GET", "/jobs?status=unknown", b"", 400, "'pending'"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "message"), UNSTORABLE)
def test_what_the_database_cannot_hold_is_refused_before(
    airbyte: AirbyteServer, method: str, path: str, body: bytes, status: int, message: str
) -> None:
    answer = airbyte.http.request(
        method, f"/api/public/v1{path}", content=body, headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, message in answer.text) == (status, True), answer.text


def test_values_that_would_break_later_are_refused(airbyte: AirbyteServer, tmp_path: Path) -> None:
    connection = airbyte.connect(SCRIPT, tmp_path)
    source = airbyte.call("GET", f"/connections/{connection}")["sourceId"]
    forged = {"configuration": {"nested": {"private": {"_airbyte_encrypted": "x"}}}}
    assert "reserved" in airbyte.call("PATCH", f"/sources/{source}", expect=422, json=forged)["data"]["message"]
    beyond_the_calendar = {"schedule": {"scheduleType": "basic", "basicTiming": "Every 999999 WEEKS"}}
    airbyte.call("PATCH", f"/connections/{connection}", expect=400, json=beyond_the_calendar)


def test_source_configurations_are_checked_against_the_connectors_specification(airbyte: AirbyteServer) -> None:
    body: dict[str, Any] = {"name": "s", "workspaceId": airbyte.workspace(), "definitionId": FAKE_SOURCE}
    problem = airbyte.call(
        "POST", "/sources", expect=422, json={**body, "configuration": {"script": "hunter2", "api_key": 5}}
    )
    assert "script: must satisfy type 'array'" in problem["data"]["message"]
    assert "hunter2" not in problem["data"]["message"], "a wrong value may be a secret in the wrong place"
    problem = airbyte.call("POST", "/sources", expect=422, json={**body, "configuration": {}})
    assert "'script' is a required property" in problem["data"]["message"]
    masked = {"script": [], "api_key": "**********"}
    assert (
        "send the value"
        in airbyte.call("POST", "/sources", expect=422, json={**body, "configuration": masked})["data"]["message"]
    )
    unknown = {"name": "s", "workspaceId": airbyte.workspace(), "configuration": {"sourceType": "oracle"}}
    assert airbyte.call("POST", "/sources", expect=400, json=unknown)["title"] == "value-not-found"


def test_secrets_are_masked_kept_and_encrypted(airbyte: AirbyteServer, tmp_path: Path, postgres_server: Any) -> None:
    nested = {"kind": "key", "private": "p3m-nested"}
    source = airbyte.source([], api_key="s3cret-one", nested=nested, reachable=False)
    shown = airbyte.call("GET", f"/sources/{source}")["configuration"]
    assert (shown["api_key"], shown["nested"]) == ("**********", {"kind": "key", "private": "**********"})
    assert shown["sourceType"] == "scripted-source"

    def message() -> str:
        found = airbyte.call("POST", "/api/v1/sources/check_connection", json={"sourceId": source})
        assert found["status"] == "failed"
        return found["message"]

    assert message() == "cannot log in with **********", "the connector got the value, people do not"
    airbyte.call("PATCH", f"/sources/{source}", json={"configuration": shown})
    airbyte.call("PUT", f"/sources/{source}", json={"name": "again", "configuration": shown})
    assert message() == "cannot log in with **********"
    airbyte.call("PATCH", f"/sources/{source}", json={"configuration": {"api_key": "s3cret-two"}})
    assert airbyte.call("GET", f"/sources/{source}")["configuration"] == shown
    with psycopg.connect(postgres_server.conninfo("airbyte_meta")) as connection:
        stored = str(connection.execute("SELECT configuration FROM actors WHERE id = %s", [source]).fetchone())
    assert "_airbyte_encrypted" in stored
    for secret in ("s3cret-one", "s3cret-two", "p3m-nested"):
        assert secret not in stored
    key = airbyte.folder / "data" / "secrets.key"
    assert key.stat().st_mode & 0o777 == 0o600


STREAM_MISTAKES: list[tuple[Any, str]] = [
    ([{"name": "nope"}], "Invalid stream found: 'nope'"),
    ([{"name": "users"}, {"name": "users"}], "Duplicate stream"),
    ([{"name": "users", "syncMode": "full_refresh_update"}], "Cannot set sync mode"),
    ([{"name": "users", "syncMode": "incremental_append"}], "No default cursor field"),
    ([{"name": "users", "syncMode": "incremental_append", "cursorField": ["nope"]}], "Invalid cursor field"),
    (
        [{**USERS_APPEND, "syncMode": "incremental_deduped_history", "primaryKey": [["name"]]}],
        "the source defines it as [['id']]",
    ),
    ([{"name": "users", "selectedFields": []}], "No fields selected"),
    ([{"name": "users", "selectedFields": [{"fieldPath": ["a", "b"]}]}], "Nested field selection"),
    (
        [{**USERS_APPEND, "selectedFields": [{"fieldPath": ["id"]}]}],
        "must be in selectedFields",
    ),
]


@pytest.mark.parametrize(("streams", "message"), STREAM_MISTAKES)
def test_wrong_streams_are_refused_with_the_reason(
    airbyte: AirbyteServer, tmp_path: Path, streams: Any, message: str
) -> None:
    connection = airbyte.connect(SCRIPT, tmp_path)
    before = airbyte.call("GET", f"/connections/{connection}")
    body = {"name": "must not be stored", "configurations": {"streams": streams}}
    problem = airbyte.call("PATCH", f"/connections/{connection}", expect=400, json=body)
    assert message in problem["data"]["message"]
    assert airbyte.call("GET", f"/connections/{connection}") == before


def test_selected_fields_narrow_the_schema_that_connectors_get(airbyte: AirbyteServer, tmp_path: Path) -> None:
    streams = [{**USERS_APPEND, "selectedFields": [{"fieldPath": ["id"]}, {"fieldPath": ["updated_at"]}]}]
    connection = airbyte.connect(SCRIPT, tmp_path, streams=streams)
    assert airbyte.sync(connection)["status"] == "succeeded"
    catalog = (tmp_path / "catalog.json").read_text()
    assert '"updated_at":{' in catalog
    assert '"name":{' not in catalog


def test_without_its_key_a_full_refresh_is_not_resumed(airbyte: AirbyteServer, tmp_path: Path) -> None:
    streams = [{"name": "users", "selectedFields": [{"fieldPath": ["name"]}]}, {"name": "orders"}]
    connection = airbyte.connect([*SCRIPT, {"status": "orders"}], tmp_path, streams=streams)
    airbyte.sync(connection)
    configured = json.loads((tmp_path / "catalog.json").read_text())["streams"]
    assert [one["stream"].get("is_resumable") for one in configured] == [False, None]


def test_a_patch_of_streams_replaces_the_selection(airbyte: AirbyteServer, tmp_path: Path) -> None:
    connection = airbyte.connect(SCRIPT, tmp_path)
    body = {"configurations": {"streams": [{"name": "orders"}]}}
    streams = airbyte.call("PATCH", f"/connections/{connection}", json=body)["configurations"]["streams"]
    assert [(stream["name"], stream["syncMode"]) for stream in streams] == [("orders", "full_refresh_overwrite")]


def test_changing_to_full_refresh_and_back_forgets_the_state(airbyte: AirbyteServer, tmp_path: Path) -> None:
    script = [{"state": "users", "value": {"n": 1}}, {"status": "users"}]
    connection = airbyte.connect(script, tmp_path)
    airbyte.sync(connection)
    assert airbyte.state(connection) == {"users": {"n": 1}}
    body = {"configurations": {"streams": [{"name": "users", "syncMode": "full_refresh_append"}]}}
    airbyte.call("PATCH", f"/connections/{connection}", json=body)
    assert airbyte.state(connection) is None


def test_an_inactive_connection_does_not_sync(airbyte: AirbyteServer, tmp_path: Path) -> None:
    connection = airbyte.connect(SCRIPT, tmp_path, status="inactive")
    problem = airbyte.call("POST", "/jobs", expect=409, json={"connectionId": connection, "jobType": "sync"})
    assert "active" in problem["data"]["message"]


def test_deleting_a_source_deletes_its_connections_but_not_while_they_sync(
    airbyte: AirbyteServer, tmp_path: Path
) -> None:
    connection = airbyte.connect([{"sleep": 60}], tmp_path)
    source = airbyte.call("GET", f"/connections/{connection}")["sourceId"]
    job_id = airbyte.trigger(connection)
    assert airbyte.call("DELETE", f"/sources/{source}", expect=409)["title"] == "state-conflict"
    assert airbyte.call("DELETE", f"/connections/{connection}", expect=409)
    airbyte.call("DELETE", f"/jobs/{job_id}")
    airbyte.call("DELETE", f"/sources/{source}", expect=204)
    airbyte.call("GET", f"/connections/{connection}", expect=404)
    listed = airbyte.call("GET", "/connections", params={"includeDeleted": True, "limit": 100})["data"]
    assert [one["status"] for one in listed if one["connectionId"] == connection] == ["deprecated"]


def test_lists_are_paged_until_an_empty_page(airbyte: AirbyteServer) -> None:
    workspace = airbyte.call("POST", "/workspaces", json={"name": "paged"})["workspaceId"]
    body = {"workspaceId": workspace, "definitionId": FAKE_SOURCE, "configuration": {"script": []}}
    names = [f"s{number}" for number in range(5)]
    for name in names:
        airbyte.call("POST", "/sources", json={**body, "name": name})
    address, seen = f"{airbyte.url}/api/public/v1/sources?limit=2&workspaceIds={workspace}", []
    while address:
        page = airbyte.http.get(address).json()
        seen += [source["name"] for source in page["data"]]
        address = page["next"]
    assert seen == names
    assert airbyte.call("GET", "/sources?limit=101", expect=400)


def test_schedules_are_checked_and_computed() -> None:
    cron = parse_schedule({"scheduleType": "cron", "cronExpression": "0 30 6 ? * 2-6 UTC"})
    assert cron == {"scheduleType": "cron", "cronExpression": "0 30 6 ? * 2-6 UTC"}
    friday = datetime(2026, 11, 20, 12, tzinfo=UTC)
    monday = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
    # Quartz's 2-6 is Monday to Friday.
    assert next_run(cron, friday, None, None) == monday
    during = monday - timedelta(minutes=1)
    assert next_run(cron, friday, during, monday + timedelta(hours=1)) == monday + timedelta(days=1), "it was running"
    basic = parse_schedule({"scheduleType": "basic", "basicTiming": "Every 24 HOURS"})
    assert next_run(basic, friday, None, None) == friday, "the first run does not wait"
    assert next_run(basic, friday, friday, monday) == datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert next_run(parse_schedule(None), friday, None, None) is None


@pytest.mark.parametrize("expression", ["* 0 3 * * ?", "0 * 3 * * ?", "0 0 3 * *", "0 0 99 * * ?", ""])
def test_impossible_cron_expressions_are_refused(airbyte: AirbyteServer, tmp_path: Path, expression: str) -> None:
    connection = airbyte.connect(SCRIPT, tmp_path)
    body = {"schedule": {"scheduleType": "cron", "cronExpression": expression}}
    problem = airbyte.call("PATCH", f"/connections/{connection}", expect=400, json=body)
    assert problem["type"].startswith("error:cron-validation/")


def test_schedules_start_jobs_and_make_up_one_missed_run(
    airbyte: AirbyteServer, tmp_path: Path, postgres_server: Any
) -> None:
    def connect(name: str, **schedule: str) -> str:
        return airbyte.connect(SCRIPT, tmp_path / name, schedule=schedule)

    missed = connect("missed", scheduleType="cron", cronExpression="0 0 3 * * ?")
    with psycopg.connect(postgres_server.conninfo("airbyte_meta")) as database:
        change = "UPDATE connections SET scheduled_since = now() - interval '3 days' WHERE id = %s"
        database.execute(change, [missed])
    unmissed = connect("unmissed", scheduleType="cron", cronExpression="0 0 3 * * ?")
    first = connect("first", scheduleType="basic", basicTiming="Every 1 HOURS")

    def jobs(connection: str) -> list[Any]:
        return airbyte.call("GET", f"/jobs?connectionId={connection}")["data"]

    deadline = time.monotonic() + 20
    while not (jobs(first) and jobs(missed)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for connection in (first, missed):
        (job,) = jobs(connection)
        assert airbyte.wait(job["jobId"])["status"] == "succeeded"
    assert jobs(unmissed) == []


def test_discovery_and_connection_in_the_config_apis_words(airbyte: AirbyteServer, tmp_path: Path) -> None:
    connection = airbyte.connect(SCRIPT, tmp_path)
    found = airbyte.call("POST", "/api/v1/connections/get", json={"connectionId": connection})
    (stream,) = found["syncCatalog"]["streams"]
    assert stream["stream"]["jsonSchema"]["properties"].keys() == {"id", "name", "updated_at"}
    assert (stream["config"]["syncMode"], stream["config"]["destinationSyncMode"]) == ("incremental", "append")
    body = {"sourceId": found["sourceId"], "disable_cache": True}
    catalog = airbyte.call("POST", "/api/v1/sources/discover_schema", json=body)["catalog"]
    assert [one["stream"]["name"] for one in catalog["streams"]] == ["users", "orders"]


def test_the_command_refuses_to_start_without_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"AIRBYTE_CLIENT_ID": "a", "AIRBYTE_CLIENT_SECRET": "b"}
    url = "postgresql://nobody:pa55word@127.0.0.1:1/none"
    cases: list[tuple[str, dict[str, str], str]] = [
        (url, {}, "AIRBYTE_CLIENT_ID is not set"),
        ("mysql://x", given, "--database-url must look like"),
        (url, given, "the metadata database (--database-url) cannot be used"),
        (url, {**given, "AIRBYTE_SECRETS_KEY": "short"}, "AIRBYTE_SECRETS_KEY"),
        (url, {**given, "AIRBYTE_CONNECTORS_FILE": "/nowhere.yaml"}, "AIRBYTE_CONNECTORS_FILE=/nowhere.yaml"),
    ]
    for database_url, extra, message in cases:
        for name in ("CLIENT_ID", "CLIENT_SECRET", "SECRETS_KEY", "CONNECTORS_FILE"):
            monkeypatch.delenv(f"AIRBYTE_{name}", raising=False)
        result = CliRunner().invoke(main, ["--database-url", database_url, "--data-dir", str(tmp_path)], env=extra)
        assert result.exit_code == 1
        assert message in result.output
        assert "pa55word" not in result.output
