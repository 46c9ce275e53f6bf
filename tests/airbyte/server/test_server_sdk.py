"""Every operation the server serves, through the real ``airbyte-api`` SDK."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
import yaml
from airbyte_api import AirbyteAPI, api, errors, models
from airbyte_services import FAKE_DESTINATION, FAKE_SOURCE, HERE, LINES_ONLY_SOURCE, AirbyteServer, sdk_of

POSTGRES = "decd338e-5647-4c0b-adf4-da0e75f5a750"


@pytest.fixture(scope="module")
def sdk(airbyte: AirbyteServer) -> AirbyteAPI:
    return sdk_of(airbyte)


@pytest.fixture
def workspace(sdk: AirbyteAPI) -> str:
    answer = sdk.workspaces.create_workspace(request=models.WorkspaceCreateRequest(name="A workspace"))
    assert answer.workspace_response is not None
    return answer.workspace_response.workspace_id


def postgres_source(**changes: object) -> models.SourcePostgres:
    settings: dict[str, object] = {
        "host": "127.0.0.1",
        "port": 5432,
        "database": "shop",
        "username": "reader",
        "password": "s3cret",
        "schemas": ["public"],
        **changes,
    }
    return models.SourcePostgres(**settings)


def test_health_needs_no_token(airbyte: AirbyteServer) -> None:
    assert AirbyteAPI(server_url=f"{airbyte.url}/api/public/v1").health.get_health_check().status_code == 200


def test_workspaces(sdk: AirbyteAPI) -> None:
    created = sdk.workspaces.create_workspace(request=models.WorkspaceCreateRequest(name="One")).workspace_response
    assert created is not None
    found = sdk.workspaces.get_workspace(request=api.GetWorkspaceRequest(workspace_id=created.workspace_id))
    assert found.workspace_response == created
    renamed = sdk.workspaces.update_workspace(
        request=api.UpdateWorkspaceRequest(
            workspace_id=created.workspace_id, workspace_update_request=models.WorkspaceUpdateRequest(name="Two")
        )
    )
    assert renamed.workspace_response is not None
    assert renamed.workspace_response.name == "Two"
    only = api.ListWorkspacesRequest(workspace_ids=[created.workspace_id, str(uuid.uuid4())])
    listed = sdk.workspaces.list_workspaces(request=only).workspaces_response
    assert listed is not None
    assert [one.name for one in listed.data] == ["Two"]
    deleted = sdk.workspaces.delete_workspace(request=api.DeleteWorkspaceRequest(workspace_id=created.workspace_id))
    assert deleted.status_code == 204
    again = sdk.workspaces.list_workspaces(request=only).workspaces_response
    assert again is not None
    assert again.data == []


def test_sources_with_typed_configurations(sdk: AirbyteAPI, workspace: str) -> None:
    request = models.SourceCreateRequest(name="pg", workspace_id=workspace, configuration=postgres_source())
    created = sdk.sources.create_source(request=request).source_response
    assert created is not None
    assert (created.source_type, created.definition_id) == ("postgres", POSTGRES)
    assert isinstance(created.configuration, models.SourcePostgres)
    assert (created.configuration.host, created.configuration.password) == ("127.0.0.1", "**********")
    patched = sdk.sources.patch_source(
        request=api.PatchSourceRequest(
            source_id=created.source_id,
            source_patch_request=models.SourcePatchRequest(
                name="pg2", configuration=postgres_source(password="**********", database="other")
            ),
        )
    ).source_response
    assert patched is not None
    assert isinstance(patched.configuration, models.SourcePostgres)
    assert (patched.name, patched.configuration.database) == ("pg2", "other")
    put = sdk.sources.put_source(
        request=api.PutSourceRequest(
            source_id=created.source_id,
            source_put_request=models.SourcePutRequest(name="pg3", configuration=postgres_source(port=5433)),
        )
    ).source_response
    assert put is not None
    got = sdk.sources.get_source(request=api.GetSourceRequest(source_id=created.source_id)).source_response
    assert got == put
    listed = sdk.sources.list_sources(request=api.ListSourcesRequest(workspace_ids=[workspace])).sources_response
    assert listed is not None
    assert listed.data == [put]
    assert sdk.sources.delete_source(request=api.DeleteSourceRequest(source_id=created.source_id)).status_code == 204
    with pytest.raises(errors.SDKError) as missing:
        sdk.sources.get_source(request=api.GetSourceRequest(source_id=created.source_id))
    assert missing.value.status_code == 404


def test_destinations_with_typed_configurations(sdk: AirbyteAPI, workspace: str) -> None:
    def bigquery(**changes: object) -> models.DestinationBigquery:
        settings: dict[str, object] = {
            "project_id": "p",
            "dataset_id": "d",
            "dataset_location": models.DatasetLocation.EU,
            "credentials_json": '{"private_key": "s3cret"}',
            **changes,
        }
        return models.DestinationBigquery(**settings)

    request = models.DestinationCreateRequest(name="bq", workspace_id=workspace, configuration=bigquery())
    created = sdk.destinations.create_destination(request=request).destination_response
    assert created is not None
    assert isinstance(created.configuration, models.DestinationBigquery)
    assert (created.destination_type, created.configuration.credentials_json) == ("bigquery", "**********")
    patched = sdk.destinations.patch_destination(
        request=api.PatchDestinationRequest(
            destination_id=created.destination_id,
            destination_patch_request=models.DestinationPatchRequest(
                name="bq2", configuration=bigquery(credentials_json="**********", dataset_id="other")
            ),
        )
    ).destination_response
    assert patched is not None
    assert isinstance(patched.configuration, models.DestinationBigquery)
    assert (patched.name, patched.configuration.dataset_id) == ("bq2", "other")
    put = sdk.destinations.put_destination(
        request=api.PutDestinationRequest(
            destination_id=created.destination_id,
            destination_put_request=models.DestinationPutRequest(name="bq3", configuration=bigquery()),
        )
    ).destination_response
    assert put is not None
    only = api.GetDestinationRequest(destination_id=created.destination_id)
    assert sdk.destinations.get_destination(request=only).destination_response == put
    listed = sdk.destinations.list_destinations(request=api.ListDestinationsRequest(workspace_ids=[workspace]))
    assert listed.destinations_response is not None
    assert listed.destinations_response.data == [put]
    gone = api.DeleteDestinationRequest(destination_id=created.destination_id)
    assert sdk.destinations.delete_destination(request=gone).status_code == 204


def test_connections_streams_and_jobs(sdk: AirbyteAPI, workspace: str, airbyte: AirbyteServer, tmp_path: Path) -> None:
    script = [{"records": 3}, {"state": "users", "value": {"n": 3}}, {"status": "users"}]
    connection_id = airbyte.connect(script, tmp_path)
    request = api.GetConnectionRequest(connection_id=connection_id)
    connection = sdk.connections.get_connection(request=request).connection_response
    assert connection is not None
    assert connection.schedule.schedule_type == models.ScheduleTypeWithBasicEnum.MANUAL
    (stream,) = connection.configurations.streams or []
    assert (stream.name, stream.sync_mode) == ("users", models.ConnectionSyncModeEnum.INCREMENTAL_APPEND)

    properties = sdk.streams.get_stream_properties(
        request=api.GetStreamPropertiesRequest(
            source_id=connection.source_id, destination_id=connection.destination_id, ignore_cache=True
        )
    ).stream_properties_response
    assert properties is not None
    assert [(one.stream_name, one.streamnamespace) for one in properties] == [("users", "public"), ("orders", "public")]
    assert models.ConnectionSyncModeEnum.INCREMENTAL_DEDUPED_HISTORY in (properties[0].sync_modes or [])
    assert ["updated_at"] in (properties[0].property_fields or [])

    tag = sdk.tags.create_tag(
        request=models.TagCreateRequest(workspace_id=connection.workspace_id, name=f"t{uuid.uuid4()}", color="FF0000")
    ).tag_response
    assert tag is not None
    patched = sdk.connections.patch_connection(
        request=api.PatchConnectionRequest(
            connection_id=connection_id,
            connection_patch_request=models.ConnectionPatchRequest(
                name="renamed",
                schedule=models.AirbyteAPIConnectionSchedule(
                    schedule_type=models.ScheduleTypeEnum.CRON, cron_expression="0 0 3 * * ? UTC"
                ),
                tags=[models.Tag(**tag.model_dump())],
            ),
        )
    ).connection_response
    assert patched is not None
    assert (patched.name, patched.schedule.cron_expression) == ("renamed", "0 0 3 * * ? UTC")
    assert patched.configurations == connection.configurations, "what a patch leaves out stays"
    tagged = sdk.connections.list_connections(request=api.ListConnectionsRequest(tag_ids=[tag.tag_id]))
    assert tagged.connections_response is not None
    assert [one.connection_id for one in tagged.connections_response.data] == [connection_id]

    created = sdk.jobs.create_job(
        request=models.JobCreateRequest(connection_id=connection_id, job_type=models.JobTypeEnum.SYNC)
    ).job_response
    assert created is not None
    assert created.status in (models.JobStatusEnum.PENDING, models.JobStatusEnum.RUNNING)
    airbyte.wait(created.job_id)
    job = sdk.jobs.get_job(request=api.GetJobRequest(job_id=created.job_id)).job_response
    assert job is not None
    assert (job.status, job.rows_synced) == (models.JobStatusEnum.SUCCEEDED, 3)
    listed = sdk.jobs.list_jobs(
        request=api.ListJobsRequest(connection_id=connection_id, order_by="createdAt|DESC", limit=1)
    ).jobs_response
    assert listed is not None
    assert listed.data == [job]
    airbyte.run_script(connection_id, [{"sleep": 60}])
    second = sdk.jobs.create_job(
        request=models.JobCreateRequest(connection_id=connection_id, job_type=models.JobTypeEnum.SYNC)
    ).job_response
    assert second is not None
    cancelled = sdk.jobs.cancel_job(request=api.CancelJobRequest(job_id=second.job_id)).job_response
    assert cancelled is not None
    assert cancelled.status == models.JobStatusEnum.CANCELLED
    deleted = sdk.connections.delete_connection(request=api.DeleteConnectionRequest(connection_id=connection_id))
    assert deleted.status_code == 204


def test_creating_a_connection_without_streams_takes_them_all(
    sdk: AirbyteAPI, airbyte: AirbyteServer, tmp_path: Path
) -> None:
    source = airbyte.source([], streams=["a", "b"])
    body = {
        "name": "to",
        "workspaceId": airbyte.workspace(),
        "definitionId": FAKE_DESTINATION,
        "configuration": {"folder": str(tmp_path)},
    }
    destination = airbyte.call("POST", "/destinations", json=body)["destinationId"]
    created = sdk.connections.create_connection(
        request=models.ConnectionCreateRequest(source_id=source, destination_id=destination)
    ).connection_response
    assert created is not None
    modes = [(stream.name, stream.sync_mode) for stream in created.configurations.streams or []]
    assert modes == [(name, models.ConnectionSyncModeEnum.FULL_REFRESH_OVERWRITE) for name in ("a", "b")]


def test_tags(sdk: AirbyteAPI, workspace: str) -> None:
    request = models.TagCreateRequest(workspace_id=workspace, name="daily", color="00FF00")
    tag = sdk.tags.create_tag(request=request).tag_response
    assert tag is not None
    with pytest.raises(errors.SDKError) as twice:
        sdk.tags.create_tag(request=request)
    assert twice.value.status_code == 409
    updated = sdk.tags.update_tag(
        request=api.UpdateTagRequest(
            tag_id=tag.tag_id, tag_patch_request=models.TagPatchRequest(name="hourly", color="0000FF")
        )
    ).tag_response
    assert updated is not None
    assert sdk.tags.get_tag(request=api.GetTagRequest(tag_id=tag.tag_id)).tag_response == updated
    listed = sdk.tags.list_tags(request=api.ListTagsRequest(workspace_ids=[workspace])).tags_response
    assert listed is not None
    assert listed.data == [updated]
    assert sdk.tags.delete_tag(request=api.DeleteTagRequest(tag_id=tag.tag_id)).status_code == 204


def test_definitions(sdk: AirbyteAPI, workspace: str) -> None:
    sources = sdk.source_definitions.list_source_definitions(
        request=api.ListSourceDefinitionsRequest(workspace_id=workspace)
    ).definitions_response
    assert sources is not None
    known = {POSTGRES, FAKE_SOURCE, LINES_ONLY_SOURCE}
    (manifest,) = (definition for definition in sources.data if definition.id not in known)
    assert (manifest.name, manifest.docker_repository) == ("Cities api", "airbyte/source-declarative-manifest")
    postgres = sdk.source_definitions.get_source_definition(
        request=api.GetSourceDefinitionRequest(workspace_id=workspace, definition_id=POSTGRES)
    ).definition_response
    assert postgres is not None
    assert postgres.name == "Postgres"
    destinations = sdk.destination_definitions.list_destination_definitions(
        request=api.ListDestinationDefinitionsRequest(workspace_id=workspace)
    ).definitions_response
    assert destinations is not None
    assert {definition.name for definition in destinations.data} == {"BigQuery", "Scripted destination"}
    bigquery = next(definition for definition in destinations.data if definition.name == "BigQuery")
    got = sdk.destination_definitions.get_destination_definition(
        request=api.GetDestinationDefinitionRequest(workspace_id=workspace, definition_id=bigquery.id)
    ).definition_response
    assert got == bigquery


def test_declarative_source_definitions(sdk: AirbyteAPI, workspace: str, airbyte: AirbyteServer) -> None:
    manifest = yaml.safe_load((HERE / "manifests/cities-api.yaml").read_text())
    created = sdk.declarative_source_definitions.create_declarative_source_definition(
        request=api.CreateDeclarativeSourceDefinitionRequest(
            workspace_id=workspace,
            create_declarative_source_definition_request=models.CreateDeclarativeSourceDefinitionRequest(
                name="Cities", manifest=manifest
            ),
        )
    ).declarative_source_definition_response
    assert created is not None
    assert (created.name, created.version, created.manifest) == ("Cities", 1, manifest)
    body = {
        "name": "of a manifest",
        "workspaceId": workspace,
        "definitionId": created.id,
        "configuration": {"url": "http://127.0.0.1:1", "token": "s3cret"},
    }
    # By hand: the SDK sends only the configurations it has models of.
    source_id = airbyte.call("POST", "/sources", json=body)["sourceId"]
    source = sdk.sources.get_source(request=api.GetSourceRequest(source_id=source_id)).source_response
    assert source is not None
    assert (source.source_type, source.definition_id) == ("Cities", created.id)
    one = {"workspace_id": workspace, "definition_id": created.id}
    with pytest.raises(errors.SDKError) as used:
        sdk.declarative_source_definitions.delete_declarative_source_definition(
            request=api.DeleteDeclarativeSourceDefinitionRequest(**one)
        )
    assert used.value.status_code == 409
    newer = {**manifest, "version": "6.0.1"}
    updated = sdk.declarative_source_definitions.update_declarative_source_definition(
        request=api.UpdateDeclarativeSourceDefinitionRequest(
            **one,
            update_declarative_source_definition_request=models.UpdateDeclarativeSourceDefinitionRequest(
                manifest=newer
            ),
        )
    ).declarative_source_definition_response
    assert updated is not None
    assert (updated.version, updated.manifest) == (2, newer)
    got = sdk.declarative_source_definitions.get_declarative_source_definition(
        request=api.GetDeclarativeSourceDefinitionRequest(**one)
    ).declarative_source_definition_response
    assert got == updated
    listed = sdk.declarative_source_definitions.list_declarative_source_definitions(
        request=api.ListDeclarativeSourceDefinitionsRequest(workspace_id=workspace)
    ).declarative_source_definitions_response
    assert listed is not None
    assert listed.data == [updated]
    sdk.sources.delete_source(request=api.DeleteSourceRequest(source_id=source_id))
    deleted = sdk.declarative_source_definitions.delete_declarative_source_definition(
        request=api.DeleteDeclarativeSourceDefinitionRequest(**one)
    ).declarative_source_definition_response
    assert deleted == updated
    with_deleted = api.ListSourcesRequest(workspace_ids=[workspace], include_deleted=True)
    remembered = sdk.sources.list_sources(request=with_deleted).sources_response
    assert remembered is not None
    assert [one.name for one in remembered.data] == ["of a manifest"]


def test_organizations_and_users(sdk: AirbyteAPI) -> None:
    organizations = sdk.organizations.list_organizations_for_user().organizations_response
    assert organizations is not None
    (organization,) = organizations.data
    users = sdk.users.list_users_within_an_organization(
        request=api.ListUsersWithinAnOrganizationRequest(organization_id=organization.organization_id)
    ).users_response
    assert users is not None
    assert len(users.data) == 1
