"""Contracts, tests, unit tests, freshness, grants and documentation, as dbt runs them."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from dbt.tests.util import run_dbt, run_dbt_and_capture
from dbt_rows import rows
from google.cloud import bigquery

pytestmark = pytest.mark.slow

CONTRACTS = """
models:
  - name: parent
    config: {contract: {enforced: true}}
    constraints: [{type: primary_key, columns: [id]}]
    columns:
      - {name: id, data_type: int64, constraints: [{type: not_null}]}
      - {name: amount, data_type: "numeric(5, 2)"}
      - {name: code, data_type: string(3)}
      - {name: who.name, data_type: string}
      - {name: who.tags, data_type: array<string>}
  - name: child
    config: {contract: {enforced: true}, materialized: incremental, on_schema_change: append_new_columns}
    constraints: [{type: foreign_key, columns: [parent_id], to: ref('parent'), to_columns: [id]}]
    columns:
      - {name: parent_id, data_type: int64, constraints: [{type: not_null}]}
      - {name: order, data_type: int64, quote: true}
  - name: viewed
    config: {contract: {enforced: true}, materialized: view}
    columns: [{name: id, data_type: int64}]
  - name: broken
    config: {contract: {enforced: true}}
    columns: [{name: id, data_type: string}, {name: missing, data_type: date}]
  - name: too_long
    config: {contract: {enforced: true}}
    columns: [{name: code, data_type: string(3)}]
  - name: null_key
    config: {contract: {enforced: true}}
    columns: [{name: id, data_type: int64, constraints: [{type: not_null}]}]
"""


class TestContracts:
    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        models = {
            "parent": "select 1 as id, numeric '1.239' as amount, 'abc' as code,"
            " struct('n' as name, ['t'] as tags) as who",
            "child": "select id as parent_id, 2 as `order` from {{ ref('parent') }}",
            "viewed": "select id from {{ ref('parent') }}",
            "broken": "select 1 as id",
            "too_long": "select 'abcd' as code",
            "null_key": "select cast(null as int64) as id",
        }
        configured = {
            f"{name}.sql": ("" if name in ("child", "viewed") else "{{ config(materialized='table') }} ") + query
            for name, query in models.items()
        }
        return {"contracts.yml": CONTRACTS, **configured}

    def test_what_is_kept_is_built_and_what_is_broken_named(
        self, project: Any, bigquery_client: bigquery.Client
    ) -> None:
        results = run_dbt(["run"], expect_pass=False)
        failed = {r.node.name: r.message for r in results if r.status == "error"}
        assert failed.keys() == {"broken", "too_long", "null_key"}
        assert "data type mismatch" in failed["broken"]
        assert "missing in definition" in failed["broken"] or "missing in contract" in failed["broken"]
        assert "maximum length 3 but got a value with length 4" in failed["too_long"]
        assert "Required field id cannot be null" in failed["null_key"]
        run_dbt(["run", "--select", "child"])
        parent = bigquery_client.get_table(f"{project.test_schema}.parent")
        assert parent.table_constraints.primary_key.columns == ["id"]
        assert [(f.name, f.mode, f.precision, f.scale, f.max_length) for f in parent.schema[:3]] == [
            ("id", "REQUIRED", None, None, None),
            ("amount", "NULLABLE", 5, 2, None),
            ("code", "NULLABLE", None, None, 3),
        ]
        assert [f.name for f in parent.schema[3].fields] == ["name", "tags"]
        child = bigquery_client.get_table(f"{project.test_schema}.child")
        (key,) = child.table_constraints.foreign_keys
        assert key.referenced_table.table_id == "parent"
        assert [(c.referencing_column, c.referenced_column) for c in key.column_references] == [("parent_id", "id")]
        assert rows(bigquery_client, f"SELECT CAST(amount AS STRING) FROM {project.test_schema}.parent") == [("1.24",)]


DATA_TESTS = """
models:
  - name: numbers
    columns:
      - name: n
        data_tests:
          - not_null
          - unique: {config: {store_failures: true}}
          - accepted_values: {arguments: {values: [1, 2], quote: false}, config: {store_failures_as: view}}
      - name: word
        data_tests:
          - relationships: {arguments: {to: ref('words'), field: word}, config: {severity: warn}}
