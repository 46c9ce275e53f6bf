"""dbt's incremental models: every strategy, partitioning and answer to a changed schema, over two or three runs."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from dbt.tests.util import run_dbt, write_file
from dbt_rows import rows
from google.cloud import bigquery

pytestmark = pytest.mark.slow

FIRST = "select id, date '2024-01-01' as day, 'old' as note from unnest([1, 2, 3]) as id"
#: Replaces day 1 by one row and adds day 2.
SECOND = """
    select 10 as id, date '2024-01-01' as day, 'new' as note
    union all select 20, date '2024-01-02', 'new' union all select 30, date '2024-01-02', 'new'
"""
DAYS = f"{{% if is_incremental() %}} {SECOND} {{% else %}} {FIRST} {{% endif %}}"
OVERWRITTEN = [(10, "01", "new"), (20, "02", "new"), (30, "02", "new")]


def overwrite(partition_by: dict[str, Any], query: str = DAYS, **config: Any) -> str:
    given = {"materialized": "incremental", "incremental_strategy": "insert_overwrite", "cluster_by": "id", **config}
    return f"{{{{ config(partition_by={partition_by!r}, **{given!r}) }}}} {query}"


BY_DAY = {"field": "day", "data_type": "date"}


class TestInsertOverwrite:
    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        hourly = f"select id, timestamp(day) as day, note from ({DAYS})"
        return {
            "by_date.sql": overwrite(BY_DAY),
            "by_date_static.sql": overwrite(BY_DAY, partitions=["'2024-01-01'", "date '2024-01-02'"]),
            "by_date_copied.sql": overwrite({**BY_DAY, "copy_partitions": True}),
            "by_date_static_copied.sql": overwrite(
                {**BY_DAY, "copy_partitions": True}, partitions=["'2024-01-01'", "'2024-01-02'"]
            ),
            "by_max_partition.sql": overwrite(
                BY_DAY,
                f"select * from ({DAYS}) {{% if is_incremental() %}} where day >= _dbt_max_partition {{% endif %}}",
            ),
            "by_hour.sql": overwrite({"field": "day", "data_type": "timestamp", "granularity": "hour"}, hourly),
            "by_hour_copied.sql": overwrite(
                {"field": "day", "data_type": "timestamp", "granularity": "hour", "copy_partitions": True}, hourly
            ),
            "by_datetime.sql": overwrite(
                {"field": "day", "data_type": "datetime"}, f"select id, datetime(day) as day, note from ({DAYS})"
            ),
            "by_range.sql": overwrite(
                {"field": "day", "data_type": "int64", "range": {"start": 0, "end": 31, "interval": 1}},
                f"select id, extract(day from day) as day, note from ({DAYS})",
            ),
            "by_ingestion.sql": overwrite({**BY_DAY, "time_ingestion_partitioning": True}),
            "by_ingestion_copied.sql": overwrite(
                {
                    "field": "day",
                    "data_type": "timestamp",
                    "time_ingestion_partitioning": True,
                    "copy_partitions": True,
                },
                f"select id, timestamp(day) as day, note from ({DAYS})",
            ),
            "filter_required.sql": overwrite(BY_DAY, require_partition_filter=True),
            "with_new_column.sql": overwrite(
                BY_DAY,
                f"select *{{% if is_incremental() %}}, 1 as extra{{% endif %}} from ({DAYS})",
                on_schema_change="append_new_columns",
            ),
        }

    def test_partitions_with_new_rows_are_replaced_and_no_others(
        self, project: Any, bigquery_client: bigquery.Client
    ) -> None:
        run_dbt(["run"])
        run_dbt(["run"])
        dataset = project.test_schema
        for model in (
            "by_date",
            "by_date_static",
            "by_date_copied",
            "by_date_static_copied",
            "by_max_partition",
            "with_new_column",
        ):
            found = rows(bigquery_client, f"SELECT id, FORMAT_DATE('%d', day), note FROM {dataset}.{model} ORDER BY id")
            assert found == OVERWRITTEN, model
        for model in ("by_hour", "by_hour_copied", "by_datetime"):
            found = rows(
                bigquery_client, f"SELECT id, FORMAT_DATE('%d', DATE(day)), note FROM {dataset}.{model} ORDER BY id"
            )
            assert found == OVERWRITTEN, model
        assert rows(bigquery_client, f"SELECT id, day FROM {dataset}.by_range ORDER BY id") == [
            (10, 1),
            (20, 2),
            (30, 2),
        ]
        for model in ("by_ingestion", "by_ingestion_copied"):
            found = rows(
                bigquery_client,
                f"SELECT id, FORMAT_TIMESTAMP('%d', _PARTITIONTIME), note FROM {dataset}.{model} ORDER BY id",
            )
            assert found == OVERWRITTEN, model
            assert [f.name for f in bigquery_client.get_table(f"{dataset}.{model}").schema] == ["id", "note"]
        assert rows(bigquery_client, f"SELECT DISTINCT extra FROM {dataset}.with_new_column") == [(1,)]
        assert rows(
            bigquery_client, f"SELECT id FROM {dataset}.filter_required WHERE day > '2000-01-01' ORDER BY id"
        ) == [(10,), (20,), (30,)]
        partitions = rows(
            bigquery_client,
            f"SELECT partition_id, total_rows FROM {dataset}.INFORMATION_SCHEMA.PARTITIONS"
            " WHERE table_name = 'by_date' ORDER BY 1",
        )
        assert partitions == [("20240101", 1), ("20240102", 2)]
        leftovers = [table.table_id for table in bigquery_client.list_tables(dataset) if "__dbt_tmp" in table.table_id]
        assert leftovers == []


def merge(query: str, **config: Any) -> str:
    given = {"materialized": "incremental", **config}
    return f"{{{{ config(**{given!r}) }}}} {query}"


MERGED = """
    {% if is_incremental() %} select 2 as id, 'B' as name, 20 as amount union all select 3, 'C', 30
    {% else %} select 1 as id, 'a' as name, 1 as amount union all select 2, 'b', 2 {% endif %}
