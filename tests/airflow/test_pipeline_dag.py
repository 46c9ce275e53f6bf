"""The DAG's shape, held against dbt's manifest: what runs, who owns it, and what stands before what."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, BaseOperator
from marketplace_pipeline.dbt_node import DbtNode

ROOT = Path(__file__).resolve().parents[2]
SYNC_TASKS = ["check_connection", "trigger_sync", "wait_for_sync", "check_raw"]
DAG_IDS = ("marketplace_elt_pipeline", "marketplace_rebuild", "marketplace_watch")


@pytest.fixture(scope="module", params=["marketplace", "miniature"])
def dbt_project(request: pytest.FixtureRequest, dbt_projects: dict[str, Path]) -> Path:
    return dbt_projects[request.param]


@pytest.fixture(scope="module")
def manifest(dbt_project: Path) -> dict[str, Any]:
    return json.loads((dbt_project / "target" / "manifest.json").read_text())


@pytest.fixture(scope="module")
def dagbag(dbt_project: Path) -> Iterator[DagBag]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBT_PROJECT_DIR", str(dbt_project))
        yield DagBag(ROOT / "airflow" / "dags")


@pytest.fixture(scope="module")
def dag(dagbag: DagBag) -> DAG:
    assert dagbag.import_errors == {}
    return dagbag.dags["marketplace_elt_pipeline"]


def upstream(task: BaseOperator) -> set[str]:
    return {relative.task_id for relative in task.get_flat_relatives(upstream=True)}


def nodes(manifest: dict[str, Any], *types: str) -> dict[str, dict[str, Any]]:
    return {key: node for key, node in manifest["nodes"].items() if node["resource_type"] in types}


def builder(dag: DAG, name: str) -> DbtNode:
    """The task that builds a model, seed or snapshot."""
    [task] = [task for task in dag.tasks if isinstance(task, DbtNode) and task.node_name == name]
    return task


def parents(manifest: dict[str, Any], node_id: str) -> set[str]:
    """Seeds, models and snapshots a node reads; sources are given."""
    return {parent for parent in manifest["parent_map"][node_id] if not parent.startswith("source.")}


def ancestors(manifest: dict[str, Any], node_id: str) -> set[str]:
    found: set[str] = set()
    ahead = parents(manifest, node_id)
    while ahead:
        found |= ahead
        ahead = {parent for node in ahead for parent in parents(manifest, node)} - found
    return found


def running_task(dag: DAG, manifest: dict[str, Any], test_id: str) -> DbtNode:
    """The one task that runs this dbt test: all tests of a selected node that are not excluded run beside it."""
    test = manifest["nodes"][test_id]
    of_parents = {".".join(["fqn:" + ".".join(manifest["nodes"][p]["fqn"])]) for p in parents(manifest, test_id)}
    [task] = [
        task
        for task in dag.tasks
        if isinstance(task, DbtNode)
        and test["name"] not in task.exclude
        and (task.select == test["name"] or task.select in of_parents)
    ]
    return task


def test_dag_files_parse_within_a_second(dbt_project: Path, dagbag: DagBag, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBT_PROJECT_DIR", str(dbt_project))
    start = time.process_time()
    DagBag(ROOT / "airflow" / "dags")
    assert time.process_time() - start < 1, "all three files"


def test_runs_daily_one_at_a_time_and_not_for_the_past(dag: DAG) -> None:
    assert dag.timetable.expression == "0 0 * * *"  # type: ignore[attr-defined]
    assert (dag.catchup, dag.max_active_runs, dag.start_date) == (False, 1, None)
    assert dag.timetable.run_immediately == timedelta(0)  # type: ignore[attr-defined]  # not the midnight just past
    assert dag.dagrun_timeout is not None
    assert dag.doc_md


@pytest.mark.parametrize(
    ("setting", "expression"), [("30 5 * * 1-5", "30 5 * * 1-5"), ("off", None), ("", "0 0 * * *")]
)
def test_the_schedule_is_a_setting(
    dbt_project: Path, monkeypatch: pytest.MonkeyPatch, setting: str, expression: str | None
) -> None:
    monkeypatch.setenv("DBT_PROJECT_DIR", str(dbt_project))
    monkeypatch.setenv("PIPELINE_SCHEDULE", setting)
    parsed = DagBag(ROOT / "airflow" / "dags" / "marketplace_elt_pipeline.py").dags["marketplace_elt_pipeline"]
    assert getattr(parsed.timetable, "expression", None) == expression


def test_every_task_has_an_owner_a_timeout_and_a_pool_that_exists(dagbag: DagBag) -> None:
    pools = {"default_pool", *json.loads((ROOT / "airflow" / "config" / "pools.json").read_text())}
    assert set(dagbag.dags) == set(DAG_IDS)
    for dag in dagbag.dags.values():
        assert dag.doc_md and dag.dagrun_timeout and dag.max_active_runs == 1
        for task in dag.tasks:
            assert task.owner not in ("", "airflow"), task
            assert task.execution_timeout is not None, task
            assert task.pool in pools, f"{task}: a task of a pool that is missing is never started"


def test_no_field_of_the_trigger_forms_is_required_and_empty(dagbag: DagBag) -> None:
    """The form's button stays disabled until all such fields are filled in."""
    for dag_id in ("marketplace_elt_pipeline", "marketplace_rebuild"):
        params = dagbag.dags[dag_id].params
        assert {"select", "full_refresh", "rebuild_from", "rebuild_to"} <= set(params)
        for name in params:
            param = params.get_param(name)
            assert param.value not in ("", None) or "null" in param.schema["type"], name


