"""dbt as tasks on the emulator: what a failing test stops, what it does not, and that a cured project ends green."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dbt_in_process  # noqa: F401
import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.utils import db as airflow_database
from google.cloud import bigquery

pytestmark = pytest.mark.slow

DAG_FOLDER = Path(__file__).parent / "miniature_dag"
TEST_OF_TWO = "relationships_child_id__id__ref_parent__test"
Run = Callable[[], dict[str, str]]


@pytest.fixture(scope="module", autouse=True)
def metadata(airflow_home: Path) -> None:
    airflow_database.initdb()


@pytest.fixture
def run(dbt_projects: dict[str, Path], bigquery_endpoint: str, dataset: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the miniature's DAG in this process and gives the final state of each of dbt's tasks."""
    monkeypatch.setenv("DBT_PROJECT_DIR", str(dbt_projects["miniature"]))
    monkeypatch.setenv("BIGQUERY_API_ENDPOINT", bigquery_endpoint)
    monkeypatch.setenv("MINIATURE_DATASET", dataset)

    def once() -> dict[str, str]:
        run = DagBag(DAG_FOLDER).dags["miniature"].test()
        return {task.task_id.split(".")[-1]: str(task.state) for task in run.get_task_instances()}

    return once


def not_green(states: dict[str, str]) -> dict[str, str]:
    return {task: state for task, state in states.items() if state != "success"}


def tables(client: bigquery.Client, dataset: str) -> set[str]:
    return {table.table_id for table in client.list_tables(dataset)}


def test_test_of_two_parents_stops_only_what_is_built_on_both_and_a_cure_ends_green(
    run: Run, bigquery_client: bigquery.Client, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHILD_ID", "99")  # a child without a parent
    assert not_green(run()) == {
        TEST_OF_TWO: "failed",
        "behind_both": "upstream_failed",
        "far_behind": "upstream_failed",
    }
    assert tables(bigquery_client, dataset) == {"numbers", "parent", "child", "behind_parent"}

    monkeypatch.setenv("CHILD_ID", "1")
    assert not_green(run()) == {}
    assert {"behind_both", "far_behind"} <= tables(bigquery_client, dataset)
    assert [row.id for row in bigquery_client.query_and_wait(f"SELECT id FROM `{dataset}.far_behind`")] == [1]


def test_test_of_one_parent_stops_everything_built_on_it(
    run: Run, bigquery_client: bigquery.Client, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHILD_ID", "null")
    assert not_green(run()) == {
        "child": "failed",
        TEST_OF_TWO: "upstream_failed",
        "behind_both": "upstream_failed",
        "far_behind": "upstream_failed",
    }
    assert "behind_both" not in tables(bigquery_client, dataset)
