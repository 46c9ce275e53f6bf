"""Sizes that real projects reach: long SQL, wide tables, datasets of thousands of tables."""

from __future__ import annotations

import time

import httpx
import pytest
from google.cloud import bigquery

from bq_emulator.model import BigQueryError
from bq_emulator.sql.analyzer import Analyzer, Pool


def value(client: bigquery.Client, sql: str) -> object:
    (row,) = client.query_and_wait(sql)
    return row[0]


def test_long_and_deep_texts_are_taken(bigquery_client: bigquery.Client) -> None:
    assert value(bigquery_client, "SELECT " + " || ".join(["'ab'"] * 500)) == "ab" * 500
    ids = ", ".join(str(2 * number) for number in range(10_000))
    numbers = "UNNEST(GENERATE_ARRAY(1, 100000)) AS n"
    assert value(bigquery_client, f"SELECT COUNT(*) FROM {numbers} WHERE n IN ({ids})") == 9_999
    text = "x" * 1_000_000
    assert value(bigquery_client, f"SELECT LENGTH('{text}')") == len(text)
    assert value(bigquery_client, "SELECT " + "(" * 5000 + "1" + ")" * 5000) == 1


def test_a_table_of_300_columns_is_made_read_and_changed(bigquery_client: bigquery.Client, dataset: str) -> None:
    columns = [f"c{number}" for number in range(300)]
    selected = ", ".join(f"n + {number} AS {name}" for number, name in enumerate(columns))
    table = f"{dataset}.wide"
    bigquery_client.query_and_wait(f"CREATE TABLE {table} AS SELECT {selected} FROM UNNEST([1, 2]) AS n")
    (first, _) = bigquery_client.query_and_wait(f"SELECT * FROM {table} ORDER BY c0")
    assert tuple(first) == tuple(range(1, 301))
    assignments = ", ".join(f"{name} = s.{name}" for name in columns)
    names = ", ".join(columns)
    bigquery_client.query_and_wait(
        f"MERGE {table} AS t USING (SELECT * REPLACE (c0 + 1 AS c0) FROM {table}) AS s ON t.c0 = s.c0 "
        f"WHEN MATCHED THEN UPDATE SET {assignments} WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({names})"
    )
    assert value(bigquery_client, f"SELECT COUNT(*) FROM {table}") == 3
    view = f"SELECT COUNT(*) FROM {dataset}.INFORMATION_SCHEMA.COLUMNS WHERE table_name = 'wide'"
    assert value(bigquery_client, view) == 300


@pytest.mark.slow
def test_a_dataset_of_2000_tables_is_listed_described_and_dropped(
    bigquery_client: bigquery.Client, dataset: str
) -> None:
    client = bigquery_client
    fields = [{"name": "n", "type": "INT64"}, {"name": "s", "type": "STRING"}]
    with httpx.Client(base_url=client._connection.API_BASE_URL, timeout=60) as http:
        for number in range(2000):
            reference = {"projectId": client.project, "datasetId": dataset, "tableId": f"t{number:04}"}
            body = {"tableReference": reference, "schema": {"fields": fields}}
            answer = http.post(f"/bigquery/v2/projects/{client.project}/datasets/{dataset}/tables", json=body)
            assert answer.status_code == 200, answer.text
    client.query_and_wait(f"INSERT INTO {dataset}.t1999 (n) VALUES (1)")
    started = time.monotonic()
    assert [table.table_id for table in client.list_tables(dataset)] == [f"t{number:04}" for number in range(2000)]
    for sql, expected in (
        (f"SELECT SUM(row_count) FROM {dataset}.__TABLES__", 1),
        (f"SELECT COUNT(*) FROM {dataset}.INFORMATION_SCHEMA.TABLES", 2000),
        (f"SELECT COUNT(*) FROM {dataset}.INFORMATION_SCHEMA.COLUMNS", 4000),
        (f"SELECT COUNT(*) FROM {dataset}.t1999", 1),
    ):
        assert value(client, sql) == expected
    client.delete_dataset(dataset, delete_contents=True)
    # On two cores of one's own it takes three; what must not be is a cost that grows with the square.
    assert time.monotonic() - started < 60


def test_a_crash_of_the_analyzer_costs_one_query() -> None:
    def crash(analyzer: Analyzer) -> None:
        exports, store = analyzer._instance._exports, analyzer._instance._store
        behind_the_end = 0xFFFFFF00
        analyzer._instance._call = lambda function, request: exports[function](  # type: ignore[method-assign]
            store, behind_the_end, 1 << 20, behind_the_end
        )
        analyzer.parse("SELECT 1")

    pool = Pool(1)
    with pytest.raises(BigQueryError, match="too complex to analyze"):
        pool.run(crash)
    assert pool.run(lambda analyzer: analyzer.parse("SELECT 1")).HasField("parsed_statement")
