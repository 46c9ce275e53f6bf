"""The dbt project as Airflow tasks: a task per seed, model and test group, gates included."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from airflow.sdk import BaseOperator, TaskGroup
from cosmos import DbtTaskGroup, ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import (
    DbtResourceType,
    ExecutionMode,
    InvocationMode,
    LoadMode,
    SourceRenderingBehavior,
    TestBehavior,
)
from cosmos.dbt.graph import DbtNode

PROFILE = "marketplace"

_REPOSITORY = Path(__file__).resolve().parents[3]


def dbt_project_dir() -> Path:
    """``DBT_PROJECT_DIR``, by default ``dbt/`` beside ``airflow/``."""
    return Path(os.environ.get("DBT_PROJECT_DIR") or _REPOSITORY / "dbt")


def dbt_manifest() -> Path:
    """``DBT_MANIFEST_PATH``, by default where ``dbt parse`` writes it."""
    return Path(os.environ.get("DBT_MANIFEST_PATH") or dbt_project_dir() / "target" / "manifest.json")


def dbt_target() -> str:
    """``DBT_TARGET``, by default the embedded warehouse."""
    return os.environ.get("DBT_TARGET") or "local"


def dbt_tasks(group_id: str) -> DbtTaskGroup:
    """All seeds, snapshots and models of the dbt project, each with its tests, inside the current DAG.

    The graph comes from dbt's manifest, which ``dbt parse`` writes: parsing the DAG runs no dbt.

    Mode LOCAL: each task runs dbt for its own node, so a task that is cleared does again what it is named after, and no
    task waits for another one's report.

    Tests with one parent run right after it, and its children wait for them. A test with several parents becomes a task
    of its own, after all of them (inside one parent's test task it could run before the other parent is built); Cosmos
    leaves it without children, so the gates that dbt itself would set are added here.
    """
    project = dbt_project_dir()
    group = DbtTaskGroup(
        group_id=group_id,
        project_config=ProjectConfig(
            dbt_project_path=project,
            manifest_path=dbt_manifest(),
            install_dbt_deps=False,  # packages come with the repository; `dbt deps` needs the network
        ),
        profile_config=ProfileConfig(
            profile_name=PROFILE,
            target_name=dbt_target(),
            profiles_yml_filepath=project / "profiles.yml",
        ),
        execution_config=ExecutionConfig(
            execution_mode=ExecutionMode.LOCAL,
            invocation_mode=InvocationMode.DBT_RUNNER,  # in the task's process, where dbt is loaded already
        ),
        render_config=RenderConfig(
            load_method=LoadMode.DBT_MANIFEST,
            test_behavior=TestBehavior.AFTER_EACH,
            should_detach_multiple_parents_tests=True,
            source_rendering_behavior=SourceRenderingBehavior.NONE,
            emit_datasets=False,
        ),
        operator_args={
            # A failing test or a wrong model fails the same way again.
            "retries": 0,
            "execution_timeout": timedelta(minutes=30),
            # Each task would write the whole manifest twice, for nobody: a third of what it costs. Airflow's log viewer
            # shows colours as escape codes.
            "dbt_cmd_global_flags": ["--no-write-json", "--no-use-colors"],
        },
    )
    add_gates(group.dbt_graph.filtered_nodes, group.tasks_map)
    return group


def add_gates(nodes: dict[str, DbtNode], tasks: dict[str, BaseOperator | TaskGroup]) -> None:
    """Put each test with several parents before every node that depends, however remotely, on all of them.

    That is the rule by which ``dbt build`` orders tests. A node depending on some of the parents only need not wait.
    """
    ancestors = {node_id: _ancestors(node_id, nodes) for node_id in nodes}
    for test_id, test in nodes.items():
        if test.resource_type != DbtResourceType.TEST or test_id not in tasks:
            continue
        parents = {parent for parent in test.depends_on if parent in nodes}
        for node_id, node in nodes.items():
            if node.resource_type != DbtResourceType.TEST and node_id in tasks and parents <= ancestors[node_id]:
                tasks[test_id] >> tasks[node_id]


def _ancestors(node_id: str, nodes: dict[str, DbtNode]) -> set[str]:
    found: set[str] = set()
    ahead: list[str] = list(_parents(node_id, nodes))
    while ahead:
        parent = ahead.pop()
        if parent not in found:
            found.add(parent)
            ahead.extend(_parents(parent, nodes))
    return found


def _parents(node_id: str, nodes: dict[str, DbtNode]) -> Iterable[str]:
    return (parent for parent in nodes[node_id].depends_on if parent in nodes)
