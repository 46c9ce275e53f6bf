"""The Config API's calls that dagster, prefect, PyAirbyte and people's scripts make."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from airbyte_services import FAKE_DESTINATION, FAKE_SOURCE, AirbyteServer

SCRIPT: list[dict[str, Any]] = [{"records": 2}, {"status": "users"}]
NOWHERE = str(uuid.uuid4())


def call(airbyte: AirbyteServer, path: str, expect: int = 200, **body: Any) -> Any:
    return airbyte.call("POST", f"/api/v1/{path}", expect=expect, json=body)


def test_workspaces_and_their_organization(airbyte: AirbyteServer) -> None:
    workspace = call(airbyte, "workspaces/list")["workspaces"][0]
    assert (workspace["workspaceId"], workspace["slug"]) == (airbyte.workspace(), "default-workspace")
    assert call(airbyte, "workspaces/get", workspaceId=workspace["workspaceId"]) == workspace
    assert call(airbyte, "workspaces/get", workspaceId=NOWHERE, expect=404)["title"] == "resource-not-found"
    organization = call(airbyte, "workspaces/get_organization_info", workspaceId=workspace["workspaceId"])
    only = {"organizationId": organization["organizationId"]}
    assert call(airbyte, "organizations/get_organization_info", **only) == organization
    assert workspace in call(airbyte, "workspaces/list_by_organization_id", **only)["workspaces"]
    call(airbyte, "workspaces/list_by_organization_id", organizationId=NOWHERE, expect=404)


def test_definitions_with_their_specifications(airbyte: AirbyteServer) -> None:
    for kind, definition_id in (("source", FAKE_SOURCE), ("destination", FAKE_DESTINATION)):
        key = {f"{kind}DefinitionId": definition_id}
        definition = call(airbyte, f"{kind}_definitions/get", **key)
        assert definition["name"] == f"Scripted {kind}"
        for variant in ("list", "list_for_workspace"):
            listed = call(airbyte, f"{kind}_definitions/{variant}", workspaceId=airbyte.workspace())
            assert definition in listed[f"{kind}Definitions"]
        specification = call(airbyte, f"{kind}_definition_specifications/get", **key, workspaceId=airbyte.workspace())
        assert specification["connectionSpecification"]["type"] == "object"
        assert specification["jobInfo"]["succeeded"]
    call(airbyte, "source_definitions/get", sourceDefinitionId=FAKE_DESTINATION, expect=404)


def test_sources_and_destinations_show_masked_configurations(airbyte: AirbyteServer, tmp_path: Path) -> None:
    connection = airbyte.connect(SCRIPT, tmp_path, source={"api_key": "config-secret"})
    shown = call(airbyte, "web_backend/connections/get", connectionId=connection)
    for kind, definition_id in (("source", FAKE_SOURCE), ("destination", FAKE_DESTINATION)):
        actor = call(airbyte, f"{kind}s/get", **{f"{kind}Id": shown[f"{kind}Id"]})
        assert (actor[f"{kind}DefinitionId"], actor[f"{kind}Name"]) == (definition_id, f"Scripted {kind}")
        assert f"{kind}Type" not in actor["connectionConfiguration"]
        assert actor in call(airbyte, f"{kind}s/list", workspaceId=airbyte.workspace())[f"{kind}s"]
        assert shown[kind] == actor
    assert shown["source"]["connectionConfiguration"]["api_key"] == "**********"


def test_a_connection_is_updated_by_sending_back_what_was_read(airbyte: AirbyteServer, tmp_path: Path) -> None:
    connection_id = airbyte.connect(SCRIPT, tmp_path)
    read = call(airbyte, "connections/get", connectionId=connection_id)
    assert call(airbyte, "connections/update", **read) == read
    source = {"sourceId": read["sourceId"], "disable_cache": True}
    catalog = call(airbyte, "sources/discover_schema", **source)["catalog"]
    users, orders = catalog["streams"]
    users["config"].update(
        syncMode="incremental",
        destinationSyncMode="append_dedup",
        cursorField=["updated_at"],
        fieldSelectionEnabled=True,
        selectedFields=[{"fieldPath": ["id"]}, {"fieldPath": ["updated_at"]}],
    )
    orders["config"]["selected"] = False
    changed = call(
        airbyte,
        "web_backend/connections/update",
        connectionId=connection_id,
        name="renamed",
        syncCatalog=catalog,
        namespaceDefinition="customformat",
        namespaceFormat="raw_${SOURCE_NAMESPACE}",
        scheduleType="basic",
        scheduleData={"basicSchedule": {"units": 6, "timeUnit": "hours"}},
        nonBreakingChangesPreference="disable",
    )
    (stream,) = changed["syncCatalog"]["streams"]
    assert stream["config"]["destinationSyncMode"] == "append_dedup"
    assert changed["scheduleData"] == {"basicSchedule": {"units": 6, "timeUnit": "hours"}}
    assert (changed["namespaceDefinition"], changed["nonBreakingChangesPreference"]) == ("customformat", "disable")
    public = airbyte.call("GET", f"/connections/{connection_id}")
    assert public["name"] == "renamed"
    assert public["schedule"] == {"scheduleType": "basic", "basicTiming": "Every 6 HOURS"}
    assert public["configurations"]["streams"][0]["syncMode"] == "incremental_deduped_history"
    assert public["configurations"]["streams"][0]["selectedFields"] == [
        {"fieldPath": ["id"]},
        {"fieldPath": ["updated_at"]},
    ]
    again = call(airbyte, "connections/get", connectionId=connection_id)
    assert call(airbyte, "connections/update", **again) == again
    cron = {"cron": {"cronExpression": "0 0 3 * * ?", "cronTimeZone": "UTC"}}
    daily = call(airbyte, "connections/update", connectionId=connection_id, scheduleType="cron", scheduleData=cron)
    assert (daily["scheduleType"], daily["scheduleData"]) == ("cron", cron)


def test_wrong_updates_of_a_connection_change_nothing(airbyte: AirbyteServer, tmp_path: Path) -> None:
    connection_id = airbyte.connect(SCRIPT, tmp_path)
    before = call(airbyte, "connections/get", connectionId=connection_id)
    users = {"stream": {"name": "users"}, "config": {"syncMode": "incremental", "destinationSyncMode": "overwrite"}}
    cron = {"cron": {"cronExpression": "0 0 3 * * ?", "cronTimeZone": "Europe/Oslo"}}
    for mistake, message in (
        ({"syncCatalog": {"streams": [users]}}, "incremental | overwrite is no pair"),
        ({"syncCatalog": {"streams": [{"stream": {"name": "nope"}}]}}, "Invalid stream found: 'nope'"),
        ({"scheduleType": "cron", "scheduleData": cron}, "Europe/Oslo"),
        ({"scheduleType": "basic"}, "basicSchedule"),
    ):
        problem = call(airbyte, "connections/update", connectionId=connection_id, name="no", **mistake, expect=400)
        assert message in problem["data"]["message"]
    assert call(airbyte, "connections/get", connectionId=connection_id) == before


def test_jobs_are_started_listed_and_cancelled(airbyte: AirbyteServer, tmp_path: Path) -> None:
    connection_id = airbyte.connect(SCRIPT, tmp_path)
    job_id = call(airbyte, "connections/sync", connectionId=connection_id)["job"]["id"]
    airbyte.wait(job_id)
    airbyte.run_script(connection_id, [{"sleep": 60}])
    second = call(airbyte, "connections/sync", connectionId=connection_id)["job"]["id"]
    call(airbyte, "connections/sync", connectionId=connection_id, expect=409)
    assert call(airbyte, "web_backend/connections/get", connectionId=connection_id)["isSyncing"]
    assert call(airbyte, "jobs/cancel", id=second)["job"]["status"] == "cancelled"
    cleared = call(airbyte, "connections/reset", connectionId=connection_id)["job"]
    assert cleared["configType"] == "reset_connection"
    airbyte.wait(cleared["id"])
    asked = {"configTypes": ["sync"], "configId": connection_id}
    listed = call(airbyte, "jobs/list", **asked, pagination={"pageSize": 1, "rowOffset": 1})
    assert listed["totalJobCount"] == 2
    ((job, attempts),) = [(one["job"], one["attempts"]) for one in listed["jobs"]]
    assert (job["id"], job["status"], attempts[0]["recordsSynced"]) == (job_id, "succeeded", 2)
    assert call(airbyte, "jobs/get_light", id=job_id) == {"job": job}
    whole, bare = (call(airbyte, f"jobs/{name}", id=job_id)["attempts"][0] for name in ("get", "get_without_logs"))
    assert whole["attempt"] == bare["attempt"] == attempts[0]
    assert whole["logs"]["logLines"]
    assert bare["logs"]["logLines"] == []
    of_reset = {**asked, "configTypes": ["reset_connection", "sync"], "statuses": ["succeeded", "cancelled"]}
    assert [one["job"]["id"] for one in call(airbyte, "jobs/list", **of_reset)["jobs"]] == [
        cleared["id"],
        second,
        job_id,
    ]
    latest = call(airbyte, "web_backend/connections/get", connectionId=connection_id)
    assert (latest["isSyncing"], latest["latestSyncJobStatus"]) == (False, "cancelled")
    assert (
        call(airbyte, "connections/update", connectionId=connection_id, status="deprecated")["status"] == "deprecated"
    )
    remaining = call(airbyte, "connections/list", workspaceId=airbyte.workspace())["connections"]
    assert connection_id not in [one["connectionId"] for one in remaining]
