"""Load jobs: every format and option, from uploads and from the folder that stands for Cloud Storage."""

from __future__ import annotations

import gzip
import io
import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import partial
from pathlib import Path

import fastavro
import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet as pq
import pytest
from google.api_core.exceptions import BadRequest, MethodNotImplemented, NotFound
from google.cloud import bigquery

Column = bigquery.SchemaField
JSON = "NEWLINE_DELIMITED_JSON"


@pytest.fixture
def bucket(service_dir: Path, dataset: str) -> Path:
    """A bucket named as the dataset."""
    folder = service_dir / "bigquery" / "gcs" / dataset
    folder.mkdir(parents=True)
    return folder


def load(client: bigquery.Client, data: bytes, table: str, kind: str = "CSV", **options: object) -> bigquery.LoadJob:
    configuration = bigquery.LoadJobConfig(source_format=kind, **options)
    return client.load_table_from_file(io.BytesIO(data), table, job_config=configuration).result()


def load_uri(client: bigquery.Client, uri: str | list[str], table: str, **options: object) -> bigquery.LoadJob:
    return client.load_table_from_uri(uri, table, job_config=bigquery.LoadJobConfig(**options)).result()


def rows_of(client: bigquery.Client, table: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in client.list_rows(table)]


def schema_of(client: bigquery.Client, table: str) -> list[tuple[str, str, str]]:
    return [(f.name, f.field_type, f.mode) for f in client.get_table(table).schema]


def test_wildcards_read_every_file_of_a_bucket_once(
    bigquery_client: bigquery.Client, dataset: str, bucket: Path
) -> None:
    (bucket / "day=1").mkdir()
    (bucket / "day=1" / "a.json").write_bytes(b'{"id": 1}\n')
    (bucket / "day=1" / "b.json").write_bytes(gzip.compress(b'{"id": 2, "s": "x"}\n'))
    (bucket / "other.csv").write_bytes(b"9\n")
    table = f"{dataset}.t"
    job = load_uri(bigquery_client, f"gs://{dataset}/day=*.json", table, source_format=JSON, autodetect=True)
    assert (job.input_files, job.output_rows) == (2, 2)
    assert rows_of(bigquery_client, table) == [(1, None), (2, "x")]
    several = [f"gs://{dataset}/other.csv", f"file://{bucket}/other.csv"]
    load_uri(bigquery_client, several, f"{dataset}.u", schema=[Column("id", "INT64")])
    assert rows_of(bigquery_client, f"{dataset}.u") == [(9,), (9,)]
    with pytest.raises(NotFound, match=f"Not found: URI gs://{dataset}/none"):
        load_uri(bigquery_client, f"gs://{dataset}/none*", table, autodetect=True)
    with pytest.raises(NotFound, match="Bucket no-such-bucket"):
        load_uri(bigquery_client, "gs://no-such-bucket/x", table, autodetect=True)
    with pytest.raises(BadRequest, match="Invalid source URI"):
        load_uri(bigquery_client, f"gs://{dataset}/../../x", table, autodetect=True)


def test_a_bad_row_is_told_with_its_file(bigquery_client: bigquery.Client, dataset: str, bucket: Path) -> None:
    (bucket / "1.csv").write_bytes(b"1\n")
    (bucket / "2.csv").write_bytes(b"2\nx\n")
    uri, schema = f"gs://{dataset}/*.csv", [Column("id", "INT64")]
    failed = bigquery_client.load_table_from_uri(
        uri, f"{dataset}.t", job_config=bigquery.LoadJobConfig(schema=schema, source_format="CSV")
    )
    with pytest.raises(BadRequest):
        failed.result()
    first, *_, last = failed.errors
    assert first["message"].startswith("Error while reading data, error message: CSV table encountered too many errors")
    assert (last["reason"], last["location"]) == ("invalid", f"gs://{dataset}/2.csv")
    assert "Could not parse 'x' as INT64 for field id; row 2" in last["message"]
    job = load_uri(bigquery_client, uri, f"{dataset}.t", schema=schema, max_bad_records=1)
    assert (job.output_rows, job.error_result) == (2, None)
    assert [error["location"] for error in job.errors] == [f"gs://{dataset}/2.csv"]


