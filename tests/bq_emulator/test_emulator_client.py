"""Every method of Google's Python client, against the emulator: each is exercised here or in the file named, or needs
no server. And what REST offers that this client does not use, but others do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pandas
import pytest
from google.api_core.exceptions import BadRequest, Conflict, MethodNotImplemented, NotFound
from google.cloud import bigquery
from google.cloud.bigquery.enums import DefaultPandasDTypes, JobCreationMode
from real_services import PROJECT

HERE = "test_emulator_client"
#: It computes without asking a server.
LOCAL = ""
METHODS = {
    "cancel_job": "test_emulator_load",
    "close": LOCAL,
    "copy_table": "test_emulator_tables",
    "create_dataset": "test_emulator_tables",
    "create_job": HERE,
    "create_routine": "test_emulator_routines",
    "create_table": "test_emulator_tables",
    "dataset": LOCAL,
    "default_job_creation_mode": LOCAL,
    "default_load_job_config": LOCAL,
    "default_query_job_config": LOCAL,
    "delete_dataset": "test_emulator_tables",
    "delete_job_metadata": HERE,
    "delete_model": HERE,
    "delete_routine": "test_emulator_routines",
    "delete_table": "test_emulator_partitions",
    "extract_table": "test_emulator_extract",
    "from_service_account_info": LOCAL,
    "from_service_account_json": LOCAL,
    "get_dataset": "test_emulator_tables",
    "get_iam_policy": "test_emulator_grants",
    "get_job": "test_emulator_load",
    "get_model": HERE,
    "get_routine": "test_emulator_routines",
    "get_service_account_email": HERE,
    "get_table": "test_emulator_tables",
    "insert_rows": "test_emulator_tables",
    "insert_rows_from_dataframe": HERE,
    "insert_rows_json": "test_emulator_tables",
    "job_from_resource": LOCAL,
    "list_datasets": "test_emulator_jobs",
    "list_jobs": HERE,
    "list_models": HERE,
    "list_partitions": HERE,
    "list_projects": HERE,
    "list_routines": "test_emulator_routines",
    "list_rows": "test_emulator_tables",
    "list_tables": "test_emulator_tables",
    "load_table_from_dataframe": HERE,
    "load_table_from_file": "test_emulator_loads",
    "load_table_from_json": "test_emulator_tables",
    "load_table_from_uri": "test_emulator_extract",
    "location": LOCAL,
    "query": "test_emulator_jobs",
    "query_and_wait": HERE,
    "schema_from_json": LOCAL,
    "schema_to_json": LOCAL,
    "set_iam_policy": "test_emulator_grants",
    "test_iam_permissions": "test_emulator_grants",
    "update_dataset": "test_emulator_tables",
    "update_model": HERE,
    "update_routine": "test_emulator_routines",
    "update_table": "test_emulator_tables",
}

Call = Callable[..., httpx.Response]


@pytest.fixture
def call(bigquery_endpoint: str) -> Call:
    """A plain request below the project: ``call("GET", "datasets", params=…)``."""

    def request(verb: str, path: str, **options: Any) -> httpx.Response:
        return httpx.request(verb, f"{bigquery_endpoint}/bigquery/v2/projects/{PROJECT}/{path}", **options)

    return request


def told(answer: httpx.Response) -> tuple[int, str, str]:
    error = answer.json()["error"]
    return answer.status_code, error["errors"][0]["reason"], error["message"]


def test_no_method_of_the_client_is_forgotten() -> None:
    public = {name for name in dir(bigquery.Client) if not name.startswith("_") and name != "SCOPE"}
    assert set(METHODS) == public
    folder = Path(__file__).parent
    for method, file in METHODS.items():
        assert not file or f".{method}(" in (folder / f"{file}.py").read_text(), f"{method} is not in {file}"


def test_projects_and_models(bigquery_client: bigquery.Client, dataset: str) -> None:
    assert [each.project_id for each in bigquery_client.list_projects()] == [PROJECT]
    assert "@" in bigquery_client.get_service_account_email()
    assert list(bigquery_client.list_models(dataset)) == []
    with pytest.raises(NotFound, match=f"Not found: Model {PROJECT}:{dataset}.m"):
        bigquery_client.get_model(f"{dataset}.m")
    with pytest.raises(NotFound):
        bigquery_client.update_model(bigquery.Model(f"{PROJECT}.{dataset}.m"), ["description"])
    bigquery_client.delete_model(f"{dataset}.m", not_found_ok=True)
    with pytest.raises(NotFound, match="Not found: Dataset"):
        list(bigquery_client.list_models("no_such_dataset"))


def test_data_frames_go_in_and_come_out(bigquery_client: bigquery.Client, dataset: str) -> None:
    frame = pandas.DataFrame({"id": [1, 2], "day": [datetime(2024, 1, 1, tzinfo=UTC)] * 2, "note": ["a", None]})
    job = bigquery_client.load_table_from_dataframe(frame, f"{dataset}.t")
    assert job.result().output_rows == 2
    table = bigquery_client.get_table(f"{dataset}.t")
    assert [field.field_type for field in table.schema] == ["INTEGER", "TIMESTAMP", "STRING"]
    assert bigquery_client.insert_rows_from_dataframe(table, frame.assign(id=[3, 4])) == [[]]
    found = bigquery_client.list_rows(table).to_dataframe(
        create_bqstorage_client=False, int_dtype=DefaultPandasDTypes.INT_DTYPE
    )
    assert sorted(found["id"]) == [1, 2, 3, 4] and found["note"].isna().sum() == 2


def test_jobs_by_configuration_are_listed_and_forgotten(bigquery_client: bigquery.Client, dataset: str) -> None:
    start = datetime.now(UTC) - timedelta(seconds=1)
    made = bigquery_client.create_job({"query": {"query": "SELECT 1 AS a", "useLegacySql": False}})
    made.result()
    found = bigquery_client.list_jobs(min_creation_time=start, all_users=True, state_filter="done", max_results=200)
    assert made.job_id in {job.job_id for job in found}
    assert list(bigquery_client.list_jobs(max_creation_time=datetime(2020, 1, 1, tzinfo=UTC))) == []
    bigquery_client.delete_job_metadata(made.job_id)
    with pytest.raises(NotFound):
        bigquery_client.get_job(made.job_id)
    optional = bigquery.Client(
        PROJECT,
        credentials=bigquery_client._credentials,
        client_options={"api_endpoint": bigquery_client._connection.API_BASE_URL},
        default_job_creation_mode=JobCreationMode.JOB_CREATION_OPTIONAL,
    )
    assert [row.a for row in optional.query_and_wait("SELECT a FROM UNNEST([1, 2]) AS a", page_size=1)] == [1, 2]


def test_jobs_are_told_in_the_measure_asked_for(call: Call, bigquery_client: bigquery.Client) -> None:
    job = bigquery_client.query("SELECT TIMESTAMP '2024-01-01' AS t FROM UNNEST([1, 2, 3])")
    job.result()
    minimal = call("GET", "jobs", params={"stateFilter": ["running", "done"], "maxResults": 5}).json()["jobs"]
    assert job.job_id in [each["jobReference"]["jobId"] for each in minimal]
    assert "configuration" not in minimal[0] and minimal[0]["state"] == "DONE"
    assert "configuration" in call("GET", "jobs", params={"projection": "full", "maxResults": 1}).json()["jobs"][0]
    assert told(call("GET", "jobs", params={"stateFilter": "finished"}))[:2] == (400, "invalid")
    assert told(call("GET", f"jobs/{job.job_id}", params={"location": "EU"}))[:2] == (404, "notFound")
    page = call("GET", f"queries/{job.job_id}", params={"startIndex": 1, "maxResults": 1}).json()
    assert (page["totalRows"], page["rows"]) == ("3", [{"f": [{"v": "1704067200.000000"}]}])
    rest = {"pageToken": page["pageToken"], "formatOptions.useInt64Timestamp": "true", "fields": "rows/f,jobComplete"}
    assert call("GET", f"queries/{job.job_id}", params=rest).json() == {
        "jobComplete": True,
        "rows": [{"f": [{"v": "1704067200000000"}]}],
    }
    text = {**rest, "formatOptions.timestampOutputFormat": "ISO8601_STRING"}
    assert told(call("GET", f"queries/{job.job_id}", params=text))[:2] == (501, "notImplemented")
    legacy = call("POST", "queries", json={"query": "SELECT 1", "useLegacySql": True})
    assert told(legacy)[:2] == (501, "notImplemented")
    assert told(call("POST", "queries", json={"query": "SELECT 1", "jobCreationMode": "NEVER"}))[:2] == (400, "invalid")
    elsewhere = call("POST", "queries", json={"query": "SELECT 1", "useLegacySql": False, "location": "EU"})
    assert told(elsewhere)[:2] == (404, "notFound")


def test_answers_hold_what_fields_and_views_ask_for(call: Call, bigquery_client: bigquery.Client, dataset: str) -> None:
    bigquery_client.query(
        f"CREATE TABLE {dataset}.t AS SELECT 1 AS a, STRUCT(2 AS x, STRUCT(3 AS z, 4 AS w) AS y) AS s"
    ).result()
    path = f"datasets/{dataset}/tables/t"
    basic = call("GET", path, params={"view": "BASIC"}).json()
    assert "numRows" not in basic and len(basic["schema"]["fields"]) == 2
    assert call("GET", path, params={"view": "STORAGE_STATS"}).json()["numRows"] == "1"
    assert told(call("GET", path, params={"view": "SOME"}))[:2] == (400, "invalid")
    chosen = call("GET", path, params={"selectedFields": "s.y.w", "fields": "schema/fields(name,fields/name)"}).json()
    assert chosen == {"schema": {"fields": [{"name": "s", "fields": [{"name": "y"}]}]}}
    rows = call("GET", f"{path}/data", params={"selectedFields": "s.y.w,s.x", "fields": "rows"}).json()
    assert rows == {"rows": [{"f": [{"v": {"f": [{"v": "2"}, {"v": {"f": [{"v": "4"}]}}]}}]}]}
    assert told(call("GET", f"{path}/data", params={"selectedFields": "s.q"}))[2].startswith("No such field")
    assert told(call("GET", path, params={"fields": "schema("}))[:2] == (400, "invalidParameter")
    listed = call("GET", f"datasets/{dataset}/tables", params={"fields": "tables/tableReference/tableId"}).json()
    assert listed == {"tables": [{"tableReference": {"tableId": "t"}}]}


def test_a_stale_etag_changes_and_deletes_nothing(call: Call, bigquery_client: bigquery.Client, dataset: str) -> None:
    bigquery_client.query(f"CREATE TABLE {dataset}.t (a INT64); CREATE FUNCTION {dataset}.f() AS (1)").result()
    for path in (f"datasets/{dataset}", f"datasets/{dataset}/tables/t", f"datasets/{dataset}/routines/f"):
        stale = {"If-Match": "stale"}
        assert told(call("DELETE", path, headers=stale))[:2] == (412, "conditionNotMet")
        if "routines" not in path:
            assert told(call("PATCH", path, headers=stale, json={"description": "x"}))[:2] == (412, "conditionNotMet")
            known = call("GET", path).json()["etag"]
            assert call("GET", path, headers={"If-None-Match": known}).status_code == 304
    assert call("PATCH", f"datasets/{dataset}", headers={"If-Match": "*"}, json={"description": "x"}).is_success


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("datasets", {"datasetReference": {"datasetId": "a-b"}}, 'Invalid dataset ID "a-b". Dataset IDs must be'),
        ("datasets/{}/tables", {"tableReference": {"tableId": "a.b"}}, 'Invalid table ID "a.b". Table IDs must be'),
        ("datasets/{}/tables", {"tableReference": {"tableId": "t$1"}}, 'Invalid table ID "t$1". Table IDs must be'),
        (
            "datasets/{}/tables",
            {"tableReference": {"tableId": "t"}, "schema": {"fields": [{"name": "a.b", "type": "INT64"}]}},
            'Invalid field name "a.b".',
        ),
        (
            "datasets/{}/tables",
            {"tableReference": {"tableId": "t"}, "schema": {"fields": [{"name": "_partition_x", "type": "INT64"}]}},
            "are not allowed to start with",
        ),
        ("datasets/{}/tables", {"tableReference": {"tableId": "t"}, "labels": {"A": "b"}}, "Label key 'A' violates"),
        ("datasets/{}/tables", {"tableReference": {"tableId": "t"}, "labels": {"a": "B"}}, "Label value 'B' violates"),
        ("datasets/{}/tables", {"tableReference": {"tableId": "t"}, "colour": "red"}, 'Unknown name "colour"'),
        (
            "jobs",
            {"jobReference": {"jobId": "a b"}, "configuration": {"query": {"query": "SELECT 1"}}},
            'Invalid job ID "a b". Job IDs must be',
        ),
        ("jobs", {"configuration": {"query": {"query": "SELECT 1"}, "labels": {"1": "x"}}}, "Label key '1' violates"),
    ],
)
def test_names_and_properties_are_checked(
    call: Call, dataset: str, path: str, body: dict[str, Any], message: str
) -> None:
    status, reason, text = told(call("POST", path.format(dataset), json=body))
    assert (status, reason) == (400, "invalid") and message in text


@pytest.mark.parametrize(
    ("path", "body", "name"),
    [
        ("datasets", {"defaultCollation": "und:ci"}, "defaultCollation"),
        ("datasets", {"defaultEncryptionConfiguration": {"kmsKeyName": "k"}}, "defaultEncryptionConfiguration"),
        ("datasets", {"defaultRoundingMode": "ROUND_HALF_EVEN"}, "defaultRoundingMode"),
        ("datasets/{}/tables", {"encryptionConfiguration": {"kmsKeyName": "k"}}, "encryptionConfiguration"),
        ("datasets/{}/tables", {"externalDataConfiguration": {"sourceUris": ["x"]}}, "externalDataConfiguration"),
        ("datasets/{}:undelete", {}, "datasets.undelete"),
        ("datasets/{}/tables/t/rowAccessPolicies", {}, "rowAccessPolicies.insert"),
    ],
)
def test_what_is_not_there_is_refused_by_name(
    call: Call, dataset: str, path: str, body: dict[str, Any], name: str
) -> None:
    names = {"datasetReference": {"datasetId": "x"}} if path == "datasets" else {"tableReference": {"tableId": "t"}}
    status, reason, text = told(call("POST", path.format(dataset), json={**names, **body}))
    assert (status, reason) == (501, "notImplemented") and name in text


def test_copies_by_operation(bigquery_client: bigquery.Client, dataset: str) -> None:
    bigquery_client.query(f"CREATE TABLE {dataset}.t AS SELECT a FROM UNNEST([1, 2]) AS a").result()

    def copy(source: str | list[str], target: str, **options: Any) -> bigquery.Table:
        names = [f"{dataset}.{name}" for name in ([source] if isinstance(source, str) else source)]
        config = bigquery.CopyJobConfig(**options)
        bigquery_client.copy_table(names, f"{dataset}.{target}", job_config=config).result()
        return bigquery_client.get_table(f"{dataset}.{target}")

    expires = datetime(2099, 1, 1, tzinfo=UTC)
    snapshot = copy("t", "snap", operation_type="SNAPSHOT", destination_expiration_time=expires.isoformat())
    assert (snapshot.table_type, snapshot.num_rows, snapshot.expires) == ("SNAPSHOT", 2, expires)
    assert copy("t", "cloned", operation_type="CLONE").clone_definition.base_table_reference.table_id == "t"
    assert copy("snap", "back", operation_type="RESTORE").table_type == "TABLE"
    assert copy(["t", "snap", "cloned"], "all").num_rows == 6
    with pytest.raises(Conflict, match="Already Exists"):
        copy("t", "cloned", operation_type="CLONE")
    with pytest.raises(BadRequest, match="needs a SNAPSHOT"):
        copy("t", "x", operation_type="RESTORE")
    with pytest.raises(MethodNotImplemented, match="destinationEncryptionConfiguration"):
        key = bigquery.EncryptionConfiguration("key")
        copy("t", "x", destination_encryption_configuration=key)


def test_dispositions_of_queries_loads_and_copies(bigquery_client: bigquery.Client, dataset: str) -> None:
    """createDisposition and writeDisposition mean the same in each kind of job."""
    bigquery_client.query(f"CREATE TABLE {dataset}.source AS SELECT 1 AS a").result()

    def query(target: str, **options: str) -> None:
        config = bigquery.QueryJobConfig(destination=f"{PROJECT}.{dataset}.{target}", **options)
        bigquery_client.query("SELECT 1 AS a", job_config=config).result()

    def load(target: str, **options: str) -> None:
        config = bigquery.LoadJobConfig(schema=[bigquery.SchemaField("a", "INTEGER")], **options)
        bigquery_client.load_table_from_json([{"a": 1}], f"{dataset}.{target}", job_config=config).result()

    def copy(target: str, **options: str) -> None:
        config = bigquery.CopyJobConfig(**options)
        bigquery_client.copy_table(f"{dataset}.source", f"{dataset}.{target}", job_config=config).result()

    def count(target: str) -> int:
        return int(bigquery_client.get_table(f"{dataset}.{target}").num_rows)

    for write in (query, load, copy):
        target = f"by_{write.__name__}"
        with pytest.raises(NotFound, match="Not found: Table"):
            write(target, create_disposition="CREATE_NEVER")
        write(target, write_disposition="WRITE_EMPTY")
        with pytest.raises(Conflict, match="Already Exists: Table"):
            write(target, write_disposition="WRITE_EMPTY")
        write(target, create_disposition="CREATE_NEVER", write_disposition="WRITE_APPEND")
        assert count(target) == 2
        write(target, write_disposition="WRITE_TRUNCATE")
        assert count(target) == 1
        bigquery_client.query(f"ALTER TABLE {dataset}.{target} ADD COLUMN b STRING").result()
        write(target, write_disposition="WRITE_TRUNCATE_DATA")
        assert count(target) == 1 and len(bigquery_client.get_table(f"{dataset}.{target}").schema) == 2
        with pytest.raises(BadRequest, match="Invalid value for writeDisposition"):
            write(target, write_disposition="WRITE_SOMEHOW")


def test_rows_streamed_by_template_and_with_unknown_values(bigquery_client: bigquery.Client, dataset: str) -> None:
    schema = [bigquery.SchemaField("a", "INTEGER", "REQUIRED"), bigquery.SchemaField("day", "DATE")]
    table = bigquery.Table(f"{PROJECT}.{dataset}.t", schema)
    table.time_partitioning = bigquery.TimePartitioning(field="day")
    table = bigquery_client.create_table(table)
    for _ in range(2):
        assert bigquery_client.insert_rows_json(table, [{"a": 1, "day": "2024-01-01"}], template_suffix="_x") == []
    made = bigquery_client.get_table(f"{dataset}.t_x")
    assert (made.num_rows, made.time_partitioning.field) == (2, "day")
    assert bigquery_client.list_partitions(f"{dataset}.t_x") == ["20240101"]
    bigquery_client.query(f"CREATE TABLE {dataset}.plain (a INT64)").result()
    with pytest.raises(BadRequest, match="table that is not partitioned"):
        bigquery_client.list_partitions(f"{dataset}.plain")
    rows = [{"a": 1, "more": 2}, {"day": "2024-01-01"}, {"a": 3}]
    failed = bigquery_client.insert_rows_json(table, rows, skip_invalid_rows=True)
    assert [each["index"] for each in failed] == [0, 1]
    failed = bigquery_client.insert_rows_json(table, rows, ignore_unknown_values=True)
    assert {each["index"]: each["errors"][0]["reason"] for each in failed} == {0: "stopped", 1: "invalid", 2: "stopped"}
    assert bigquery_client.get_table(table).num_rows == 1
