"""Load jobs through the real client: formats, dispositions, and what bad files get."""

from __future__ import annotations

import gzip
import io
import re
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core.exceptions import BadRequest, NotFound
from google.cloud import bigquery

Column = bigquery.SchemaField


def load(
    client: bigquery.Client, data: bytes, table: str, source_format: str = "CSV", **options: object
) -> bigquery.LoadJob:
    configuration = bigquery.LoadJobConfig(source_format=source_format, **options)
    return client.load_table_from_file(io.BytesIO(data), table, job_config=configuration).result()


def load_parquet(client: bigquery.Client, rows: pa.Table, table: str, **options: object) -> bigquery.LoadJob:
    file = io.BytesIO()
    pq.write_table(rows, file)
    return load(client, file.getvalue(), table, "PARQUET", **options)


def fails(client: bigquery.Client, data: bytes, table: str, message: str, *args: str, **options: object) -> None:
    """The job fails with Google's count of errors, and errors[] tells what is wrong."""
    with pytest.raises(BadRequest, match="encountered too many errors, giving up") as caught:
        load(client, data, table, *args, **options)
    assert re.search(message, str(caught.value)), caught.value


def rows_of(client: bigquery.Client, table: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in client.list_rows(table)]


JSON = "NEWLINE_DELIMITED_JSON"
PAIR = [Column("id", "INT64", mode="REQUIRED"), Column("n", "NUMERIC")]


def test_output_bytes_are_of_the_rows_that_came_even_where_the_others_are_written_anew(
    bigquery_client: bigquery.Client, dataset: str
) -> None:
    bigquery_client.query(f"CREATE TABLE {dataset}.t (n INT64 NOT NULL) AS SELECT 1 AS n").result()
    options = {"schema": [Column("n", "INT64")], "schema_update_options": ["ALLOW_FIELD_RELAXATION"]}
    job = load_parquet(bigquery_client, pa.table({"n": [2, None, 3]}), f"{dataset}.t", **options)
    assert (job.output_rows, job.output_bytes) == (3, 16)
    assert bigquery_client.get_table(f"{dataset}.t").num_bytes == 24


def test_parquet_columns_go_by_name_and_types_stay_exact(bigquery_client: bigquery.Client, dataset: str) -> None:
    table = f"{dataset}.t"
    schema = [
        Column("n", "NUMERIC"),
        Column("ts", "TIMESTAMP"),
        Column("dt", "DATETIME"),
        Column("missing", "STRING"),
    ]
    bigquery_client.create_table(bigquery.Table(f"{bigquery_client.project}.{table}", schema=schema))
    rows = pa.table(
        {
            "dt": pa.array([1_500_000], pa.timestamp("us")),
            "ts": pa.array([1_500_000], pa.timestamp("us", "UTC")),
            "n": pa.array([Decimal("99999999999999999999999999999.999999999")], pa.decimal128(38, 9)),
        }
    )
    assert load_parquet(bigquery_client, rows, table).output_rows == 1
    (row,) = bigquery_client.list_rows(table)
    assert row.n == Decimal("99999999999999999999999999999.999999999")
    assert row.missing is None
    assert (row.ts.isoformat(), row.dt.isoformat()) == (
        "1970-01-01T00:00:01.500000+00:00",
        "1970-01-01T00:00:01.500000",
    )


def test_parquet_makes_a_table_of_the_files_schema(bigquery_client: bigquery.Client, dataset: str) -> None:
    rows = pa.table({"i": pa.array([1], pa.int32()), "d": pa.array([0], pa.date32()), "b": ["x"]})
    load_parquet(bigquery_client, rows, f"{dataset}.t", schema=[Column("b", "BYTES")])
    found = bigquery_client.get_table(f"{dataset}.t").schema
    assert [(f.name, f.field_type) for f in found] == [("i", "INTEGER"), ("d", "DATE"), ("b", "BYTES")]
    with pytest.raises(BadRequest, match="Unsupported field type: JSON"):
        load_parquet(bigquery_client, rows, f"{dataset}.j", schema=[Column("b", "JSON")])


def test_a_new_column_needs_the_permission_to_be_added(bigquery_client: bigquery.Client, dataset: str) -> None:
    table = f"{dataset}.t"
    load_parquet(bigquery_client, pa.table({"a": [1]}), table)
    wider = pa.table({"a": [2], "b": ["x"]})
    with pytest.raises(BadRequest, match=r"Cannot add fields \(field: b\)"):
        load_parquet(bigquery_client, wider, table)
    load_parquet(bigquery_client, wider, table, schema_update_options=["ALLOW_FIELD_ADDITION"])
    assert rows_of(bigquery_client, table) == [(1, None), (2, "x")]