def test_only_what_may_pass_is_retried(dag: DAG) -> None:
    retried = [task.task_id for task in dag.tasks if task.retries]
    assert sorted(retried) == sorted(SYNC_TASKS)
    assert all(dag.get_task(task_id).retry_policy is not None for task_id in retried)


def test_sync_and_raw_gate_stand_before_everything_dbt_does(dag: DAG) -> None:
    before = {"check_params"}
    for task_id in SYNC_TASKS:
        assert upstream(dag.get_task(task_id)) <= before
        before.add(task_id)
    dbt = [task for task in dag.tasks if isinstance(task, DbtNode)]
    assert dbt
    assert [task.task_id for task in dbt if not before <= upstream(task)] == []


def test_the_marts_gate_waits_for_every_node_and_stands_before_what_is_published(dag: DAG) -> None:
    nodes = {task.task_id for task in dag.tasks if isinstance(task, DbtNode)}
    assert nodes <= upstream(dag.get_task("marts_gate"))
    published = [task for task in dag.tasks if task.task_id.startswith("publish.")]
    assert published
    assert all("marts_gate" in upstream(task) for task in published)


def test_each_mart_is_announced_as_an_asset(dag: DAG, dbt_project: Path, manifest: dict[str, Any]) -> None:
    marts = {
        node["name"]: f"bigquery://{node['database']}/{node['schema']}/{node['alias']}"
        for node in nodes(manifest, "model").values()
        if node["fqn"][1] == "marts"
    }
    announced = {asset.name: asset.uri for asset in dag.get_task("publish.announce_marts").outlets}
    assert announced == {f"marts.{name}": address for name, address in marts.items()}
    assert marts or dbt_project.parent.name.startswith("miniature")


def test_the_report_comes_after_all_tasks_whatever_they_did_and_does_not_decide_the_run(dag: DAG) -> None:
    report = dag.get_task("report_run")
    others = set(dag.task_ids) - {"end", "report_run"}
    # Directly: what is between would be held back by the first failure, while other tasks still run.
    assert report.upstream_task_ids == upstream(dag.get_task("end")) == others
    assert report.trigger_rule == "all_done"
    assert {task.task_id for task in dag.leaves} == {"end", "report_run"}
    reporting = [task.task_id for task in dag.tasks if not task.on_failure_callback]
    assert reporting == ["report_run"], "what the others fail of is told by it"


def test_every_seed_model_and_snapshot_has_a_task_after_what_it_reads(dag: DAG, manifest: dict[str, Any]) -> None:
    built = nodes(manifest, "model", "seed", "snapshot")
    assert built
    for node_id, node in built.items():
        before = upstream(builder(dag, node["name"]))
        assert {builder(dag, built[parent]["name"]).task_id for parent in parents(manifest, node_id)} <= before


def test_every_dbt_test_runs_in_one_task_after_all_it_looks_at(dag: DAG, manifest: dict[str, Any]) -> None:
    tests = [test for test in nodes(manifest, "test") if parents(manifest, test)]
    assert tests
    for test_id in tests:
        task = running_task(dag, manifest, test_id)
        before = upstream(task) | {task.task_id}
        names = {manifest["nodes"][parent]["name"] for parent in parents(manifest, test_id)}
        assert {builder(dag, name).task_id for name in names} <= before


def test_every_dbt_test_stands_before_what_builds_on_all_it_looks_at(dag: DAG, manifest: dict[str, Any]) -> None:
    guarded = 0
    for test_id in nodes(manifest, "test"):
        tested = parents(manifest, test_id)
        for node_id, node in nodes(manifest, "model", "seed", "snapshot").items():
            if tested and tested <= ancestors(manifest, node_id):
                assert running_task(dag, manifest, test_id).task_id in upstream(builder(dag, node["name"]))
                guarded += 1
    assert guarded


def test_a_test_of_nodes_that_do_not_build_on_each_other_is_a_task_beside_those_behind_one(
    dbt_projects: dict[str, Path],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBT_PROJECT_DIR", str(dbt_projects["miniature"]))
        dag = DagBag(ROOT / "airflow" / "dags").dags["marketplace_elt_pipeline"]
    (test_of_two,) = [task_id for task_id in dag.task_ids if "relationships" in task_id]
    assert test_of_two in upstream(builder(dag, "behind_both"))
    assert test_of_two not in upstream(builder(dag, "behind_parent"))


def test_tests_of_sources_are_not_lost(manifest: dict[str, Any]) -> None:
    """Sources have no task here, so a test of sources alone would never run: it belongs on the staging model."""
    assert [test for test in nodes(manifest, "test") if not parents(manifest, test)] == []


def test_dag_without_a_manifest_says_where_it_should_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "dbt_project.yml").write_text("name: x\nprofile: marketplace\n")
    monkeypatch.setenv("DBT_PROJECT_DIR", str(tmp_path))
    errors = DagBag(ROOT / "airflow" / "dags").import_errors
    (error,) = [text for file, text in errors.items() if file.endswith("marketplace_elt_pipeline.py")]
    assert f"{tmp_path}/target/manifest.json" in error
