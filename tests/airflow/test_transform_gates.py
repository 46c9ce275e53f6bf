"""dbt as tasks on the emulator: what a failure stops, what it does not, and both ways out of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dbt_in_process  # noqa: F401
import pytest
from airflow.utils import db as airflow_database
from airflow_runs import Run
from google.cloud import bigquery

pytestmark = pytest.mark.slow

DAG_FOLDER = Path(__file__).parent / "miniature_dag"
TEST_OF_TWO = "relationships_child_id__id__ref_parent__test"
BEHIND_BOTH = {"behind_both": "upstream_failed", "far_behind": "upstream_failed"}
Start = Callable[..., Run]


@pytest.fixture(scope="module", autouse=True)
def metadata(airflow_home: Path) -> None:
    airflow_database.initdb()


@pytest.fixture
def start(
    dbt_projects: dict[str, Path], bigquery_endpoint: str, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> Start:
    """Runs the miniature's DAG in this process."""
    monkeypatch.setenv("DBT_PROJECT_DIR", str(dbt_projects["miniature"]))
    monkeypatch.setenv("BIGQUERY_API_ENDPOINT", bigquery_endpoint)
    monkeypatch.setenv("MINIATURE_DATASET", dataset)
    return lambda **params: Run.start(DAG_FOLDER, "miniature", **params)


def contents(client: bigquery.Client, dataset: str) -> dict[str, list[Any]]:
    return {
        table.table_id: [
            row.id for row in client.query_and_wait(f"SELECT id FROM `{dataset}.{table.table_id}` ORDER BY 1")
        ]
        for table in client.list_tables(dataset)
    }


@pytest.mark.parametrize(
    ("child_id", "not_green"),
    [
        pytest.param("'oops'", {"child": "failed", TEST_OF_TWO: "upstream_failed"}, id="a model"),
        pytest.param("null", {"child": "failed", TEST_OF_TWO: "upstream_failed"}, id="a test of one node"),
        pytest.param("99", {TEST_OF_TWO: "failed"}, id="a test of two nodes"),
    ],
)
def test_a_failure_stops_what_is_built_on_it_and_ends_green_once_cured_and_cleared(
    child_id: str,
    not_green: dict[str, str],
    start: Start,
    bigquery_client: bigquery.Client,
    dataset: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CHILD_ID", child_id)
    run = start()
    assert run.not_green() == not_green | BEHIND_BOTH
    built = contents(bigquery_client, dataset)
    assert {"behind_both", "far_behind"}.isdisjoint(built)
    assert "behind_parent" in built, "a failure does not stop what is not built on it"

    monkeypatch.setenv("CHILD_ID", "1")
    run.clear("child")  # which built the rows that the test of two complains of
    assert run.not_green() == {}
    recovered = contents(bigquery_client, dataset)
    assert recovered["far_behind"] == [1]
    bigquery_client.delete_dataset(dataset, delete_contents=True)
    bigquery_client.create_dataset(dataset)
    assert start().not_green() == {}
    assert contents(bigquery_client, dataset) == recovered, "other rows than a rebuild's"
