"""What holds for the project as parsed, without a warehouse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from dbt_cli import dbt

DBT_PROJECT = Path(__file__).resolve().parents[2] / "dbt"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("dbt-parse")
    exit_status, output = dbt(
        *("--log-path", folder / "logs", "parse", "--show-all-deprecations"),
        *("--project-dir", DBT_PROJECT, "--profiles-dir", DBT_PROJECT, "--target-path", folder / "target"),
        environment={"BIGQUERY_API_ENDPOINT": "http://127.0.0.1:1"},
        folder=folder,
    )
    assert exit_status == 0, output
    assert "warn: " not in output, output
    parsed: dict[str, Any] = json.loads((folder / "target" / "manifest.json").read_text())
    return parsed


def of_type(manifest: dict[str, Any], resource_type: str) -> list[dict[str, Any]]:
    nodes = [node for node in manifest["nodes"].values() if node["resource_type"] == resource_type]
    assert nodes, f"no {resource_type} in the manifest"
    return nodes


def test_each_test_has_one_parent_so_that_cosmos_gates_on_it(manifest: dict[str, Any]) -> None:
    parents = {test["name"]: test["depends_on"]["nodes"] for test in of_type(manifest, "test")}
    assert {name: nodes for name, nodes in parents.items() if len(nodes) != 1} == {}


def test_each_model_has_a_tested_key(manifest: dict[str, Any]) -> None:
    tested: dict[str, set[tuple[str, str]]] = {}
    for test in of_type(manifest, "test"):
        if test["config"]["severity"].lower() == "error" and test.get("column_name"):
            kind = test["test_metadata"]["name"]
            tested.setdefault(test["attached_node"], set()).add((test["column_name"], kind))
    without = [
        model["name"]
        for model in of_type(manifest, "model")
        if not any((column, "not_null") in tested.get(model["unique_id"], set())
                   for column, kind in tested.get(model["unique_id"], set()) if kind == "unique")
    ]  # fmt: skip
    assert without == []


def test_datasets_are_named_as_declared(manifest: dict[str, Any]) -> None:
    datasets = {node["schema"] for node in manifest["nodes"].values()}
    assert datasets == {"staging", "intermediate", "marts", "seeds", "snapshots", "test_failures"}
    assert {source["schema"] for source in manifest["sources"].values()} == {"raw"}


def test_each_mart_has_an_enforced_contract_and_describes_its_columns(manifest: dict[str, Any]) -> None:
    marts = [model for model in of_type(manifest, "model") if model["schema"] == "marts"]
    assert all(model["contract"]["enforced"] for model in marts)
    assert [c for model in marts for c in model["columns"].values() if not c["description"]] == []


def test_each_gate_keeps_its_failing_rows(manifest: dict[str, Any]) -> None:
    gates = [test for test in of_type(manifest, "test") if test["name"].startswith("gate_")]
    assert gates
    assert [gate["name"] for gate in gates if "gate" not in gate["tags"] or not gate["config"]["store_failures"]] == []
    assert all(gate["config"]["severity"].lower() == "error" for gate in gates)