def test_bad_records_of_json_keep_their_line_numbers(bigquery_client: bigquery.Client, dataset: str) -> None:
    lines = b'{"id": 1}\n[1]\n{"id": 2, "x": 1}\n{"id": "y"}\n{"id": [3]}\n{"id": 4}\n'
    job = load(bigquery_client, lines, f"{dataset}.t", JSON, schema=[Column("id", "INT64")], max_bad_records=9)
    found = " | ".join(error["message"] for error in job.errors)
    assert "row 2: Expected an object" in found
    assert "row 3: No such field: x" in found
    assert "Could not parse 'y' as INT64 for field id; row 4" in found
    assert "row 5: Array specified for non-repeated field: id" in found
    assert rows_of(bigquery_client, f"{dataset}.t") == [(1,), (4,)]


def test_csv_values_by_format_and_time_zone(bigquery_client: bigquery.Client, dataset: str) -> None:
    schema = [Column("d", "DATE"), Column("dt", "DATETIME"), Column("t", "TIME"), Column("ts", "TIMESTAMP")]
    data = b"31/12/2023,12-31-23 11:05:06 PM,23.05,2024-01-01 00:30:00\n"
    options = {
        "date_format": "DD/MM/YYYY",
        "datetime_format": "MM-DD-YY HH12:MI:SS AM",
        "time_format": "HH24.MI",
        "time_zone": "Europe/Berlin",
    }
    load(bigquery_client, data, f"{dataset}.t", schema=schema, **options)
    moment = datetime(2023, 12, 31, 23, 5, 6)
    wanted = (moment.date(), moment, time(23, 5), datetime(2023, 12, 31, 23, 30, tzinfo=UTC))
    assert rows_of(bigquery_client, f"{dataset}.t") == [wanted]
    with pytest.raises(BadRequest, match="Could not parse '2023-12-31' as DATE"):
        load(bigquery_client, b"2023-12-31,,,\n", f"{dataset}.t", schema=schema, **options)
    with pytest.raises(BadRequest, match="Invalid format element at position 1"):
        load(bigquery_client, data, f"{dataset}.t", schema=schema, date_format="QQ")


def test_csv_encodings_markers_and_control_characters(bigquery_client: bigquery.Client, dataset: str) -> None:
    schema = [Column("s", "STRING"), Column("n", "INT64")]
    for encoding in ("ISO-8859-1", "UTF-16LE", "UTF-32BE"):
        data = "é;1\n".encode(encoding)
        table = f"{dataset}.{encoding.replace('-', '_')}"
        load(bigquery_client, data, table, schema=schema, encoding=encoding, field_delimiter=";")
        assert rows_of(bigquery_client, table) == [("é", 1)]
    markers = {"null_markers": ["NA", "-"], "quote_character": "'"}
    load(bigquery_client, b"NA,1\n'-',-\n,2\n", f"{dataset}.m", schema=schema, **markers)
    assert rows_of(bigquery_client, f"{dataset}.m") == [(None, 1), ("-", None), ("", 2)]
    with pytest.raises(BadRequest, match=r"Bad character \(ASCII 0\)"):
        load(bigquery_client, b"a\0b,1\n", f"{dataset}.c", schema=schema)
    load(bigquery_client, b"a\0b,1\n", f"{dataset}.c", schema=schema, preserve_ascii_control_characters=True)
    assert rows_of(bigquery_client, f"{dataset}.c") == [("a\0b", 1)]
    with pytest.raises(BadRequest, match="allowQuotedNewlines"):
        load(bigquery_client, b'"a\nb",1\n', f"{dataset}.q", schema=schema)
    load(bigquery_client, b'"a\nb",1\n', f"{dataset}.q", schema=schema, allow_quoted_newlines=True)
    assert rows_of(bigquery_client, f"{dataset}.q") == [("a\nb", 1)]


def test_csv_columns_go_by_the_header_when_asked(bigquery_client: bigquery.Client, dataset: str) -> None:
    schema = [Column("id", "INT64"), Column("s", "STRING"), Column("absent", "DATE")]
    data = b"comment\ns,ID,extra\nx,1,2\n"
    options = {"schema": schema, "source_column_match": "NAME", "skip_leading_rows": 2}
    with pytest.raises(BadRequest, match="not in the schema: extra"):
        load(bigquery_client, data, f"{dataset}.t", **options)
    load(bigquery_client, data, f"{dataset}.t", ignore_unknown_values=True, **options)
    assert rows_of(bigquery_client, f"{dataset}.t") == [(1, "x", None)]