def test_a_wrong_type_is_refused_and_nothing_is_written(bigquery_client: bigquery.Client, dataset: str) -> None:
    table = f"{dataset}.t"
    load_parquet(bigquery_client, pa.table({"a": [1]}), table)
    with pytest.raises(BadRequest, match="'a' has type STRING"):
        load_parquet(bigquery_client, pa.table({"a": ["1"]}), table)
    with pytest.raises(BadRequest, match="not in Parquet format"):
        load(bigquery_client, b"no parquet", table, "PARQUET")
    assert rows_of(bigquery_client, table) == [(1,)]


def test_truncate_replaces_rows_and_schema_in_one_step(bigquery_client: bigquery.Client, dataset: str) -> None:
    table = f"{dataset}.t"
    load_parquet(bigquery_client, pa.table({"a": [1], "b": [2]}), table)
    load_parquet(bigquery_client, pa.table({"b": [3]}), table, write_disposition="WRITE_TRUNCATE")
    assert [f.name for f in bigquery_client.get_table(table).schema] == ["b"]
    assert rows_of(bigquery_client, table) == [(3,)]
    with pytest.raises(Exception, match="Already Exists: Table"):
        load_parquet(bigquery_client, pa.table({"b": [3]}), table, write_disposition="WRITE_EMPTY")


def test_create_never_and_a_missing_dataset_are_not_found(bigquery_client: bigquery.Client, dataset: str) -> None:
    with pytest.raises(NotFound, match="Not found: Table"):
        load_parquet(bigquery_client, pa.table({"a": [1]}), f"{dataset}.t", create_disposition="CREATE_NEVER")
    with pytest.raises(NotFound, match="Not found: Dataset"):
        load_parquet(bigquery_client, pa.table({"a": [1]}), "no_such_dataset.t")


def test_json_numbers_stay_exact(bigquery_client: bigquery.Client, dataset: str) -> None:
    lines = b'{"id": 9007199254740993, "n": 12345678901234567890.123456789}\n{"id": 2, "n": 0.000000001}\n'
    load(bigquery_client, lines, f"{dataset}.t", JSON, schema=PAIR)
    assert rows_of(bigquery_client, f"{dataset}.t") == [
        (9007199254740993, Decimal("12345678901234567890.123456789")),
        (2, Decimal("0.000000001")),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"id": "x"}', "Could not parse 'x' as INT64 for field id; row 2"),
        (b'{"id": 1.5}', "Could not parse '1.5' as INT64"),
        (b'{"n": 1}', "Required field id cannot be null"),
        (b'{"id": 3, "other": 1}', "No such field: other"),
        (b'{"id": [3]}', "Array or object specified for scalar field: id"),
        (b'{"id": 3', "JSON parsing error"),
        (b'{"id": 3, "n": 1e40}', "Could not parse '1e\\+?40' as NUMERIC"),
    ],
)
def test_a_bad_json_line_fails_the_whole_job(
    bigquery_client: bigquery.Client, dataset: str, line: bytes, message: str
) -> None:
    table = f"{dataset}.t"
    load(bigquery_client, b'{"id": 1}\n', table, JSON, schema=PAIR)
    fails(bigquery_client, b'{"id": 2}\n' + line + b"\n", table, message, JSON)
    assert rows_of(bigquery_client, table) == [(1, None)]


def test_bad_records_are_counted_up_to_the_maximum(bigquery_client: bigquery.Client, dataset: str) -> None:
    lines = b'{"id": 1}\n{"id": "x"}\n{"id": \n{"n": 5}\n{"id": 2, "n": "7.10"}\n'
    job = load(bigquery_client, lines, f"{dataset}.t", JSON, schema=PAIR, max_bad_records=3)
    assert (job.output_rows, job._properties["statistics"]["load"]["badRecords"]) == (2, "3")
    assert rows_of(bigquery_client, f"{dataset}.t") == [(1, None), (2, Decimal("7.1"))]
    with pytest.raises(BadRequest, match=r"too many errors, giving up\. Rows: 5; errors: 3"):
        load(bigquery_client, lines, f"{dataset}.t", JSON, max_bad_records=2)


