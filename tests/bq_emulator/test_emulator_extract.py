"""Extract jobs: what lies in the files, and that it loads again as it was."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import fastavro
import pyarrow.parquet as pq
import pytest
from google.api_core.exceptions import BadRequest, NotFound
from google.cloud import bigquery

FLAT = """SELECT 9007199254740993 AS i, NUMERIC '1.50' AS n, 0.5 AS f, 'say "hi"' AS s, b'\\xff' AS b, TRUE AS ok,
  DATE '2024-02-29' AS d, DATETIME '2024-02-29 01:02:03' AS dt, TIMESTAMP '2024-02-29 01:02:03.5+00' AS ts,
  TIME '01:02:03' AS t, JSON '{"a": null}' AS j
UNION ALL SELECT NULL, NULL, NULL, '', NULL, NULL, NULL, NULL, NULL, NULL, NULL ORDER BY i DESC"""
NESTED = "SELECT 1 AS id, [1, 2] AS a, [STRUCT('x' AS k, CAST(NULL AS DATE) AS d)] AS r, STRUCT(NULL AS n) AS o"
BIG = """SELECT v FROM UNNEST([
  BIGNUMERIC '-12345678901234567890123456789012345678.00000000000000000000000000000000000001',
  BIGNUMERIC '0', NULL, BIGNUMERIC '99999999999999999999999999999999999999.5']) AS v"""


@pytest.fixture
def bucket(service_dir: Path, dataset: str) -> Path:
    folder = service_dir / "bigquery" / "gcs" / dataset
    folder.mkdir(parents=True)
    return folder


def extract(client: bigquery.Client, dataset: str, sql: str, name: str, **options: object) -> bigquery.ExtractJob:
    client.query(f"CREATE OR REPLACE TABLE {dataset}.t AS {sql}").result()
    configuration = bigquery.ExtractJobConfig(**options)
    return client.extract_table(f"{dataset}.t", f"gs://{dataset}/{name}", job_config=configuration).result()


def test_csv(bigquery_client: bigquery.Client, dataset: str, bucket: Path) -> None:
    job = extract(bigquery_client, dataset, FLAT, "a/x-*.csv")
    assert job.destination_uri_file_counts == [1]
    assert (bucket / "a" / "x-000000000000.csv").read_text().splitlines() == [
        "i,n,f,s,b,ok,d,dt,ts,t,j",
        '9007199254740993,1.5,0.5,"say ""hi""",/w==,true,2024-02-29,2024-02-29T01:02:03,'
        '2024-02-29 01:02:03.500000 UTC,01:02:03,"{""a"":null}"',
        ',,,"",,,,,,,',
    ]
    options = {"field_delimiter": "|", "print_header": False, "compression": "GZIP"}
    extract(bigquery_client, dataset, "SELECT 1 AS a, 'x' AS b", "y.csv.gz", **options)
    assert gzip.decompress((bucket / "y.csv.gz").read_bytes()) == b"1|x\n"
    with pytest.raises(BadRequest, match="nested schema"):
        extract(bigquery_client, dataset, NESTED, "z.csv")
    assert sorted(path.name for path in bucket.iterdir()) == ["a", "y.csv.gz"]