def test_detected_names_and_types(bigquery_client: bigquery.Client, dataset: str) -> None:
    load(bigquery_client, b"a b,a-b,ts\n1,2.5,2024-01-01 00:00:00\n", f"{dataset}.t", autodetect=True)
    assert schema_of(bigquery_client, f"{dataset}.t") == [
        ("a_b", "INTEGER", "NULLABLE"),
        ("a_b_1", "FLOAT", "NULLABLE"),
        ("ts", "TIMESTAMP", "NULLABLE"),
    ]
    nested = {"r": {"n": 1, "list": [{"x": "y"}]}, "tags": ["a", "b"]}
    load(bigquery_client, json.dumps(nested).encode(), f"{dataset}.n", JSON, autodetect=True)
    assert [dict(row) for row in bigquery_client.list_rows(f"{dataset}.n")] == [nested]


def test_parquet_decimals_enums_and_names(bigquery_client: bigquery.Client, dataset: str) -> None:
    def parquet(**columns: pa.Array) -> bytes:
        file = io.BytesIO()
        pq.write_table(pa.table(columns), file)
        return file.getvalue()

    wide = parquet(n=pa.array([Decimal("1.5")], pa.decimal128(38, 18)))
    load(bigquery_client, wide, f"{dataset}.n", "PARQUET")
    load(bigquery_client, wide, f"{dataset}.s", "PARQUET", decimal_target_types=["STRING", "NUMERIC"])
    assert [schema_of(bigquery_client, f"{dataset}.{t}")[0][1] for t in "ns"] == ["NUMERIC", "STRING"]
    assert rows_of(bigquery_client, f"{dataset}.n") == [(Decimal("1.5"),)]
    finer = parquet(n=pa.array([Decimal("0.0000000001")], pa.decimal128(38, 18)))
    with pytest.raises(BadRequest, match="NUMERIC cannot hold"):
        load(bigquery_client, finer, f"{dataset}.n", "PARQUET")
    odd = parquet(**{"a.b": pa.array([1])})
    with pytest.raises(BadRequest, match=r'Invalid field name "a\.b"'):
        load(bigquery_client, odd, f"{dataset}.o", "PARQUET")
    load(bigquery_client, odd, f"{dataset}.o", "PARQUET", column_name_character_map="V2")
    assert schema_of(bigquery_client, f"{dataset}.o")[0][0] == "a_b"
    extra = parquet(n=pa.array([Decimal("2.5")], pa.decimal128(10, 2)), extra=pa.array([1]))
    load(bigquery_client, extra, f"{dataset}.n", "PARQUET", ignore_unknown_values=True)
    assert rows_of(bigquery_client, f"{dataset}.n") == [(Decimal("1.5"),), (Decimal("2.5"),)]


def test_parquet_bignumeric_from_decimals_of_any_width(bigquery_client: bigquery.Client, dataset: str) -> None:
    wide = Decimal("12345678901234567890123456789012345678.12345678901234567890123456789012345678")
    columns = {
        "narrow": pa.array([Decimal("1.5"), None], pa.decimal128(20, 5)),
        "wide": pa.array([wide, None], pa.decimal256(76, 38)),
        "r": pa.array([{"b": [Decimal("2.5")]}, None], pa.struct([("b", pa.list_(pa.decimal128(10, 1)))])),
    }
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    big = partial(bigquery.SchemaField, field_type="BIGNUMERIC")
    nested = bigquery.SchemaField("r", "RECORD", fields=[big("b", mode="REPEATED")])
    schema = [big("narrow"), big("wide"), nested]
    options = bigquery.ParquetOptions()
    options.enable_list_inference = True
    load(bigquery_client, file.getvalue(), f"{dataset}.t", "PARQUET", schema=schema, parquet_options=options)
    assert sorted(rows_of(bigquery_client, f"{dataset}.t"), key=str) == [
        (Decimal("1.5"), wide, {"b": [Decimal("2.5")]}),
        (None, None, None),
    ]
    with pytest.raises(BadRequest, match="NUMERIC cannot hold"):
        load(bigquery_client, file.getvalue(), f"{dataset}.n", "PARQUET", parquet_options=options)


