"""What each of dbt's tests said in a run, by what its tasks report (``dbt_results``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["passed", "warned", "failed", "not_run"]

_STATUS: dict[str, Status] = {
    "success": "passed",
    "pass": "passed",
    "warn": "warned",
    "fail": "failed",
    "error": "failed",
    "runtime error": "failed",
    "partial success": "failed",
}


@dataclass(frozen=True)
class NodeOutcome:
    """A dbt node: what became of it, what dbt said, and, of a test, how many rows it found.

    ``name`` of a unit test has its model's before it: ``int_payments__deduplicated.replays_keep_the_latest_row``.

    ``table`` keeps those rows; empty where the test keeps none.
    """

    name: str
    status: Status
    message: str = ""
    rows: int = 0
    table: str = ""
    is_test: bool = True


def outcomes(manifest: Mapping[str, Any], results: Iterable[Mapping[str, Any]]) -> list[NodeOutcome]:
    """Every node of ``results``, and every test of ``manifest`` that is not among them, as not run."""
    known = {**manifest["nodes"], **manifest["unit_tests"]}
    found = {result["unique_id"]: _outcome(known, result) for result in results if result["unique_id"] in known}
    tests = [node_id for node_id, node in known.items() if _is_test(node_id)]
    waiting = [NodeOutcome(_name(node_id, known[node_id]), "not_run") for node_id in tests if node_id not in found]
    return [*found.values(), *waiting]


def _outcome(known: Mapping[str, Any], result: Mapping[str, Any]) -> NodeOutcome:
    node = known[result["unique_id"]]
    rows = int(result["failures"] or 0)
    keeps = rows and node["config"].get("store_failures")
    return NodeOutcome(
        name=_name(result["unique_id"], node),
        status=_STATUS.get(result["status"], "not_run"),
        message=result["message"] or "",
        rows=rows,
        table=f"{node['schema']}.{node['alias']}" if keeps else "",
        is_test=_is_test(result["unique_id"]),
    )


def _name(node_id: str, node: Mapping[str, Any]) -> str:
    return f"{node['model']}.{node['name']}" if node_id.startswith("unit_test.") else str(node["name"])


def _is_test(node_id: str) -> bool:
    return node_id.startswith(("test.", "unit_test."))