def test_json_leaves_out_nulls_and_keeps_big_numbers(
    bigquery_client: bigquery.Client, dataset: str, bucket: Path
) -> None:
    extract(bigquery_client, dataset, FLAT, "x.json", destination_format="NEWLINE_DELIMITED_JSON")
    first, second = [json.loads(line) for line in (bucket / "x.json").read_text().splitlines()]
    assert (first["i"], first["n"], first["f"], first["ok"]) == ("9007199254740993", "1.5", 0.5, True)
    assert (first["ts"], first["j"]) == ("2024-02-29 01:02:03.500000 UTC", {"a": None})
    assert second == {"s": ""}
    extract(bigquery_client, dataset, NESTED, "n.json", destination_format="NEWLINE_DELIMITED_JSON")
    nested = json.loads((bucket / "n.json").read_text())
    assert nested == {"id": "1", "a": ["1", "2"], "r": [{"k": "x"}], "o": {}}


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("NEWLINE_DELIMITED_JSON", {"compression": "GZIP"}),
        ("PARQUET", {"compression": "SNAPPY"}),
        ("AVRO", {"compression": "DEFLATE", "use_avro_logical_types": True}),
    ],
)
def test_what_was_extracted_loads_again(
    bigquery_client: bigquery.Client, dataset: str, bucket: Path, kind: str, options: dict[str, object]
) -> None:
    sql = "SELECT * EXCEPT (j, dt) FROM (" + FLAT + f") CROSS JOIN ({NESTED})"
    extract(bigquery_client, dataset, sql, "x", destination_format=kind, **options)
    source = bigquery_client.get_table(f"{dataset}.t")
    schema = None if kind == "AVRO" else source.schema
    load = bigquery.LoadJobConfig(source_format=kind, schema=schema, use_avro_logical_types=True)
    bigquery_client.load_table_from_uri(f"gs://{dataset}/x", f"{dataset}.back", job_config=load).result()
    rows = [[tuple(row) for row in bigquery_client.list_rows(f"{dataset}.{name}")] for name in ("t", "back")]
    assert rows[0] == rows[1]
    assert [f.field_type for f in bigquery_client.get_table(f"{dataset}.back").schema] == [
        f.field_type for f in source.schema
    ]


@pytest.mark.parametrize("kind", ["CSV", "NEWLINE_DELIMITED_JSON", "PARQUET", "AVRO"])
def test_bignumeric_stays_exact_in_every_format(
    bigquery_client: bigquery.Client, dataset: str, bucket: Path, kind: str
) -> None:
    extract(bigquery_client, dataset, BIG, "x", destination_format=kind)
    schema = [bigquery.SchemaField("v", "BIGNUMERIC")]
    load = bigquery.LoadJobConfig(source_format=kind, schema=schema, use_avro_logical_types=True)
    if kind == "CSV":
        load.skip_leading_rows = 1
    bigquery_client.load_table_from_uri(f"gs://{dataset}/x", f"{dataset}.back", job_config=load).result()
    rows = [sorted(map(str, bigquery_client.list_rows(f"{dataset}.{name}"))) for name in ("t", "back")]
    assert rows[0] == rows[1] and len(rows[0]) == 4


def test_formats_are_what_they_say(bigquery_client: bigquery.Client, dataset: str, bucket: Path) -> None:
    extract(bigquery_client, dataset, FLAT, "x.parquet", destination_format="PARQUET", compression="ZSTD")
    assert pq.ParquetFile(bucket / "x.parquet").metadata.row_group(0).column(0).compression == "ZSTD"
    extract(bigquery_client, dataset, FLAT, "x.avro", destination_format="AVRO")
    with (bucket / "x.avro").open("rb") as file:
        row = next(fastavro.reader(file))
    assert (row["d"], row["ts"], row["dt"]) == ("2024-02-29", "2024-02-29 01:02:03.500000 UTC", "2024-02-29T01:02:03")


def test_what_cannot_be_extracted_is_refused(bigquery_client: bigquery.Client, dataset: str, bucket: Path) -> None:
    with pytest.raises(BadRequest, match="Compression ZSTD is not supported for CSV"):
        extract(bigquery_client, dataset, "SELECT 1 AS a", "x", compression="ZSTD")
    with pytest.raises(NotFound, match="Not found: Table"):
        bigquery_client.extract_table(f"{dataset}.missing", f"gs://{dataset}/x").result()
    bigquery_client.query(f"CREATE VIEW {dataset}.v AS SELECT 1 AS a").result()
    with pytest.raises(BadRequest, match="is a VIEW"):
        bigquery_client.extract_table(f"{dataset}.v", f"gs://{dataset}/x").result()
