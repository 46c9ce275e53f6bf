"""A small dbt project, run by the real dbt: seed, view, contract, incremental merge, snapshot, tests, docs."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent

import pytest
from dbt_cli import dbt
from google.cloud import bigquery
from real_services import PROJECT

FILES = {
    "dbt_project.yml": """
        name: probe
        version: "1.0"
        profile: probe
        flags: {send_anonymous_usage_stats: false}
        models:
          +persist_docs: {relation: true, columns: true}
        """,
    "profiles.yml": """
        probe:
          target: dev
          outputs:
            dev:
              type: bigquery
              method: oauth-secrets
              token: anything
              project: "{{ env_var('PROBE_PROJECT') }}"
              dataset: "{{ env_var('PROBE_DATASET') }}"
              location: US
              api_endpoint: "{{ env_var('PROBE_ENDPOINT') }}"
              threads: 4
        """,
    "seeds/rates.csv": """
        day,currency,rate,note
        2024-01-01,EUR,1.123456789,"a, ""b"" "
        2024-01-02,GBP,1.5,
        """,
    "seeds/rates.yml": """
        seeds:
          - name: rates
            config: {column_types: {rate: numeric}}
        """,
    "models/stg_rates.sql": """
        {{ config(materialized='view') }}
        select day, currency, rate, note from {{ ref('rates') }}
        """,
    "models/daily.sql": """
        {{ config(materialized='table', partition_by={'field': 'day', 'data_type': 'date'}, cluster_by=['currency'],
                  labels={'team': 'data'}) }}
        select day, currency, rate from {{ ref('stg_rates') }}
        """,
    "models/latest.sql": """
        {{ config(materialized='incremental', unique_key='currency', on_schema_change='append_new_columns') }}
        select currency, max(rate) as rate{% if is_incremental() %}, 'again' as run{% endif %}
        from {{ ref('stg_rates') }} group by currency
        """,
    "models/models.yml": """
        models:
          - name: stg_rates
            columns:
              - name: day
                description: the day's name
                data_tests: [not_null, unique]
              - name: currency
                data_tests: [{accepted_values: {arguments: {values: [EUR, GBP]}}}]
          - name: daily
            description: one row a day and currency
            config: {contract: {enforced: true}}
            constraints: [{type: primary_key, columns: [day, currency]}]
            columns:
              - {name: day, data_type: date, description: the day, constraints: [{type: not_null}]}
              - name: currency
                data_type: string
                data_tests: [{relationships: {arguments: {to: ref('stg_rates'), field: currency}}}]
              - {name: rate, data_type: "numeric(38, 9)"}
        unit_tests:
          - name: rates_pass_through
            model: stg_rates
            given: [{input: ref('rates'), rows: [{day: 2024-01-01, currency: EUR, rate: 1.5, note: x}]}]
            expect: {rows: [{day: 2024-01-01, currency: EUR, rate: 1.5, note: x}]}
        """,
    "snapshots/rates_history.yml": """
        snapshots:
          - name: rates_history
            relation: ref('rates')
            config: {unique_key: currency, strategy: check, check_cols: [rate]}
        """,
}


@pytest.mark.slow
def test_a_dbt_project_builds_twice_and_documents_itself(
    tmp_path: Path, bigquery_endpoint: str, bigquery_client: bigquery.Client, dataset: str
) -> None:
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(dedent(text).lstrip())
    environment = {
        "PROBE_PROJECT": PROJECT,
        "PROBE_DATASET": dataset,
        "PROBE_ENDPOINT": bigquery_endpoint,
        "DBT_PROFILES_DIR": str(tmp_path),
    }

    def run(*arguments: str) -> None:
        status, output = dbt(*arguments, environment=environment, folder=tmp_path)
        assert status == 0, output

    def rows(sql: str) -> list[tuple[object, ...]]:
        return [tuple(row) for row in bigquery_client.query(sql).result()]

    run("build")
    assert rows(f"SELECT CAST(rate AS STRING), note FROM {dataset}.stg_rates ORDER BY day") == [
        ("1.123456789", 'a, "b" '),
        ("1.5", None),
    ]
    seed = tmp_path / "seeds/rates.csv"
    seed.write_text(seed.read_text().replace("1.5", "2.5") + "2024-01-03,EUR,9,\n")
    # The EUR row of the snapshot's key would be twice in its source now, so it is left out of the second build.
    run("build", "--exclude", "rates_history")

    latest = f"SELECT currency, CAST(rate AS STRING), run FROM {dataset}.latest ORDER BY currency"
    assert rows(latest) == [("EUR", "9", "again"), ("GBP", "2.5", "again")]
    assert rows(f"SELECT COUNT(*), COUNTIF(dbt_valid_to IS NULL) FROM {dataset}.rates_history") == [(2, 2)]
    daily = bigquery_client.get_table(f"{dataset}.daily")
    assert (daily.time_partitioning.field, daily.clustering_fields, daily.num_rows) == ("day", ["currency"], 3)
    assert (daily.description, daily.labels) == ("one row a day and currency", {"team": "data"})
    assert [(f.name, f.mode, f.description) for f in daily.schema[:2]] == [
        ("day", "REQUIRED", "the day"),
        ("currency", "NULLABLE", None),
    ]
    assert daily.table_constraints.primary_key.columns == ["day", "currency"]

    run("docs", "generate")
    nodes = json.loads((tmp_path / "target/catalog.json").read_text())["nodes"]
    assert {name.rpartition(".")[2]: node["metadata"]["type"] for name, node in nodes.items()} == {
        "rates": "table",
        "rates_history": "table",
        "stg_rates": "view",
        "daily": "table",
        "latest": "table",
    }
    assert nodes["model.probe.stg_rates"]["columns"]["day"]["comment"] == "the day's name"
    assert nodes["model.probe.daily"]["stats"]["num_rows"]["value"] == 3