def test_json_is_loaded_in_its_normal_form(bigquery_client: bigquery.Client, dataset: str) -> None:
    data = b'{"j": {"b": 1.50, "a": [1e2, null], "b": 2}}\n'
    load(bigquery_client, data, f"{dataset}.t", JSON, schema=[bigquery.SchemaField("j", "JSON")])
    (text,) = next(iter(bigquery_client.query_and_wait(f"SELECT TO_JSON_STRING(j) FROM {dataset}.t")))
    assert text == '{"a":[100.0,null],"b":1.5}'


AVRO_SCHEMA = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}]},
        {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "extra", "type": {"type": "map", "values": "double"}},
        {
            "name": "item",
            "type": [
                "null",
                {"type": "record", "name": "Item", "fields": [{"name": "sku", "type": ["null", "string"]}]},
            ],
        },
    ],
}
AVRO_ROW = {
    "id": 1,
    "day": date(2024, 2, 29),
    "ts": datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=UTC),
    "price": Decimal("-12.50"),
    "tags": ["a"],
    "extra": {"k": 0.5},
    "item": {"sku": None},
}


def test_avro_with_and_without_logical_types(bigquery_client: bigquery.Client, dataset: str) -> None:
    file = io.BytesIO()
    fastavro.writer(file, AVRO_SCHEMA, [AVRO_ROW, {**AVRO_ROW, "day": None, "tags": [], "item": None}])
    load(bigquery_client, file.getvalue(), f"{dataset}.t", "AVRO", use_avro_logical_types=True)
    assert schema_of(bigquery_client, f"{dataset}.t") == [
        ("id", "INTEGER", "REQUIRED"),
        ("day", "DATE", "NULLABLE"),
        ("ts", "TIMESTAMP", "REQUIRED"),
        ("price", "NUMERIC", "REQUIRED"),
        ("tags", "STRING", "REPEATED"),
        ("extra", "RECORD", "REPEATED"),
        ("item", "RECORD", "NULLABLE"),
    ]
    first, second = [dict(row) for row in bigquery_client.list_rows(f"{dataset}.t")]
    assert first == {**AVRO_ROW, "extra": [{"key": "k", "value": 0.5}]}
    assert (second["day"], second["tags"], second["item"]) == (None, [], None)
    load(bigquery_client, file.getvalue(), f"{dataset}.raw", "AVRO")
    raw = next(iter(bigquery_client.list_rows(f"{dataset}.raw")))
    assert (raw.day, raw.ts, raw.price) == (19782, 1709168523000004, (-1250).to_bytes(2, "big", signed=True))
    with pytest.raises(BadRequest, match="not in Avro format"):
        load(bigquery_client, b"no avro", f"{dataset}.t", "AVRO")


def test_orc(bigquery_client: bigquery.Client, dataset: str) -> None:
    file = io.BytesIO()
    pa.orc.write_table(pa.table({"id": [1, None], "tags": [["a"], []], "n": pa.array([Decimal("1.5")] * 2)}), file)
    load(bigquery_client, file.getvalue(), f"{dataset}.t", "ORC")
    assert rows_of(bigquery_client, f"{dataset}.t") == [(1, ["a"], Decimal("1.5")), (None, [], Decimal("1.5"))]


def test_a_loaded_table_is_laid_out_as_the_job_says(bigquery_client: bigquery.Client, dataset: str) -> None:
    load(
        bigquery_client,
        b"2024-01-01,a\n",
        f"{dataset}.t",
        schema=[Column("d", "DATE"), Column("k", "STRING")],
        time_partitioning=bigquery.TimePartitioning(field="d"),
        clustering_fields=["k"],
        destination_table_description="orders",
    )
    found = bigquery_client.get_table(f"{dataset}.t")
    assert (found.time_partitioning.field, found.clustering_fields, found.description) == ("d", ["k"], "orders")


def test_options_that_are_not_there_are_refused_by_name(bigquery_client: bigquery.Client, dataset: str) -> None:
    hive = bigquery.HivePartitioningOptions()
    hive.mode = "AUTO"
    for options in ({"hive_partitioning": hive}, {"projection_fields": ["a"]}, {"json_extension": "GEOJSON"}):
        with pytest.raises(MethodNotImplemented, match=r"configuration\.load\."):
            load(bigquery_client, b"1\n", f"{dataset}.t", autodetect=True, **options)