"""
UNIT_TESTS = """
unit_tests:
  - name: of_rows
    model: joined
    given:
      - input: ref('numbers')
        rows: [{n: 7, word: x}, {n: 8, word: null}]
      - {input: ref('words'), format: csv, rows: "word\\nx\\n"}
    expect: {rows: [{n: 7, word: x}]}
  - name: of_sql
    model: nested
    given:
      - input: ref('numbers')
        format: sql
        rows: select 7 as n, 'x' as word union all select 8, 'x'
    expect:
      format: sql
      rows: "select 'x' as word, [7, 8] as ns, struct(8 as top, date '2024-01-01' as day) as most"
  - name: of_fixtures
    model: joined
    given:
      - {input: ref('numbers'), format: csv, fixture: numbers_fixture}
      - {input: ref('words'), rows: [{word: x}]}
    expect: {format: csv, fixture: joined_fixture}
  - name: of_incremental
    model: growing
    overrides: {macros: {is_incremental: true}, vars: {least: 5}}
    given:
      - {input: ref('numbers'), rows: [{n: 4, word: a}, {n: 9, word: b}]}
      - {input: this, rows: [{n: 6}]}
    expect: {rows: [{n: 9}]}
  - name: that_fails
    model: joined
    given:
      - {input: ref('numbers'), rows: [{n: 7, word: x}]}
      - {input: ref('words'), rows: [{word: x}]}
    expect: {rows: [{n: 1, word: x}]}
"""


class TestTests:
    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {
            "tests.yml": DATA_TESTS,
            "unit_tests.yml": UNIT_TESTS,
            "numbers.sql": "{{ config(materialized='table') }}"
            "select * from unnest([struct(1 as n, 'a' as word), (1, 'b'), (3, 'z')])",
            "words.sql": "select word from unnest(['a', 'b']) as word",
            "joined.sql": "select n, word from {{ ref('numbers') }} join {{ ref('words') }} using (word)",
            "nested.sql": "select word, array_agg(n order by n) as ns, struct(max(n) as top, date '2024-01-01' as day)"
            " as most from {{ ref('numbers') }} group by word",
            "growing.sql": "{{ config(materialized='incremental') }} select n from {{ ref('numbers') }}"
            "{% if is_incremental() %} where n > (select max(n) from {{ this }}) and n > {{ var('least') }}{% endif %}",
        }

    @pytest.fixture(scope="class")
    def tests(self) -> dict[str, Any]:
        return {
            "no_threes.sql": "{{ config(store_failures=true, limit=5) }}"
            " select * from {{ ref('numbers') }} where n = 3",
            "fixtures": {"numbers_fixture.csv": "n,word\n7,x\n8,\n", "joined_fixture.csv": "n,word\n7,x\n"},
        }

    def test_failures_are_found_and_kept(self, project: Any, bigquery_client: bigquery.Client) -> None:
        run_dbt(["run"])
        for _ in range(2):
            results = run_dbt(["test", "--exclude", "test_type:unit"], expect_pass=False)
        found = {r.node.name.split("_", 1)[0]: (str(r.status), r.failures) for r in results}
        assert found == {
            "not": ("pass", 0),
            "unique": ("fail", 1),
            "accepted": ("fail", 1),
            "relationships": ("warn", 1),
            "no": ("fail", 1),
        }
        audit = f"{project.test_schema}_dbt_test__audit"
        project.created_schemas.append(audit)
        kinds = {t.table_id.split("_", 1)[0]: t.table_type for t in bigquery_client.list_tables(audit)}
        assert kinds == {"unique": "TABLE", "accepted": "VIEW", "no": "TABLE"}
        assert rows(bigquery_client, f"SELECT n, word FROM {audit}.no_threes") == [(3, "z")]

    def test_unit_tests_of_every_format(self, project: Any) -> None:
        results, output = run_dbt_and_capture(["test", "--select", "test_type:unit"], expect_pass=False)
        assert {r.node.name: str(r.status) for r in results} == {
            "of_rows": "pass",
            "of_sql": "pass",
            "of_fixtures": "pass",
            "of_incremental": "pass",
            "that_fails": "fail",
        }
        assert "differs" in output and "that_fails" in output


SOURCES = """
sources:
  - name: given
    schema: "{{ target.schema }}"
    config:
      freshness: {warn_after: {count: 6, period: hour}, error_after: {count: 12, period: hour}}
    tables:
      - {name: by_column, config: {loaded_at_field: loaded}}
      - {name: by_metadata}
      - name: by_query
        config: {loaded_at_query: "select max(loaded) from {{ this }} where id = 1"}
      - {name: late, identifier: by_column, config: {loaded_at_field: "timestamp_sub(loaded, interval 8 hour)"}}
      - {name: stale, identifier: by_column, config: {loaded_at_field: "timestamp_sub(loaded, interval 2 day)"}}