"""


class TestMerge:
    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {
            "appended.sql": merge(MERGED),
            "by_id.sql": merge(MERGED, unique_key="id"),
            "by_two_keys.sql": merge(MERGED, unique_key=["id", "name"]),
            "update_columns.sql": merge(MERGED, unique_key="id", merge_update_columns=["amount"]),
            "exclude_columns.sql": merge(MERGED, unique_key="id", merge_exclude_columns=["amount"]),
            "with_predicate.sql": merge(
                MERGED, unique_key="id", incremental_predicates=["DBT_INTERNAL_DEST.amount > 100"]
            ),
            "partitioned.sql": merge(
                f"select *, date '2024-01-01' as day from ({MERGED})",
                unique_key="id",
                partition_by=BY_DAY,
                require_partition_filter=True,
            ),
            "hourly_expiring.sql": merge(
                f"select *, current_timestamp() as built from ({MERGED})",
                unique_key="id",
                partition_by={"field": "built", "data_type": "timestamp", "granularity": "hour"},
                partition_expiration_days=2,
                hours_to_expiration=48,
                labels={"team": "data"},
            ),
            "structs.sql": merge(
                f"select id, struct(name, [amount] as amounts) as nested from ({MERGED})", unique_key="id"
            ),
        }

    def test_rows_of_a_known_key_are_updated_and_others_inserted(
        self, project: Any, bigquery_client: bigquery.Client
    ) -> None:
        run_dbt(["run"])
        run_dbt(["run"])

        def of(model: str) -> list[tuple[Any, ...]]:
            table = f"{project.test_schema}.{model}"
            return rows(bigquery_client, f"SELECT id, name, amount FROM {table} ORDER BY id, amount")

        old, updated, new = (1, "a", 1), (2, "B", 20), (3, "C", 30)
        assert of("appended") == of("by_two_keys") == of("with_predicate") == [old, (2, "b", 2), updated, new]
        assert of("by_id") == of("hourly_expiring") == [old, updated, new]
        assert of("update_columns") == [old, (2, "b", 20), new]
        assert of("exclude_columns") == [old, (2, "B", 2), new]
        assert of("partitioned WHERE day IS NOT NULL") == [old, updated, new]
        assert rows(
            bigquery_client, f"SELECT id, nested.name, nested.amounts FROM {project.test_schema}.structs ORDER BY id"
        ) == [(1, "a", [1]), (2, "B", [20]), (3, "C", [30])]
        table = bigquery_client.get_table(f"{project.test_schema}.hourly_expiring")
        assert table.time_partitioning.type_ == "HOUR"
        assert table.time_partitioning.expiration_ms == 2 * 86_400_000
        assert table.labels == {"team": "data"}
        hours = (table.expires - datetime.datetime.now(datetime.UTC)).total_seconds() / 3600
        assert 47.5 < hours <= 48

    def test_a_key_that_is_twice_in_the_source_is_an_error(self, project: Any) -> None:
        write_file(
            merge("select 1 as id, x from unnest([1, 2]) as x", unique_key="id"),
            project.project_root,
            "models",
            "doubled.sql",
        )
        run_dbt(["run", "--select", "doubled"])
        (result,) = run_dbt(["run", "--select", "doubled"], expect_pass=False)
        assert "UPDATE/MERGE must match at most one source row for each target row" in result.message


CHANGED = """
    {% if is_incremental() %} select 2 as id, 1.5 as amount, 'x' as added
    {% else %} select 1 as id, 1 as amount, 'gone' as removed {% endif %}
