"""Which of the transformation's tasks a run carries out, by its parameters."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from airflow.sdk import Param
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import AirflowFailException

from marketplace_pipeline.dbt_node import DbtNode
from marketplace_pipeline.project import invoke_dbt

#: The parameters that say what is built; both of the DAGs that build have them.
PARAMS: dict[str, Param] = {
    "select": Param(
        None,
        type=["null", "string"],  # the form takes an empty field for a missing one, and refuses it otherwise
        maxLength=500,
        title="Models",
        description="What to build, in dbt's selection syntax: `fct_orders+`, `path:models/marts`. Empty: everything.",
    ),
    "full_refresh": Param(
        False,
        type="boolean",
        title="Full refresh",
        description="Build incremental models from nothing instead of merging what changed.",
    ),
    "rebuild_from": Param(
        None,
        type=["null", "string"],
        format="date",
        title="Rewrite days from",
        description="Rewrite the rows of these days in every selected incremental mart, changed or not. With the next.",
    ),
    "rebuild_to": Param(None, type=["null", "string"], format="date", title="… to (inclusive)"),
}


class InvalidParameters(AirflowFailException):
    """The run was started with parameters that make no sense; the message says which and why."""


def check_window(params: Mapping[str, Any] | ParamsDict) -> None:
    """Refuse half a window, or one that ends before it begins.

    Raises:
        InvalidParameters: naming the parameter.
    """
    given = {name: params.get(name) for name in ("rebuild_from", "rebuild_to")}
    missing = [name for name, value in given.items() if not value]
    if len(missing) == 1:
        raise InvalidParameters(f"{missing[0]} is missing: a window has two ends, {given}.")
    if missing:
        return
    try:
        first, last = (date.fromisoformat(str(value)) for value in given.values())
    except ValueError as error:
        raise InvalidParameters(f"The window {given} is not of dates like 2026-11-21: {error}.") from error
    if first > last:
        raise InvalidParameters(f"rebuild_from {first} is after rebuild_to {last}.")


def unselected(select: str | None, tasks: Iterable[Any]) -> list[str]:
    """Ids of the dbt tasks among ``tasks`` that build nothing of ``select``; none if it is empty.

    Raises:
        InvalidParameters: the selection is not dbt's syntax, or matches nothing.
    """
    if not select or not select.strip():
        return []
    kinds = [word for kind in ("model", "seed", "snapshot", "test") for word in ("--resource-type", kind)]
    # Cautious: a test that is a task of its own looks at several nodes, and all of them must be there.
    how = ["--indirect-selection", "cautious", "--output", "json"]
    listed = invoke_dbt("--quiet", "ls", "--select", *select.split(), *how, *kinds)
    if not listed.success:
        raise InvalidParameters(f"dbt does not understand the selection {select!r}: {listed.exception}")
    found = [json.loads(line) for line in listed.result or []]  # type: ignore[union-attr]
    names = {node["name"] for node in found}
    if all(node["resource_type"] == "test" for node in found):
        raise InvalidParameters(f"The selection {select!r} matches no model, seed or snapshot of the dbt project.")
    return [task.task_id for task in tasks if isinstance(task, DbtNode) and task.node_name not in names]
