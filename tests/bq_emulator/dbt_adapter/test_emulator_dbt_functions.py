"""SQL functions as dbt makes and calls them."""

from __future__ import annotations

from typing import Any

import pytest
from dbt.tests.util import run_dbt
from dbt_rows import rows
from google.cloud import bigquery

pytestmark = pytest.mark.slow

FUNCTIONS = """
functions:
  - name: doubled
    description: Twice the price
    arguments: [{name: price, data_type: float64}]
    returns: {data_type: float64}
  - name: squared_sum
    config: {type: aggregate}
    arguments: [{name: value, data_type: int64}]
    returns: {data_type: float64}
"""


class TestFunctions:
    @pytest.fixture(scope="class")
    def functions(self) -> dict[str, str]:
        return {"doubled.sql": "price * 2", "squared_sum.sql": "POW(SUM(value), 2)", "functions.yml": FUNCTIONS}

    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        numbers = "FROM UNNEST([1, 2, 3]) AS value"
        return {
            "prices.sql": f"SELECT value, {{{{ function('doubled') }}}}(value) AS price {numbers}",
            "totals.sql": f"SELECT {{{{ function('squared_sum') }}}}(value) AS total {numbers}",
        }

    def test_functions_are_made_replaced_and_called_by_models(
        self, project: Any, bigquery_client: bigquery.Client
    ) -> None:
        for _ in range(2):  # the second time they are replaced
            assert len(run_dbt(["build"]).results) == 4
        schema = project.test_schema
        assert rows(bigquery_client, f"SELECT price FROM {schema}.prices ORDER BY value") == [(2.0,), (4.0,), (6.0,)]
        assert rows(bigquery_client, f"SELECT total FROM {schema}.totals") == [(36.0,)]
        with project.adapter.connection_named("relations"):
            found = project.adapter.list_relations(project.database, schema)
        assert {"doubled", "prices"} <= {relation.identifier for relation in found}
