"""dbt as tasks on the emulator: what a failure stops, what it does not, and both ways out of it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.utils import db as airflow_database
from airflow_runs import Run
from google.cloud import bigquery
from marketplace_pipeline import project

pytestmark = pytest.mark.slow

DAG_FOLDER = Path(__file__).parent / "miniature_dag"
TEST_OF_TWO = "relationships_child_id__id__ref_parent__test"
BEHIND_BOTH = {"behind_both": "upstream_failed", "far_behind": "upstream_failed"}
Contents = dict[str, list[Any]]


class Miniature:
    """The miniature's DAG and the dataset that it builds."""

    def __init__(self, client: bigquery.Client, dataset: str) -> None:
        self._client = client
        self._dataset = dataset

    def start(self, child_id: str) -> Run:
        """Run the DAG on an empty dataset, in this process, which has the project in memory as a scheduler has."""
        self._client.delete_dataset(self._dataset, delete_contents=True, not_found_ok=True)
        self._client.create_dataset(self._dataset)
        os.environ["CHILD_ID"] = child_id
        project.warm_up_dbt()
        return Run.start(DAG_FOLDER, "miniature")

    def contents(self) -> Contents:
        return {
            table.table_id: [
                row.id
                for row in self._client.query_and_wait(f"SELECT id FROM `{self._dataset}.{table.table_id}` ORDER BY 1")
            ]
            for table in self._client.list_tables(self._dataset)
        }


@pytest.fixture(scope="module")
def miniature(
    airflow_home: Path, dbt_projects: dict[str, Path], bigquery_endpoint: str, bigquery_client: bigquery.Client
) -> Iterator[Miniature]:
    airflow_database.initdb()
    dataset = f"test_{uuid.uuid4().hex[:12]}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBT_PROJECT_DIR", str(dbt_projects["miniature"]))
        patch.setenv("BIGQUERY_API_ENDPOINT", bigquery_endpoint)
        patch.setenv("MINIATURE_DATASET", dataset)
        patch.setenv("CHILD_ID", "1")
        patch.setattr(project, "_parsed", None)
        # As the stack does: what has changed since the scheduler's start is parsed on top of this.
        assert project.invoke_dbt("--quiet", "parse", "--target-path", str(project.dbt_manifest().parent)).success
        yield Miniature(bigquery_client, dataset)
    bigquery_client.delete_dataset(dataset, delete_contents=True, not_found_ok=True)


@pytest.fixture(scope="module")
def rebuilt(miniature: Miniature) -> Contents:
    """What a run without a failure leaves."""
    assert miniature.start("1").not_green() == {}
    return miniature.contents()


@pytest.mark.parametrize(
    ("child_id", "not_green"),
    [
        pytest.param("'oops'", {"child": "failed", TEST_OF_TWO: "upstream_failed"}, id="a model"),
        pytest.param("null", {"child": "failed", TEST_OF_TWO: "upstream_failed"}, id="a test of one node"),
        pytest.param("99", {TEST_OF_TWO: "failed"}, id="a test of two nodes"),
    ],
)
def test_a_failure_stops_what_is_built_on_it_and_ends_green_once_cured_and_cleared(
    child_id: str, not_green: dict[str, str], miniature: Miniature, rebuilt: Contents
) -> None:
    run = miniature.start(child_id)
    assert run.not_green() == not_green | BEHIND_BOTH
    built = miniature.contents()
    assert {"behind_both", "far_behind"}.isdisjoint(built)
    assert "behind_parent" in built, "a failure does not stop what is not built on it"

    os.environ["CHILD_ID"] = "1"
    run.clear("child")  # which built the rows that the test of two complains of
    assert run.not_green() == {}
    assert rebuilt["far_behind"] == [1]
    assert miniature.contents() == rebuilt, "other rows than a rebuild's"
