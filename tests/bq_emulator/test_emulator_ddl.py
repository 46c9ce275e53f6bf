"""DDL beyond plain CREATE and DROP: copies, defaults, ALTER, materialized views, options."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from google.api_core.exceptions import BadRequest, NotFound
from google.cloud import bigquery

PROJECT = "marketplace-analytics"
Run = Callable[[str], list[tuple[object, ...]]]


@pytest.fixture
def run(bigquery_client: bigquery.Client, dataset: str) -> Run:
    def run(sql: str) -> list[tuple[object, ...]]:
        config = bigquery.QueryJobConfig(default_dataset=f"{PROJECT}.{dataset}")
        return [tuple(row.values()) for row in bigquery_client.query(sql, job_config=config).result()]

    return run


def test_clones_copies_likes_and_snapshots(run: Run, bigquery_client: bigquery.Client, dataset: str) -> None:
    run(
        "CREATE TABLE t (id INT64 NOT NULL OPTIONS (description = 'key'), day DATE) PARTITION BY day CLUSTER BY id "
        "OPTIONS (labels = [('a', 'b')]) AS SELECT 1 AS id, DATE '2024-01-01' AS day"
    )
    run("CREATE OR REPLACE TABLE cloned CLONE t")
    run("CREATE TABLE copied COPY t OPTIONS (description = 'a copy')")
    run("CREATE TABLE alike LIKE t")
    run("CREATE SNAPSHOT TABLE snapped CLONE t")
    run("DELETE t WHERE true")
    assert run("SELECT (SELECT COUNT(*) FROM cloned), (SELECT COUNT(*) FROM copied), (SELECT COUNT(*) FROM alike), "
               "(SELECT COUNT(*) FROM snapped)") == [(1, 1, 0, 1)]  # fmt: skip
    tables = {name: bigquery_client.get_table(f"{PROJECT}.{dataset}.{name}") for name in
              ("cloned", "copied", "alike", "snapped")}  # fmt: skip
    for table in tables.values():
        assert table.schema[0].description == "key" and table.schema[0].mode == "REQUIRED"
        assert (table.time_partitioning.field, table.clustering_fields) == ("day", ["id"])
    assert (tables["copied"].description, tables["cloned"].labels, tables["alike"].labels) == ("a copy", {"a": "b"}, {})
    assert tables["cloned"].clone_definition.base_table_reference.table_id == "t"
    assert (tables["snapped"].table_type, tables["snapped"].snapshot_definition.base_table_reference.table_id) == (
        "SNAPSHOT", "t")  # fmt: skip
    with pytest.raises(BadRequest, match="currently a SNAPSHOT"):
        run("DELETE snapped WHERE true")
    run("DROP SNAPSHOT TABLE snapped")
    with pytest.raises(NotFound):
        bigquery_client.get_table(f"{PROJECT}.{dataset}.snapped")
    with pytest.raises(NotFound, match="missing"):
        run("CREATE TABLE c CLONE missing")


def test_defaults_fill_columns_that_are_not_given(run: Run, bigquery_client: bigquery.Client, dataset: str) -> None:
    run("CREATE TABLE t (id INT64, n INT64 DEFAULT 3 + 4, s STRING DEFAULT UPPER('x'), a ARRAY<INT64> DEFAULT [1, 2])")
    run("INSERT t (id) VALUES (1)")
    run("INSERT t (id, n, s) VALUES (2, DEFAULT, NULL)")
    run("MERGE t USING (SELECT 3 AS id) s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id, n) VALUES (id, DEFAULT)")
    assert run("SELECT * FROM t ORDER BY id") == [
        (1, 7, "X", [1, 2]), (2, 7, None, [1, 2]), (3, 7, "X", [1, 2])
    ]  # fmt: skip
    assert bigquery_client.get_table(f"{PROJECT}.{dataset}.t").schema[1].default_value_expression == "3 + 4"
    run("ALTER TABLE t ALTER COLUMN n SET DEFAULT 8, ALTER COLUMN s DROP DEFAULT")
    run("INSERT t (id) VALUES (5)")
    run("UPDATE t SET n = DEFAULT WHERE id = 1")
    assert run("SELECT n, s FROM t WHERE id IN (1, 5) ORDER BY id") == [(8, "X"), (8, None)]
    made = bigquery.Table(f"{PROJECT}.{dataset}.r", [bigquery.SchemaField("d", "DATE", default_value_expression="'1'")])
    with pytest.raises(BadRequest, match="DATE"):
        bigquery_client.create_table(made)


def test_keys_are_added_and_dropped(run: Run, bigquery_client: bigquery.Client, dataset: str) -> None:
    run("CREATE TABLE parent (id INT64, PRIMARY KEY (id) NOT ENFORCED)")
    run("CREATE TABLE t (id INT64, parent_id INT64)")
    run("ALTER TABLE t ADD PRIMARY KEY (id) NOT ENFORCED, "
        "ADD CONSTRAINT fk FOREIGN KEY (parent_id) REFERENCES parent (id) NOT ENFORCED")  # fmt: skip
    constraints = bigquery_client.get_table(f"{PROJECT}.{dataset}.t").table_constraints
    assert constraints.primary_key.columns == ["id"]
    assert [(key.name, key.referenced_table.table_id) for key in constraints.foreign_keys] == [("fk", "parent")]
    usage = (
        "SELECT constraint_name, column_name, position_in_unique_constraint FROM INFORMATION_SCHEMA.KEY_COLUMN_USAGE"
    )
    assert run(f"{usage} WHERE table_name = 't' ORDER BY 1") == [("t.fk", "parent_id", 1), ("t.pk$", "id", None)]
    with pytest.raises(BadRequest, match="Already Exists: primary key"):
        run("ALTER TABLE t ADD PRIMARY KEY (id) NOT ENFORCED")
    run("ALTER TABLE t DROP PRIMARY KEY, DROP CONSTRAINT fk, DROP CONSTRAINT IF EXISTS gone")
    assert bigquery_client.get_table(f"{PROJECT}.{dataset}.t").table_constraints is None
    with pytest.raises(BadRequest, match="has no primary key"):
        run("ALTER TABLE t DROP PRIMARY KEY")


def test_a_materialized_view_is_as_fresh_as_its_base(run: Run, bigquery_client: bigquery.Client, dataset: str) -> None:
    run("CREATE TABLE t (day DATE, n INT64)")
    run("CREATE MATERIALIZED VIEW mv PARTITION BY day CLUSTER BY day OPTIONS (enable_refresh = true, "
        "refresh_interval_minutes = 60, max_staleness = INTERVAL '4:0:0' HOUR TO SECOND, labels = [('a', 'b')]) "
        "AS SELECT day, SUM(n) AS n FROM t GROUP BY day")  # fmt: skip
    run("INSERT t VALUES ('2024-01-01', 1), ('2024-01-01', 2)")
    assert [row[1] for row in run("SELECT * FROM mv")] == [3]
    view = bigquery_client.get_table(f"{PROJECT}.{dataset}.mv")
    assert (view.table_type, view.mview_enable_refresh, view.mview_refresh_interval.seconds) == (
        "MATERIALIZED_VIEW", True, 3600)  # fmt: skip
    assert (view.time_partitioning.field, view.clustering_fields) == ("day", ["day"])
    run("ALTER MATERIALIZED VIEW mv SET OPTIONS (enable_refresh = false)")
    run(f"/* dbt */ CALL bq.REFRESH_MATERIALIZED_VIEW('{PROJECT}.{dataset}.mv')")
    assert not bigquery_client.get_table(f"{PROJECT}.{dataset}.mv").mview_enable_refresh
    by_rest = bigquery.Table(f"{PROJECT}.{dataset}.mv2")
    by_rest.mview_query = f"SELECT COUNT(*) AS n FROM `{PROJECT}.{dataset}.t`"
    bigquery_client.create_table(by_rest)
    assert run("SELECT n FROM mv2") == [(2,)]
    with pytest.raises(BadRequest, match="currently a MATERIALIZED_VIEW"):
        run("INSERT mv2 VALUES (1)")
    run("DROP MATERIALIZED VIEW mv")


def test_a_table_is_not_replaced_by_one_of_another_layout(run: Run) -> None:
    run("CREATE TABLE t (day DATE, n INT64) PARTITION BY day CLUSTER BY n")
    run("CREATE OR REPLACE TABLE t (day DATE, n INT64, m INT64) PARTITION BY day CLUSTER BY n")
    with pytest.raises(BadRequest, match="Cannot replace a table with a different partitioning spec"):
        run("CREATE OR REPLACE TABLE t (day DATE, n INT64) CLUSTER BY n")
    with pytest.raises(BadRequest, match="Cannot replace a table with a different clustering spec"):
        run("CREATE OR REPLACE TABLE t (day DATE, n INT64) PARTITION BY day CLUSTER BY day")


def test_schema_options_are_altered_and_inherited(run: Run, bigquery_client: bigquery.Client, dataset: str) -> None:
    run(f"ALTER SCHEMA {dataset} SET OPTIONS (description = 'd', default_partition_expiration_days = 2, "
        "default_table_expiration_days = 3)")  # fmt: skip
    found = bigquery_client.get_dataset(dataset)
    assert (found.description, found.default_partition_expiration_ms) == ("d", 2 * 86_400_000)
    run("CREATE TABLE p (day DATE) PARTITION BY day")
    run("CREATE TABLE u (day DATE)")
    partitioned, plain = (bigquery_client.get_table(f"{PROJECT}.{dataset}.{name}") for name in "pu")
    assert (partitioned.time_partitioning.expiration_ms, partitioned.expires) == (2 * 86_400_000, None)
    assert plain.expires is not None