def test_csv_as_dbt_seeds_send_it(bigquery_client: bigquery.Client, dataset: str) -> None:
    data = b'id,name,rate\r\n1,"say ""hi"", now",1.10\r\n2,,\r\n3,two lines,0.123456789\r\n4,"",7\r\n'
    schema = [Column("id", "INT64"), Column("name", "STRING"), Column("rate", "NUMERIC")]
    load(bigquery_client, data, f"{dataset}.t", skip_leading_rows=1, schema=schema)
    assert rows_of(bigquery_client, f"{dataset}.t") == [
        (1, 'say "hi", now', Decimal("1.1")),
        (2, None, None),
        (3, "two lines", Decimal("0.123456789")),
        (4, "", Decimal("7")),
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"1,2,3\n", "Expected Number of Columns: 2 Found: 3"),
        (b"1\n", "Expected Number of Columns: 2 Found: 1"),
        (b"1.0,2\n", "Could not parse '1.0' as INT64 for field id; row 1"),
        (b",2\n", "Required field id cannot be null"),
    ],
)
def test_bad_csv_is_refused(bigquery_client: bigquery.Client, dataset: str, data: bytes, message: str) -> None:
    fails(bigquery_client, data, f"{dataset}.t", message, schema=PAIR)
    with pytest.raises(NotFound):
        bigquery_client.get_table(f"{dataset}.t")


def test_csv_options(bigquery_client: bigquery.Client, dataset: str) -> None:
    load(
        bigquery_client,
        gzip.compress(b"1|NA\n2\n"),
        f"{dataset}.t",
        schema=[Column("id", "INT64"), Column("s", "STRING")],
        field_delimiter="|",
        null_marker="NA",
        allow_jagged_rows=True,
    )
    assert rows_of(bigquery_client, f"{dataset}.t") == [(1, None), (2, None)]


def test_schemas_are_detected(bigquery_client: bigquery.Client, dataset: str) -> None:
    load(bigquery_client, b"id,day,v\n1,2024-01-01,1.5\n2,2024-01-02,x\n", f"{dataset}.c", autodetect=True)
    found = bigquery_client.get_table(f"{dataset}.c").schema
    assert [(f.name, f.field_type) for f in found] == [("id", "INTEGER"), ("day", "DATE"), ("v", "STRING")]
    lines = b'{"t": "2024-01-01T00:00:00Z", "r": {"f": [1.5]}}\n{"ok": true}\n'
    load(bigquery_client, lines, f"{dataset}.j", JSON, autodetect=True)
    found = bigquery_client.get_table(f"{dataset}.j").schema
    assert [(f.name, f.field_type, f.mode) for f in found] == [
        ("t", "TIMESTAMP", "NULLABLE"),
        ("r", "RECORD", "NULLABLE"),
        ("ok", "BOOLEAN", "NULLABLE"),
    ]
    with pytest.raises(BadRequest, match="No schema specified"):
        load(bigquery_client, b"1\n", f"{dataset}.none")


def test_limits_of_columns_hold_on_loads(bigquery_client: bigquery.Client, dataset: str) -> None:
    schema = [Column("s", "STRING", max_length=3), Column("n", "NUMERIC", precision=4, scale=1)]
    load(bigquery_client, b"abc,123.45\n", f"{dataset}.t", schema=schema)
    assert rows_of(bigquery_client, f"{dataset}.t") == [("abc", Decimal("123.5"))]
    fails(bigquery_client, b"abcd,1\n", f"{dataset}.t", "maximum length 3")
    fails(bigquery_client, b"a,12345\n", f"{dataset}.t", r"Field n: NUMERIC\(4, 1\)")


def test_a_resumable_upload_of_several_chunks_arrives_whole(bigquery_client: bigquery.Client, dataset: str) -> None:
    data = b"".join(b"%d,%d.5\n" % (n, n) for n in range(60_000))
    transport = bigquery_client._http
    address = f"{bigquery_client._connection.API_BASE_URL}/upload/bigquery/v2/projects/{bigquery_client.project}/jobs"
    body = {
        "configuration": {
            "load": {
                "destinationTable": {"projectId": bigquery_client.project, "datasetId": dataset, "tableId": "t"},
                "schema": {"fields": [{"name": "id", "type": "INTEGER"}, {"name": "n", "type": "NUMERIC"}]},
            }
        }
    }
    begun = transport.post(address, params={"uploadType": "resumable"}, json=body)
    chunk = 256 * 1024
    for start in range(0, len(data), chunk):
        part = data[start : start + chunk]
        end = start + len(part)
        total = str(len(data)) if end == len(data) else "*"
        headers = {"Content-Range": f"bytes {start}-{end - 1}/{total}", "Content-Type": "*/*"}
        answer = transport.put(begun.headers["Location"], data=part, headers=headers, allow_redirects=False)
        if end < len(data):
            assert (answer.status_code, answer.headers["Range"]) == (308, f"bytes=0-{end - 1}")
    assert answer.status_code == 200
    again = transport.put(begun.headers["Location"], headers={"Content-Range": f"bytes */{len(data)}"})
    assert again.json()["jobReference"] == answer.json()["jobReference"]
    job = bigquery_client.get_job(answer.json()["jobReference"]["jobId"])
    assert job.result().output_rows == 60_000 == data.count(b"\n")
