"""Datasets, tables and rows through the real client."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal

import httpx
import pytest
from google.api_core.exceptions import BadRequest, Conflict, MethodNotImplemented, NotFound, PreconditionFailed
from google.cloud import bigquery

PROJECT = "marketplace-analytics"
Column = bigquery.SchemaField


def make(client: bigquery.Client, dataset: str, name: str, *schema: Column) -> bigquery.Table:
    return client.create_table(bigquery.Table(f"{PROJECT}.{dataset}.{name}", schema=schema))


def test_dataset_properties_survive_patches_and_labels_merge(bigquery_client: bigquery.Client, dataset: str) -> None:
    resource = bigquery_client.get_dataset(dataset)
    resource.description, resource.labels = "first", {"a": "1", "b": "2"}
    bigquery_client.update_dataset(resource, ["description", "labels"])
    resource = bigquery_client.get_dataset(dataset)
    resource.labels["a"] = None
    bigquery_client.update_dataset(resource, ["labels"])
    found = bigquery_client.get_dataset(dataset)
    assert (found.description, found.labels, found.location) == ("first", {"b": "2"}, "US")
    with pytest.raises(Conflict, match="Already Exists: Dataset"):
        bigquery_client.create_dataset(dataset)


def test_a_dataset_with_tables_is_deleted_only_with_its_contents(
    bigquery_client: bigquery.Client, dataset: str
) -> None:
    make(bigquery_client, dataset, "t", Column("id", "INT64"))
    with pytest.raises(BadRequest, match="still in use"):
        bigquery_client.delete_dataset(dataset)
    bigquery_client.delete_dataset(dataset, delete_contents=True)
    with pytest.raises(NotFound, match="Dataset"):
        bigquery_client.create_table(bigquery.Table(f"{PROJECT}.{dataset}.t", schema=[Column("id", "INT64")]))


def test_a_table_keeps_every_property_it_was_given(bigquery_client: bigquery.Client, dataset: str) -> None:
    table = bigquery.Table(
        f"{PROJECT}.{dataset}.t",
        schema=[
            Column("id", "INT64", mode="REQUIRED", description="key"),
            Column("day", "DATE"),
            Column("price", "NUMERIC", precision=10, scale=2),
            Column("code", "STRING", max_length=3),
            Column("item", "RECORD", mode="REPEATED", fields=[Column("sku", "STRING")]),
        ],
    )
    table.time_partitioning = bigquery.TimePartitioning(field="day")
    table.clustering_fields = ["id", "code"]
    table.labels, table.description = {"team": "data"}, "orders"
    table.expires = datetime(2099, 1, 1, tzinfo=UTC)
    bigquery_client.create_table(table)

    found = bigquery_client.get_table(table.reference)
    assert [field.to_api_repr() for field in found.schema] == [
        {"name": "id", "type": "INTEGER", "mode": "REQUIRED", "description": "key"},
        {"name": "day", "type": "DATE", "mode": "NULLABLE"},
        {"name": "price", "type": "NUMERIC", "mode": "NULLABLE", "precision": "10", "scale": "2"},
        {"name": "code", "type": "STRING", "mode": "NULLABLE", "maxLength": "3"},
        {
            "name": "item",
            "type": "RECORD",
            "mode": "REPEATED",
            "fields": [{"name": "sku", "type": "STRING", "mode": "NULLABLE"}],
        },
    ]
    assert (found.time_partitioning.field, found.clustering_fields) == ("day", ["id", "code"])
    assert (found.labels, found.description, found.expires) == ({"team": "data"}, "orders", table.expires)
    assert (found.num_rows, found.num_bytes, found.table_type) == (0, 0, "TABLE")


def test_table_names_are_case_sensitive_and_column_names_are_not(
    bigquery_client: bigquery.Client, dataset: str
) -> None:
    make(bigquery_client, dataset, "orders", Column("id", "INT64"))
    make(bigquery_client, dataset, "Orders", Column("name", "STRING"))
    bigquery_client.load_table_from_json([{"ID": 1}], f"{dataset}.orders").result()
    assert [row.id for row in bigquery_client.list_rows(f"{dataset}.orders")] == [1]
    assert list(bigquery_client.list_rows(f"{dataset}.Orders")) == []


def test_a_patch_adds_columns_and_descriptions_and_keeps_the_rows(
    bigquery_client: bigquery.Client, dataset: str
) -> None:
    table = make(bigquery_client, dataset, "t", Column("id", "INT64", mode="REQUIRED"))
    bigquery_client.load_table_from_json([{"id": 1}], table.reference).result()
    table = bigquery_client.get_table(table.reference)
    table.schema = [
        Column("id", "INT64", description="the key"),
        Column("tags", "STRING", mode="REPEATED"),
        Column("note", "STRING"),
    ]
    bigquery_client.update_table(table, ["schema"])
    found = bigquery_client.get_table(table.reference)
    assert [(f.name, f.mode, f.description) for f in found.schema] == [
        ("id", "NULLABLE", "the key"),
        ("tags", "REPEATED", None),
        ("note", "NULLABLE", None),
    ]
    assert [tuple(row) for row in bigquery_client.list_rows(found)] == [(1, [], None)]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([Column("id", "STRING")], "changed type from INTEGER to STRING"),
        ([Column("other", "INT64")], "id is missing in new schema"),
        ([Column("id", "INT64"), Column("x", "INT64", mode="REQUIRED")], "Cannot add required fields"),
    ],
)
def test_a_patch_that_would_lose_data_is_refused(
    bigquery_client: bigquery.Client, dataset: str, columns: list[Column], message: str
) -> None:
    table = make(bigquery_client, dataset, "t", Column("id", "INT64"))
    table.schema = columns
    with pytest.raises(BadRequest, match=message):
        bigquery_client.update_table(table, ["schema"])


def test_an_update_from_a_stale_copy_is_refused(bigquery_client: bigquery.Client, dataset: str) -> None:
    table = make(bigquery_client, dataset, "t", Column("id", "INT64"))
    stale = bigquery_client.get_table(table.reference)
    table.description = "new"
    bigquery_client.update_table(table, ["description"])
    stale.description = "old"
    with pytest.raises(PreconditionFailed):
        bigquery_client.update_table(stale, ["description"])
    assert bigquery_client.get_table(table.reference).description == "new"


def test_an_expired_table_is_gone_and_its_name_free(bigquery_client: bigquery.Client, dataset: str) -> None:
    table = bigquery.Table(f"{PROJECT}.{dataset}.t", schema=[Column("id", "INT64")])
    table.expires = datetime(2020, 1, 1, tzinfo=UTC)
    bigquery_client.create_table(table)
    assert list(bigquery_client.list_tables(dataset)) == []
    with pytest.raises(NotFound):
        bigquery_client.get_table(table.reference)
    assert make(bigquery_client, dataset, "t", Column("name", "STRING")).schema[0].name == "name"


def test_rows_come_back_with_exact_values_of_every_type(bigquery_client: bigquery.Client, dataset: str) -> None:
    table = make(
        bigquery_client,
        dataset,
        "t",
        Column("i", "INT64"),
        Column("n", "NUMERIC"),
        Column("f", "FLOAT64"),
        Column("s", "STRING"),
        Column("b", "BYTES"),
        Column("ok", "BOOL"),
        Column("d", "DATE"),
        Column("dt", "DATETIME"),
        Column("ts", "TIMESTAMP"),
        Column("t", "TIME"),
        Column("j", "JSON"),
        Column("a", "NUMERIC", mode="REPEATED"),
        Column("r", "RECORD", fields=[Column("x", "STRING"), Column("y", "TIMESTAMP", mode="REPEATED")]),
    )
    moment = datetime(2024, 2, 29, 23, 59, 59, 1, tzinfo=UTC)
    row = {
        "i": 9007199254740993,
        "n": Decimal("12345678901234567890.123456789"),
        "f": 0.1,
        "s": "",
        "b": b"\x00\xff",
        "ok": True,
        "d": date(1, 1, 1),
        "dt": datetime(9999, 12, 31, 23, 59, 59, 999999),
        "ts": moment,
        "t": time(1, 2, 3, 4),
        "j": {"a": [1, None, "x"]},
        "a": [Decimal("1.5"), Decimal("-2")],
        "r": {"x": None, "y": [moment]},
    }
    assert bigquery_client.insert_rows(table, [row, {"i": None}]) == []
    assert [dict(found) for found in bigquery_client.list_rows(table)] == [
        row,
        {**dict.fromkeys(row), "a": []},
    ]


def test_pages_and_selected_columns(bigquery_client: bigquery.Client, dataset: str) -> None:
    table = make(bigquery_client, dataset, "t", Column("i", "INT64"), Column("s", "STRING"))
    bigquery_client.load_table_from_json([{"i": n, "s": str(n)} for n in range(25)], table.reference).result()
    rows = bigquery_client.list_rows(table, page_size=10, start_index=3, selected_fields=[Column("s", "STRING")])
    pages = [[tuple(row) for row in page] for page in rows.pages]
    assert [len(page) for page in pages] == [10, 10, 2]
    assert [row for page in pages for row in page] == [(str(n),) for n in range(3, 25)]


def test_insert_errors_come_per_row_and_keep_the_batch_out(bigquery_client: bigquery.Client, dataset: str) -> None:
    table = make(bigquery_client, dataset, "t", Column("id", "INT64", mode="REQUIRED"))
    rows = [{"id": 1}, {"id": "x"}, {"unknown": 2}]
    errors = bigquery_client.insert_rows_json(table, rows)
    assert [(error["index"], error["errors"][0]["reason"]) for error in errors] == [
        (0, "stopped"),
        (1, "invalid"),
        (2, "invalid"),
    ]
    assert list(bigquery_client.list_rows(table)) == []
    assert len(bigquery_client.insert_rows_json(table, rows, skip_invalid_rows=True)) == 2
    assert [row.id for row in bigquery_client.list_rows(table)] == [1]


def test_a_row_sent_again_with_its_insert_id_is_inserted_once(bigquery_client: bigquery.Client, dataset: str) -> None:
    table = make(bigquery_client, dataset, "t", Column("id", "INT64", mode="REQUIRED"))
    for _ in range(2):
        assert bigquery_client.insert_rows_json(table, [{"id": 1}, {"id": 2}], row_ids=["a", "b"]) == []
    assert bigquery_client.insert_rows_json(table, [{"id": 3}, {"id": 1}], row_ids=[None, "a"]) == []
    assert sorted(row.id for row in bigquery_client.list_rows(table)) == [1, 2, 3]
    rejected = bigquery_client.insert_rows_json(table, [{"id": 4}, {}], row_ids=["c", "d"])
    assert [error["index"] for error in rejected] == [0, 1]
    assert bigquery_client.insert_rows_json(table, [{"id": 4}], row_ids=["c"]) == []
    assert sorted(row.id for row in bigquery_client.list_rows(table)) == [1, 2, 3, 4]


def test_copy_jobs_keep_the_layout_and_append(bigquery_client: bigquery.Client, dataset: str) -> None:
    table = bigquery.Table(f"{PROJECT}.{dataset}.t", schema=[Column("d", "DATE"), Column("i", "INT64")])
    table.time_partitioning = bigquery.TimePartitioning(field="d", type_="MONTH")
    bigquery_client.create_table(table)
    bigquery_client.load_table_from_json([{"i": 1}, {"i": 2}], table.reference).result()
    copy = f"{PROJECT}.{dataset}.copy"
    bigquery_client.copy_table(table, copy).result()
    with pytest.raises(Conflict, match="Already Exists: Table"):
        bigquery_client.copy_table(table, copy).result()
    bigquery_client.copy_table(
        table, copy, job_config=bigquery.CopyJobConfig(write_disposition="WRITE_APPEND")
    ).result()
    found = bigquery_client.get_table(copy)
    assert (found.num_rows, found.time_partitioning.type_) == (4, "MONTH")


def test_what_cannot_be_done_is_refused_by_name(bigquery_client: bigquery.Client, dataset: str) -> None:
    with pytest.raises(MethodNotImplemented, match="GEOGRAPHY"):
        make(bigquery_client, dataset, "t", Column("n", "GEOGRAPHY"))


def test_another_project_and_an_unknown_path_are_told_clearly(bigquery_endpoint: str) -> None:
    answer = httpx.get(f"{bigquery_endpoint}/bigquery/v2/projects/other/datasets")
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert "Project other" in error["message"] and PROJECT in error["message"]
    assert error["errors"][0]["reason"] == "notFound"
    policies = httpx.get(f"{bigquery_endpoint}/bigquery/v2/projects/{PROJECT}/datasets/d/tables/t/rowAccessPolicies")
    assert (policies.status_code, policies.json()["error"]["errors"][0]["reason"]) == (501, "notImplemented")
    assert "rowAccessPolicies.list is not in this emulator" in policies.json()["error"]["message"]


def test_bignumeric_columns_keep_every_digit(bigquery_client: bigquery.Client, dataset: str) -> None:
    wide, small = "578960446186580977117854925043439539266.34992332820282019728792003956564819967", "-0.1"
    table = make(
        bigquery_client, dataset, "wide", Column("n", "BIGNUMERIC"), Column("p", "BIGNUMERIC", precision=5, scale=2)
    )
    rows = [{"n": wide, "p": "1.005"}, {"n": small, "p": "-999.999"}, {"n": None, "p": None}]
    with pytest.raises(BadRequest, match=r"BIGNUMERIC\(5, 2\)"):
        bigquery_client.load_table_from_json(rows, table).result()
    rows[1]["p"] = "2"
    bigquery_client.load_table_from_json(rows, table).result()
    sql = f"SELECT n, p, SUM(n) OVER () AS total FROM {dataset}.wide ORDER BY n DESC"
    found = [tuple(row) for row in bigquery_client.query(sql).result()]
    total = Decimal("578960446186580977117854925043439539266.24992332820282019728792003956564819967")
    assert found == [(Decimal(wide), Decimal("1.01"), total), (Decimal(small), Decimal(2), total), (None, None, total)]