"""


class TestFreshness:
    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {"sources.yml": SOURCES}

    def test_by_column_by_query_and_by_metadata(self, project: Any) -> None:
        for name in ("by_column", "by_query", "by_metadata"):
            project.run_sql(
                f"create table {project.test_schema}.{name} as select 1 as id, current_timestamp() as loaded"
            )
        run_dbt(["source", "freshness"], expect_pass=False)
        found = json.loads((Path(project.project_root) / "target/sources.json").read_text())["results"]
        assert {r["unique_id"].rpartition(".")[2]: r["status"] for r in found} == {
            "by_column": "pass",
            "by_query": "pass",
            "by_metadata": "pass",
            "late": "warn",
            "stale": "error",
        }
        loaded = next(r["max_loaded_at"] for r in found if r["unique_id"].endswith("by_metadata"))
        age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(loaded.replace("Z", "+00:00"))
        assert age < datetime.timedelta(minutes=5)


class TestAuthorizedView:
    @pytest.fixture(scope="class")
    def models(self, unique_schema: str) -> dict[str, str]:
        return {
            "authorized.sql": "{{ config(materialized='view', grant_access_to=[{'project': target.project, 'dataset': '"
            + unique_schema
            + "_private'}]) }} select 1 as id"
        }

    def test_the_view_is_let_into_the_dataset(self, project: Any, bigquery_client: bigquery.Client) -> None:
        project.create_test_schema(f"{project.test_schema}_private")
        run_dbt(["run"])
        run_dbt(["run"])
        entries = bigquery_client.get_dataset(f"{project.test_schema}_private").access_entries
        assert [e.entity_id["tableId"] for e in entries if e.entity_type == "view"] == ["authorized"]


class TestDocs:
    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {f"plain_{number}.sql": "{{ config(materialized='table') }} select 1 as id" for number in range(8)} | {
            "typed.sql": "{{ config(materialized='table', partition_by={'field': 'd', 'data_type': 'date'},"
            " cluster_by=['s', 'i']) }} select 1 as i, 1.5 as f, numeric '1' as n, bignumeric '1' as b, 'x' as s,"
            " b'x' as y, true as l, date '2024-01-01' as d, datetime '2024-01-01 00:00:00' as dt,"
            " time '01:00:00' as t, current_timestamp() as ts, json '1' as j, interval 1 day as iv,"
            " [struct(1 as a, ['x'] as list)] as r",
            "seen.sql": "select * from {{ ref('typed') }}",
            "sources.yml": "sources:"
            " [{name: sharded, schema: '{{ target.schema }}', tables: [{name: events_20240101}]}]",
        }

    def test_the_catalog_names_every_column_and_type(self, project: Any) -> None:
        project.run_sql(f"create table {project.test_schema}.events_20240101 as select 1 as id")
        run_dbt(["run"])
        run_dbt(["docs", "generate"])
        catalog = json.loads((Path(project.project_root) / "target/catalog.json").read_text())
        assert catalog["errors"] is None
        nodes = {name.rpartition(".")[2]: node for name, node in catalog["nodes"].items()}
        assert len(nodes) == 10
        types = {name: column["type"] for name, column in nodes["typed"]["columns"].items()}
        assert types == {
            "i": "INT64",
            "f": "FLOAT64",
            "n": "NUMERIC",
            "b": "BIGNUMERIC",
            "s": "STRING",
            "y": "BYTES",
            "l": "BOOL",
            "d": "DATE",
            "dt": "DATETIME",
            "t": "TIME",
            "ts": "TIMESTAMP",
            "j": "JSON",
            "iv": "INTERVAL",
            "r": "ARRAY<STRUCT<a INT64, list ARRAY<STRING>>>",
            "r.a": "INT64",
            "r.list": "ARRAY<STRING>",
        }
        stats = nodes["typed"]["stats"]
        assert (stats["partitioning_type"]["value"], stats["clustering_fields"]["value"]) == ("d", "s, i")
        assert (stats["num_rows"]["value"], nodes["seen"]["metadata"]["type"]) == (1, "view")
