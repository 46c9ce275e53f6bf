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

    ``table`` keeps those rows; empty where the test keeps none.
    """

    name: str
    status: Status
    message: str = ""
    rows: int = 0
    table: str = ""
    is_test: bool = True


def outcomes(manifest: Mapping[str, Any], results: Iterable[Mapping[str, Any]]) -> list[NodeOutcome]:
    """Every node of ``results``, and every data test of ``manifest`` that is not among them, as not run."""
    known = manifest["nodes"]
    found = {result["unique_id"]: _outcome(known, result) for result in results if result["unique_id"] in known}
    tests = [node_id for node_id, node in known.items() if _is_test(node_id)]
    waiting = [NodeOutcome(str(known[node_id]["name"]), "not_run") for node_id in tests if node_id not in found]
    return [*found.values(), *waiting]


def _outcome(known: Mapping[str, Any], result: Mapping[str, Any]) -> NodeOutcome:
    node = known[result["unique_id"]]
    rows = int(result["failures"] or 0)
    keeps = rows and node["config"].get("store_failures")
    return NodeOutcome(
        name=str(node["name"]),
        status=_STATUS.get(result["status"], "not_run"),
        message=result["message"] or "",
        rows=rows,
        table=f"{node['schema']}.{node['alias']}" if keeps else "",
        is_test=_is_test(result["unique_id"]),
    )


def _is_test(node_id: str) -> bool:
    return node_id.startswith("test.")
