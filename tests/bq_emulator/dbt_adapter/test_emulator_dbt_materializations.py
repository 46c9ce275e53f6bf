"""What dbt's tables, views, seeds and copies become, with every option that dbt sends."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from dbt.tests.util import run_dbt, write_file
from dbt_rows import rows
from google.cloud import bigquery

pytestmark = pytest.mark.slow


def model(query: str, **config: Any) -> str:
    return f"{{{{ config(**{config!r}) }}}} {query}"


DATED = "select id, date '2024-01-15' as day, timestamp '2024-01-15 10:30:00' as happened from unnest([1, 2]) as id"

TABLES = """
models:
  - name: documented
    description: one row, "quoted" and it's fine
    columns:
      - {name: id, description: the id}
      - {name: nested, description: a struct}
      - {name: nested.part, description: a struct's part}
      - {name: nested.list.x, description: in an array}
      - {name: order, quote: true, description: a reserved word}
"""


class TestTablesAndViews:
    @pytest.fixture(scope="class")
    def project_config_update(self) -> dict[str, Any]:
        return {
            "models": {"test": {"+persist_docs": {"relation": True, "columns": True}}},
            "seeds": {
                "test": {
                    "typed": {
                        "+column_types": {
                            "n": "numeric",
                            "f": "float64",
                            "s": "string",
                            "j": "json",
                            "t": "time",
                            "dt": "datetime",
                        }
                    },
                    "+quote_columns": True,
                }
            },
        }

    @pytest.fixture(scope="class")
    def seeds(self) -> dict[str, str]:
        return {
            "typed.csv": "id,day,happened,flag,n,f,s,j,t,dt,order\n"
            '1,2024-01-15,2024-01-15 10:30:00,true,0.1,1.5,007,"{""a"": 1}",01:02:03,2024-01-15 10:30:00,x\n'
            "2,,,false,,,,,,,\n",
            "semicolons.csv": 'id;text\n1;a,b\n2;"say ""no""; please"\n3;über\n',
            "semicolons.yml": "seeds: [{name: semicolons, config: {delimiter: ';'}}]",
        }

    @pytest.fixture(scope="class")
    def macros(self) -> dict[str, str]:
        return {
            "schemas.sql": "{% macro generate_schema_name(custom, node) -%}"
            "{{ target.schema }}{{ '_' ~ custom if custom }}{%- endmacro %}"
        }

    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        by = {"field": "day", "data_type": "date"}
        return {
            "tables.yml": TABLES,
            "by_day.sql": model(
                DATED,
                materialized="table",
                partition_by=by,
                cluster_by=["id", "day"],
                require_partition_filter=True,
                partition_expiration_days=100_000,
                labels={"team": "data", "empty": ""},
            ),
            "by_month.sql": model(DATED, materialized="table", partition_by={**by, "granularity": "month"}),
            "by_year.sql": model(DATED, materialized="table", partition_by={**by, "granularity": "year"}),
            "by_hour.sql": model(
                DATED,
                materialized="table",
                partition_by={"field": "happened", "data_type": "timestamp", "granularity": "hour"},
            ),
            "by_range.sql": model(
                DATED,
                materialized="table",
                partition_by={"field": "id", "data_type": "int64", "range": {"start": 0, "end": 10, "interval": 2}},
            ),
            "expiring.sql": model(DATED, materialized="table", hours_to_expiration=5),
            "view.sql": model(DATED, materialized="view", labels={"team": "data"}, hours_to_expiration=5),
            "documented.sql": model(
                "select 1 as id, struct('a' as part, [struct(1 as x)] as list) as nested, 2 as `order`",
                materialized="table",
            ),
            "through.sql": model("select * from {{ ref('by_month') }}", materialized="ephemeral"),
            "elsewhere.sql": model("select * from {{ ref('through') }}", materialized="table", schema="other"),
            "aliased.sql": model("select 1 as id", materialized="table", alias="Mixed_Case-2"),
            "encrypted.sql": model(
                "select 1 as id", materialized="table", kms_key_name="projects/p/locations/us/keyRings/r/cryptoKeys/k"
            ),
            "copied.sql": model("select * from {{ ref('by_month') }}", materialized="copy"),
        }

    def test_each_option_arrives(self, project: Any, bigquery_client: bigquery.Client) -> None:
        results = run_dbt(["build"], expect_pass=False)
        messages = {r.node.name: r.message for r in results if r.status != "success"}
        assert list(messages) == ["encrypted"]
        assert "kms_key_name" in messages["encrypted"]

        def table(name: str) -> bigquery.Table:
            return bigquery_client.get_table(f"{project.test_schema}.{name}")

        day = table("by_day")
        assert (day.time_partitioning.type_, day.time_partitioning.field) == ("DAY", "day")
        assert day.time_partitioning.expiration_ms == 100_000 * 86_400_000
        assert day.require_partition_filter is True
        assert day.clustering_fields == ["id", "day"]
        assert day.labels == {"team": "data", "empty": ""}
        kinds = {name: table(name).time_partitioning.type_ for name in ("by_month", "by_year", "by_hour")}
        assert kinds == {"by_month": "MONTH", "by_year": "YEAR", "by_hour": "HOUR"}
        ranges = table("by_range").range_partitioning.range_
        assert (ranges.start, ranges.end, ranges.interval) == (0, 10, 2)
        for name in ("expiring", "view"):
            hours = (table(name).expires - datetime.datetime.now(datetime.UTC)).total_seconds() / 3600
            assert 4.5 < hours <= 5
        assert (table("view").table_type, table("view").labels) == ("VIEW", {"team": "data"})

        documented = table("documented")
        assert documented.description == 'one row, "quoted" and it\'s fine'
        nested = documented.schema[1]
        assert [(f.name, f.description) for f in documented.schema] == [
            ("id", "the id"),
            ("nested", "a struct"),
            ("order", "a reserved word"),
        ]
        assert nested.fields[0].description == "a struct's part"
        assert nested.fields[1].fields[0].description == "in an array"

        assert bigquery_client.get_table(f"{project.test_schema}_other.elsewhere").num_rows == 2
        assert table("Mixed_Case-2").num_rows == 1
        assert (table("copied").num_rows, table("copied").time_partitioning.type_) == (2, "MONTH")

    def test_a_seed_has_the_types_dbt_found_or_was_told(self, project: Any, bigquery_client: bigquery.Client) -> None:
        run_dbt(["seed", "--full-refresh"])
        table = bigquery_client.get_table(f"{project.test_schema}.typed")
        assert [f.field_type for f in table.schema] == [
            "INTEGER",
            "DATE",
            "DATETIME",
            "BOOLEAN",
            "NUMERIC",
            "FLOAT",
            "STRING",
            "JSON",
            "TIME",
            "DATETIME",
            "STRING",
        ]
        found = rows(
            bigquery_client,
            f"SELECT id, flag, CAST(n AS STRING), s, JSON_VALUE(j, '$.a'), `order` FROM {project.test_schema}.typed"
            " ORDER BY id",
        )
        assert found == [(1, True, "0.1", "007", "1", "x"), (2, False, None, None, None, None)]
        texts = rows(bigquery_client, f"SELECT text FROM {project.test_schema}.semicolons ORDER BY id")
        assert texts == [("a,b",), ('say "no"; please',), ("über",)]

    def test_a_changed_layout_needs_a_hard_refresh(self, project: Any, bigquery_client: bigquery.Client) -> None:
        text = model(
            DATED, materialized="incremental", partition_by={"field": "day", "data_type": "date"}, cluster_by="id"
        )
        write_file(text, project.project_root, "models", "relaid.sql")
        run_dbt(["run", "--select", "relaid"])
        write_file(
            text.replace("'field': 'day', 'data_type': 'date'", "'field': 'happened', 'data_type': 'timestamp'"),
            project.project_root,
            "models",
            "relaid.sql",
        )
        run_dbt(["run", "--select", "relaid", "--full-refresh"])
        table = bigquery_client.get_table(f"{project.test_schema}.relaid")
        assert (table.time_partitioning.field, table.num_rows) == ("happened", 2)
        for kind in ("view", "table", "incremental"):
            write_file(model(DATED, materialized=kind), project.project_root, "models", "relaid.sql")
            run_dbt(["run", "--select", "relaid", "--full-refresh"])
        assert bigquery_client.get_table(f"{project.test_schema}.relaid").table_type == "TABLE"
