"""The dbt project as Airflow tasks: a task per seed, snapshot and model, each with its tests; gates included."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, cast

from airflow.sdk import DAG, TaskGroup, TriggerRule
from cosmos import DbtTaskGroup, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import DbtResourceType, LoadMode, SourceRenderingBehavior, TestBehavior
from cosmos.dbt.graph import DbtNode as CosmosNode

from marketplace_pipeline.dbt_node import DbtNode
from marketplace_pipeline.project import PROFILE, dbt_manifest, dbt_project_dir, dbt_target

POOL = "dbt"

_BUILT = (DbtResourceType.MODEL, DbtResourceType.SEED, DbtResourceType.SNAPSHOT)
_TASK: dict[str, Any] = {
    # A node that the run does not select is skipped; what reads it uses the rows that are there.
    "trigger_rule": TriggerRule.NONE_FAILED,
    # A failing test or a wrong model fails the same way again.
    "retries": 0,
    "pool": POOL,
    "execution_timeout": timedelta(minutes=30),
    "full_refresh": "{{ params.get('full_refresh', False) }}",
    "variables": (
        "{% if params.get('rebuild_from') %}"
        "{{ {'rebuild_from': params.rebuild_from, 'rebuild_to': params.rebuild_to} | tojson }}"
        "{% endif %}"
    ),
}


def dbt_tasks(group_id: str) -> DbtTaskGroup:
    """All seeds, snapshots and models of the dbt project, each with its tests, inside the current DAG.

    Cosmos reads the graph from dbt's manifest, which ``dbt parse`` writes: parsing the DAG runs no dbt. The tasks are
    ours (:class:`DbtNode`), for Cosmos' own copy the project and read its manifest anew each time.

    A test runs with the node it looks at; one that looks at several, with the one that is built from all the others. A
    test of nodes of which none is built from the others is a task of its own. Whatever is built on all the nodes that a
    test looks at waits for it, as in ``dbt build``.
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
        render_config=RenderConfig(
            load_method=LoadMode.DBT_MANIFEST,
            test_behavior=TestBehavior.NONE,  # they are added below
            source_rendering_behavior=SourceRenderingBehavior.NONE,
            exclude=["resource_type:exposure"],
            node_converters=dict.fromkeys(_BUILT, _build_task),
            emit_datasets=False,
        ),
    )
    with group:
        # Only the kinds that are converted become tasks; Cosmos' type for them is wider.
        _add_tests(group.dbt_graph.filtered_nodes, cast("dict[str, DbtNode]", group.tasks_map))
    return group


def marts(group: DbtTaskGroup) -> list[str]:
    """Names of the models in the layer that people read."""
    layer = group.children.get(f"{group.group_id}.marts")
    tasks = layer.children.values() if isinstance(layer, TaskGroup) else ()
    return sorted(task.node_name for task in tasks if isinstance(task, DbtNode))


def _build_task(dag: DAG, task_group: TaskGroup, node: CosmosNode, **_: Any) -> DbtNode:
    """A Cosmos node converter: the task of a model, seed or snapshot, in the group of its layer."""
    return DbtNode(
        task_id=node.name,
        node_name=node.name,
        task_group=_layer(dag, task_group, node),
        dag=dag,
        command="build",
        select=f"fqn:{'.'.join(node.fqn or [node.name])}",
        **_owner(node),
        **_TASK,
    )


def _owner(node: CosmosNode) -> dict[str, str]:
    """The node's group in the dbt project; the DAG's own owner where it has none."""
    group = node.config.get("group")
    return {"owner": group.replace("_", "-")} if group else {}


def _layer(dag: DAG, group: TaskGroup, node: CosmosNode) -> TaskGroup:
    """The task group named after the first folder below models/, or after seeds/ or snapshots/."""
    folders = node.original_file_path.parts[:-1]
    name = folders[1] if folders[0] == "models" and len(folders) > 1 else folders[0]
    found = group.children.get(f"{group.group_id}.{name}")
    return found if isinstance(found, TaskGroup) else TaskGroup(name, dag=dag, parent_group=group)


def _add_tests(nodes: dict[str, CosmosNode], tasks: dict[str, DbtNode]) -> None:
    """Give each test to the task it belongs to, or a task of its own with everything that must wait for it."""
    ancestors = {node_id: _ancestors(node_id, nodes) for node_id in nodes}
    for test in nodes.values():
        if test.resource_type != DbtResourceType.TEST:
            continue
        parents = {parent for parent in test.depends_on if parent in tasks}
        last = {parent for parent in parents if parents <= ancestors[parent] | {parent}}
        for parent in parents - last:
            tasks[parent].exclude = (*tasks[parent].exclude, _name(test))
        if last or not parents:
            continue
        own = DbtNode(
            task_id=f"{_name(test)}_test",
            node_name=_name(test),
            command="test",
            select=_name(test),
            **_owner(test),
            **_TASK,
        )
        [tasks[parent] for parent in sorted(parents)] >> own
        for node_id, task in tasks.items():
            if parents <= ancestors[node_id]:
                own >> task


def _name(test: CosmosNode) -> str:
    """A generic test's id ends in a hash: test.marketplace.not_null_orders_id.1a2b3c."""
    return test.unique_id.split(".")[2]


def _ancestors(node_id: str, nodes: dict[str, CosmosNode]) -> set[str]:
    found: set[str] = set()
    ahead: list[str] = list(_parents(node_id, nodes))
    while ahead:
        parent = ahead.pop()
        if parent not in found:
            found.add(parent)
            ahead.extend(_parents(parent, nodes))
    return found


def _parents(node_id: str, nodes: dict[str, CosmosNode]) -> Iterable[str]:
    return (parent for parent in nodes[node_id].depends_on if parent in nodes)
