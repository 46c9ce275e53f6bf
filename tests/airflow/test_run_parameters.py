"""What a run's parameters do: which are refused, what is skipped, what is built and published."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.utils import db as airflow_database
from airflow_runs import Run
from google.cloud import bigquery
from marketplace_pipeline import project
from marketplace_pipeline.selection import InvalidParameters, check_window, unselected

DAG_FOLDER = Path(__file__).parent / "miniature_dag"
TEST_OF_TWO = "relationships_child_id__id__ref_parent__test"


@pytest.fixture(autouse=True)
def miniature(dbt_projects: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DBT_PROJECT_DIR", str(dbt_projects["miniature"]))
    return dbt_projects["miniature"]


@pytest.mark.parametrize(
    ("first", "last", "complaint"),
    [
        ("2026-01-01", None, "rebuild_to is missing"),
        (None, "2026-01-01", "rebuild_from is missing"),
        ("2026-01-02", "2026-01-01", "2026-01-02 is after"),
        ("2026-13-01", "2026-13-02", "not of dates"),
    ],
)
def test_half_a_window_and_one_that_ends_before_it_begins_are_refused(
    first: str | None, last: str | None, complaint: str
) -> None:
    with pytest.raises(InvalidParameters, match=complaint):
        check_window({"rebuild_from": first, "rebuild_to": last})


def test_whole_windows_and_none_are_taken() -> None:
    check_window({"rebuild_from": "2026-01-01", "rebuild_to": "2026-01-01"})
    check_window({"rebuild_from": None, "rebuild_to": None})


def test_a_selection_that_names_nothing_or_is_not_dbts_is_refused() -> None:
    for select in ("no_such_model", "no_such_method:x"):
        with pytest.raises(InvalidParameters, match=select):
            unselected(select, DagBag(DAG_FOLDER).dags["miniature"].tasks)


@pytest.mark.slow
def test_a_run_without_sync_builds_what_is_selected_and_publishes_it(
    airflow_home: Path,
    bigquery_endpoint: str,
    bigquery_client: bigquery.Client,
    dataset: str,
    miniature: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    airflow_database.initdb()
    monkeypatch.setenv("BIGQUERY_API_ENDPOINT", bigquery_endpoint)
    monkeypatch.setenv("MINIATURE_DATASET", dataset)
    monkeypatch.setattr(project, "_parsed", None)
    project.warm_up_dbt()
    run = Run.start(DAG_FOLDER, "marketplace_elt_pipeline", sync=False, select="+behind_parent")
    assert set(run.states().values()) == {"success", "skipped"}
    sync = {"check_connection", "trigger_sync", "wait_for_sync", "check_raw"}
    unbuilt = sync | {"child", TEST_OF_TWO, "behind_both", "far_behind"}
    assert set(run.not_green()) == unbuilt
    run.clear("check_raw")
    assert set(run.not_green()) == unbuilt
    assert {table.table_id for table in bigquery_client.list_tables(dataset)} == {"numbers", "parent", "behind_parent"}
    assert "behind_parent" in (miniature / "target" / "docs" / "static_index.html").read_text()