"""


class TestOnSchemaChange:
    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        same_type = CHANGED.replace("1.5", "2")
        return {
            f"{answer}.sql": merge(same_type, unique_key="id", on_schema_change=answer)
            for answer in ("append_new_columns", "sync_all_columns", "fail")
        } | {
            "retyped.sql": merge(CHANGED, unique_key="id", on_schema_change="sync_all_columns"),
            "ignore.sql": merge(
                "select 1 as id, 2 as amount{% if is_incremental() %}, 3 as added{% endif %}", unique_key="id"
            ),
            "nested.sql": merge(
                "select 1 as id, struct(1 as a{% if is_incremental() %}, 'n' as b{% endif %}) as s",
                unique_key="id",
                on_schema_change="append_new_columns",
            ),
        }

    def test_each_answer_to_a_changed_schema(self, project: Any, bigquery_client: bigquery.Client) -> None:
        run_dbt(["run"])
        results = run_dbt(["run"], expect_pass=False)
        assert {r.node.name: r.message for r in results if r.status == "error"}.keys() == {"fail"}

        def columns(model: str) -> list[str]:
            return [f.name for f in bigquery_client.get_table(f"{project.test_schema}.{model}").schema]

        def of(model: str) -> list[tuple[Any, ...]]:
            return rows(bigquery_client, f"SELECT * FROM {project.test_schema}.{model} ORDER BY id")

        assert columns("append_new_columns") == ["id", "amount", "removed", "added"]
        assert of("append_new_columns") == [(1, 1, "gone", None), (2, 2, None, "x")]
        assert columns("sync_all_columns") == ["id", "amount", "added"]
        assert of("sync_all_columns") == [(1, 1, None), (2, 2, "x")]
        assert columns("ignore") == ["id", "amount"]
        assert columns("fail") == ["id", "amount", "removed"]
        assert rows(bigquery_client, f"SELECT s.a, s.b FROM {project.test_schema}.nested") == [(1, "n")]


EVENTS = """
{{ config(materialized='table', event_time='happened') }}
select id, timestamp_add(timestamp '2024-01-01 12:00:00', interval id - 1 day) as happened from unnest([1, 2, 3]) as id
"""
BATCHES = """
{{ config(materialized='incremental', incremental_strategy='microbatch', unique_key='id', event_time='happened',
          batch_size='day', lookback=0, begin='2024-01-01',
          partition_by={'field': 'happened', 'data_type': 'timestamp', 'granularity': 'day'%s}) }}
select id, happened, '{{ var("run", "first") }}' as run from {{ ref('events') }}
"""


class TestMicrobatch:
    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {
            "events.sql": EVENTS,
            "batches.sql": BATCHES % "",
            "batches_copied.sql": BATCHES % ", 'copy_partitions': true",
        }

    def test_each_batch_replaces_its_day(self, project: Any, bigquery_client: bigquery.Client) -> None:
        run_dbt(["run", "--event-time-start", "2024-01-01", "--event-time-end", "2024-01-04"])
        run_dbt(
            [
                "run",
                "--select",
                "batches",
                "batches_copied",
                "--vars",
                "run: again",
                "--event-time-start",
                "2024-01-02",
                "--event-time-end",
                "2024-01-03",
            ]
        )
        for model in ("batches", "batches_copied"):
            found = rows(bigquery_client, f"SELECT id, run FROM {project.test_schema}.{model} ORDER BY id")
            assert found == [(1, "first"), (2, "again"), (3, "first")], model
