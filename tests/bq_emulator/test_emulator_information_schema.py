"""INFORMATION_SCHEMA: jobs, options, constraints, sizes, and DDL that makes the same tables again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from google.api_core.exceptions import BadRequest, NotFound
from google.cloud import bigquery

PROJECT = "marketplace-analytics"
Rows = list[tuple[object, ...]]
Run = Callable[..., Rows]


@pytest.fixture
def run(bigquery_client: bigquery.Client, dataset: str) -> Run:
    def run(sql: str, **options: object) -> Rows:
        config = bigquery.QueryJobConfig(default_dataset=f"{PROJECT}.{dataset}", **options)
        return [tuple(row.values()) for row in bigquery_client.query(sql, job_config=config).result()]

    return run


def test_jobs_are_rows(run: Run, bigquery_client: bigquery.Client, dataset: str) -> None:
    labels = {"test": dataset}
    run("CREATE TABLE t AS SELECT 1 AS id", labels=labels)
    run("INSERT INTO t SELECT id + 1 FROM t", labels=labels)
    with pytest.raises(BadRequest):
        run("SELECT ERROR('no')", labels=labels)
    script = bigquery_client.query("SELECT 1; SELECT 2", bigquery.QueryJobConfig(labels=labels))
    script.result()
    jobs = "FROM `region-us`.INFORMATION_SCHEMA.JOBS"
    mine = f"{jobs} WHERE EXISTS (SELECT 1 FROM UNNEST(labels) WHERE value = '{dataset}')"
    assert run(
        "SELECT job_type, statement_type, state, priority, error_result.reason, destination_table.table_id, "
        f"ARRAY(SELECT table_id FROM UNNEST(referenced_tables)), total_bytes_processed, total_bytes_billed {mine} "
        "ORDER BY creation_time, job_id LIMIT 2"
    ) == [
        ("QUERY", "CREATE_TABLE_AS_SELECT", "DONE", "INTERACTIVE", None, "t", [], 0, 0),
        ("QUERY", "INSERT", "DONE", "INTERACTIVE", None, "t", ["t"], 8, 10 << 20),
    ]
    assert run(f"SELECT query {mine} AND statement_type = 'INSERT'") == [("INSERT INTO t SELECT id + 1 FROM t",)]
    assert run(f"SELECT error_result.reason, error_result.message {mine} AND error_result IS NOT NULL") == [
        ("invalidQuery", "no")
    ]
    assert run(f"SELECT dml_statistics.inserted_row_count {mine} AND dml_statistics IS NOT NULL") == [(1,)]
    assert run(
        "SELECT COUNT(*), LOGICAL_AND(end_time >= start_time AND start_time >= creation_time) "
        f"FROM `region-us`.INFORMATION_SCHEMA.JOBS_BY_USER WHERE parent_job_id = '{script.job_id}'"
    ) == [(2, True)]
    (running,) = run("SELECT @@current_job_id = job_id, state FROM `region-us`.INFORMATION_SCHEMA.JOBS_BY_PROJECT "
                     "WHERE job_id = @@current_job_id")  # fmt: skip
    assert running == (True, "RUNNING")
    with pytest.raises(NotFound, match=r"INFORMATION_SCHEMA\.JOBS"):
        run(f"SELECT 1 FROM {dataset}.INFORMATION_SCHEMA.JOBS")


DESCRIBED = """
CREATE TABLE `described`
(
  id INT64 NOT NULL OPTIONS(description="the \\"id\\""),
  `select` STRING(9) DEFAULT 'x',
  amount NUMERIC(12, 2),
  day DATE,
  r ARRAY<STRUCT<x NUMERIC NOT NULL OPTIONS(description="in it"), y STRUCT<z BYTES>>>,
  PRIMARY KEY (id) NOT ENFORCED,
  FOREIGN KEY (id) REFERENCES `other`(id) NOT ENFORCED
)
PARTITION BY DATE_TRUNC(day, MONTH)
CLUSTER BY id, `select`
OPTIONS(
  partition_expiration_days=40000.0,
  require_partition_filter=true,
  description="a\\ntable",
  friendly_name="described",
  labels=[("a", "b"), ("c", "d")]
);
CREATE TABLE `other`
(
  id INT64
);
CREATE TABLE `by_hour`
(
  ts TIMESTAMP
)
PARTITION BY TIMESTAMP_TRUNC(ts, HOUR);
CREATE TABLE `by_moment`
(
  ts TIMESTAMP
)
PARTITION BY DATE(ts);
CREATE TABLE `by_datetime`
(
  ts DATETIME
)
PARTITION BY DATETIME_TRUNC(ts, DAY);
CREATE TABLE `by_range`
(
  n INT64
)
PARTITION BY RANGE_BUCKET(n, GENERATE_ARRAY(0, 100, 10));
CREATE TABLE `by_arrival`
(
  n INT64
)
PARTITION BY _PARTITIONDATE;
CREATE TABLE `by_arriving_hour`
(
  n INT64
)
PARTITION BY TIMESTAMP_TRUNC(_PARTITIONTIME, HOUR);
CREATE VIEW `plain_view`
AS SELECT 1 AS a;
CREATE VIEW `described_view`
(
  a OPTIONS(description="one"),
  b
)
OPTIONS(
  description="a view"
)
AS SELECT 1 AS a, 2 AS b;
CREATE MATERIALIZED VIEW `materialized`
OPTIONS(
  enable_refresh=true,
  refresh_interval_minutes=60.0
)
AS SELECT n, COUNT(*) AS c FROM `by_range` GROUP BY n;
CREATE SNAPSHOT TABLE `snapped`
CLONE `by_range`;
"""


def test_ddl_makes_the_same_again(run: Run, bigquery_client: bigquery.Client, dataset: str) -> None:
    statements = [f"{each};" for each in DESCRIBED.strip().removesuffix(";").split(";\n")]
    for statement in sorted(statements, key=lambda each: "TABLE `other`" not in each):
        run(statement)
    ddl = "SELECT table_name, ddl FROM INFORMATION_SCHEMA.TABLES"
    made = dict(run(ddl))
    for statement in statements:
        name = statement.split("`")[1]
        assert made[name].replace(f"{PROJECT}.{dataset}.", "") == statement
    everything = sorted(made, key=lambda name: ("VIEW" in made[name] or "CLONE" in made[name], name != "other"))
    for name in reversed(everything):
        bigquery_client.delete_table(f"{PROJECT}.{dataset}.{name}")
    for name in everything:
        run(str(made[name]))
    assert dict(run(ddl)) == made


def test_datasets_have_options_and_ddl(run: Run, bigquery_client: bigquery.Client, dataset: str) -> None:
    run(
        f"ALTER SCHEMA {dataset} SET OPTIONS (description = 'mine', labels = [('a', 'b')], "
        "default_table_expiration_days = 1.5)"
    )
    where = f"WHERE schema_name = '{dataset}'"
    options = (
        f"SELECT option_name, option_type, option_value FROM `region-us`.INFORMATION_SCHEMA.SCHEMATA_OPTIONS {where}"
    )
    assert run(options) == [
        ("default_table_expiration_days", "FLOAT64", "1.5"),
        ("description", "STRING", '"mine"'),
        ("labels", "ARRAY<STRUCT<STRING, STRING>>", '[STRUCT("a", "b")]'),
    ]
    ((ddl,),) = run(f"SELECT ddl FROM INFORMATION_SCHEMA.SCHEMATA {where}")
    bigquery_client.delete_dataset(dataset)
    run(str(ddl))
    assert run(options)[1] == ("description", "STRING", '"mine"')


def test_columns_tell_defaults_keys_and_hidden_ones(run: Run, dataset: str) -> None:
    run(
        "CREATE TABLE parents (id INT64, kind STRING, PRIMARY KEY (id, kind) NOT ENFORCED);"
        "CREATE TABLE t (n INT64 DEFAULT 1 + 1, s STRING, PRIMARY KEY (n) NOT ENFORCED, "
        "CONSTRAINT parent FOREIGN KEY (n, s) REFERENCES parents (id, kind) NOT ENFORCED) PARTITION BY _PARTITIONDATE"
    )
    wanted = "column_name, ordinal_position, is_hidden, is_partitioning_column, column_default, is_generated"
    for source in (dataset, "`region-us`"):
        assert run(
            f"SELECT {wanted} FROM {source}.INFORMATION_SCHEMA.COLUMNS "
            f"WHERE table_schema = '{dataset}' AND table_name = 't' ORDER BY column_name DESC"
        ) == [
            ("s", 2, "NO", "NO", None, "NEVER"),
            ("n", 1, "NO", "NO", "1 + 1", "NEVER"),
            ("_PARTITIONTIME", None, "YES", "YES", None, "NEVER"),
            ("_PARTITIONDATE", None, "YES", "NO", None, "NEVER"),
        ]
    usage = "SELECT constraint_name, table_name, column_name FROM INFORMATION_SCHEMA.CONSTRAINT_COLUMN_USAGE"
    assert sorted(run(f"{usage} WHERE STARTS_WITH(constraint_name, 't.')")) == [
        ("t.parent", "parents", "id"),
        ("t.parent", "parents", "kind"),
        ("t.pk$", "t", "n"),
    ]


def test_partitions_have_rows_and_bytes_of_their_own(run: Run, bigquery_client: bigquery.Client, dataset: str) -> None:
    run(
        "CREATE TABLE t (day DATE, note STRING) PARTITION BY day; CREATE TABLE plain AS SELECT 'abc' AS note;"
        "INSERT INTO t VALUES ('2024-01-01', 'a'), ('2024-01-01', 'bb'), ('2024-01-02', 'c'), (NULL, 'dddd')"
    )
    assert run(
        "SELECT table_name, partition_id, total_rows, total_logical_bytes FROM INFORMATION_SCHEMA.PARTITIONS "
        "ORDER BY table_name, partition_id"
    ) == [("plain", None, 1, 5), ("t", "20240101", 2, 23), ("t", "20240102", 1, 11), ("t", "__NULL__", 1, 6)]
    assert run(
        "SELECT table_name, total_rows, total_partitions, total_logical_bytes, long_term_logical_bytes "
        "FROM INFORMATION_SCHEMA.TABLE_STORAGE ORDER BY table_name"
    ) == [("plain", 1, 0, 5, 0), ("t", 4, 3, 40, 0)]
    table = f"{PROJECT}.{dataset}.t"
    assert bigquery_client.list_partitions(table) == ["20240101", "20240102", "__NULL__"]
    assert bigquery_client.get_table(table).num_bytes == 40
    assert bigquery_client.get_table(f"{table}$20240101").num_bytes == 23
    with pytest.raises(BadRequest, match="Cannot read partition information from a table that is not partitioned"):
        bigquery_client.list_partitions(f"{PROJECT}.{dataset}.plain")
