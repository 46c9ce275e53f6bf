"""SQL functions through the real client."""

from __future__ import annotations

from decimal import Decimal

import pytest
from google.api_core.exceptions import BadRequest, MethodNotImplemented
from google.cloud import bigquery


def run(client: bigquery.Client, sql: str, **options: object) -> bigquery.QueryJob:
    job = client.query(sql, job_config=bigquery.QueryJobConfig(**options))
    job.result()
    return job


FUNCTIONS = """CREATE TEMP FUNCTION half(x INT64) RETURNS NUMERIC AS (x / NUMERIC '2');
CREATE TEMP FUNCTION twice(x ANY TYPE) AS (x + x);
CREATE TEMP FUNCTION both(x INT64) AS (STRUCT(half(x) AS h, twice(x) AS t));
"""


def test_temporary_functions_before_one_query_make_no_script(bigquery_client: bigquery.Client, dataset: str) -> None:
    target = f"{bigquery_client.project}.{dataset}.t"
    query = FUNCTIONS + "SELECT both(x).h AS h, twice(0.5) AS t FROM UNNEST([3]) AS x"
    dry = bigquery_client.query(query, job_config=bigquery.QueryJobConfig(dry_run=True))
    assert [field.field_type for field in dry.schema] == ["NUMERIC", "FLOAT"]
    job = run(bigquery_client, query, destination=target)
    assert job.statement_type == "SELECT"
    assert [tuple(row) for row in bigquery_client.list_rows(target)] == [(Decimal("1.5"), 1.0)]


def test_temporary_functions_read_tables_and_end_with_their_script(
    bigquery_client: bigquery.Client, dataset: str
) -> None:
    script = f"""CREATE TABLE {dataset}.t AS SELECT 7 AS a;
    CREATE TEMP FUNCTION most() AS ((SELECT MAX(a) FROM {dataset}.t));
    SELECT most() AS m"""
    assert [tuple(row) for row in bigquery_client.query(script).result()] == [(7,)]
    with pytest.raises(BadRequest, match="Function not found: most"):
        run(bigquery_client, "SELECT most()")
    with pytest.raises(BadRequest, match="A view cannot refer to the temporary function"):
        run(bigquery_client, FUNCTIONS + f"CREATE VIEW {dataset}.v AS SELECT half(1) AS h")


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TEMP FUNCTION f(x INT64) RETURNS INT64 LANGUAGE js AS 'return x'; SELECT f(1)",
        "CREATE TEMP AGGREGATE FUNCTION f(x INT64) AS (SUM(x)); SELECT f(1)",
        "CREATE FUNCTION d.f(x INT64) AS (x)",
    ],
)
def test_other_functions_are_refused_by_name(bigquery_client: bigquery.Client, sql: str) -> None:
    with pytest.raises(MethodNotImplemented, match="not supported by this emulator"):
        run(bigquery_client, sql)
