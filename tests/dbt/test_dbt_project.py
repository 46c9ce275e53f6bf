"""What holds for the project as parsed, without a warehouse."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from dbt.adapters.bigquery import BigQueryCredentials
from dbt_cli import dbt
from real_services import BIN

from source_db.faults import FAULTS

DBT_PROJECT = Path(__file__).resolve().parents[2] / "dbt"


@pytest.fixture(scope="module")
def manifest_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the parsed project in ``target``."""
    folder = tmp_path_factory.mktemp("dbt-parse")
    exit_status, output = dbt(
        *("parse", "--show-all-deprecations"),
        *("--project-dir", DBT_PROJECT, "--profiles-dir", DBT_PROJECT, "--target-path", folder / "target"),
        environment={"BIGQUERY_API_ENDPOINT": "http://127.0.0.1:1"},
        folder=folder,
    )
    assert exit_status == 0, output
    assert "warn: " not in output, output
    return folder


@pytest.fixture(scope="module")
def manifest(manifest_folder: Path) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads((manifest_folder / "target" / "manifest.json").read_text())
    return parsed


def of_type(manifest: dict[str, Any], resource_type: str) -> list[dict[str, Any]]:
    nodes = [node for node in manifest["nodes"].values() if node["resource_type"] == resource_type]
    assert nodes, f"no {resource_type} in the manifest"
    return nodes


def test_each_test_has_one_parent_so_that_cosmos_gates_on_it(manifest: dict[str, Any]) -> None:
    parents = {test["name"]: test["depends_on"]["nodes"] for test in of_type(manifest, "test")}
    assert {name: nodes for name, nodes in parents.items() if len(nodes) != 1} == {}


def test_each_model_has_a_tested_key(manifest: dict[str, Any]) -> None:
    tested: dict[str, dict[str, set[str]]] = {}
    for test in of_type(manifest, "test"):
        if test["config"]["severity"].lower() == "error" and test.get("column_name"):
            kind = test["test_metadata"]["name"]
            tested.setdefault(test["attached_node"], {}).setdefault(kind, set()).add(test["column_name"])
    for model in of_type(manifest, "model"):
        # The contract of a mart says which column is its key, and the warehouse that it is never NULL.
        kind = "unique" if model["schema"] == "marts" else "primary_key"
        keys = tested.get(model["unique_id"], {}).get(kind, set())
        assert keys, model["name"]
        if kind == "unique":
            constraints = {type_["type"] for key in keys for type_ in model["columns"][key]["constraints"]}
            assert constraints == {"not_null", "primary_key"}, model["name"]


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


def test_marts_have_their_key_as_constraint_and_the_others_none(manifest: dict[str, Any]) -> None:
    for model in of_type(manifest, "model"):
        keys = [
            column["name"]
            for column in model["columns"].values()
            if {constraint["type"] for constraint in column["constraints"]} == {"not_null", "primary_key"}
        ]
        assert len(keys) == (model["schema"] == "marts"), model["name"]


def test_personal_columns_of_marts_are_tagged_and_masked(manifest: dict[str, Any]) -> None:
    personal = {
        (model["schema"], column["name"]): column["config"]["meta"].get("masked")
        for model in of_type(manifest, "model")
        for column in model["columns"].values()
        if "pii" in column["tags"]
    }
    names = {"email", "username", "first_name", "last_name"}
    assert {name for schema, name in personal if schema == "staging"} >= names
    assert {name: masked for (schema, name), masked in personal.items() if schema == "marts"} == dict.fromkeys(
        names, True
    )
    untagged = [
        f"{model['name']}.{column['name']}"
        for model in of_type(manifest, "model")
        for column in model["columns"].values()
        if column["name"] in names and "pii" not in column["tags"]
    ]
    assert untagged == []


def test_every_node_has_an_owner(manifest: dict[str, Any]) -> None:
    owners = {group["name"]: group["owner"]["email"] for group in manifest["groups"].values()}
    nodes = [node for node in manifest["nodes"].values() if node["resource_type"] in ("model", "seed", "snapshot")]
    assert {node["config"]["group"] for node in nodes} == owners.keys()
    outputs = {name.split(".")[-1]: exposure for name, exposure in manifest["exposures"].items()}
    assert outputs.keys() == {"daily_gmv", "seller_performance", "payment_reconciliation", "customer_cohorts"}
    assert {exposure["owner"]["email"] for exposure in outputs.values()} <= set(owners.values())


def test_names_layers_and_governance_pass_the_linter(manifest_folder: Path) -> None:
    config = (DBT_PROJECT / "dbt-bouncer.yml").read_text()
    folder = "dbt_artifacts_dir: target\n"
    assert folder in config
    moved = manifest_folder / "dbt-bouncer.yml"
    moved.write_text(config.replace(folder, f"dbt_artifacts_dir: {manifest_folder / 'target'}\n"))
    done = subprocess.run([BIN / "dbt-bouncer", "run", "--config-file", moved], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS=" in done.stdout + done.stderr


def test_nothing_in_the_models_knows_the_target(manifest: dict[str, Any]) -> None:
    ours = [*manifest["nodes"].values(), *manifest["macros"].values()]
    code = {
        node["unique_id"]: node.get("raw_code") or node.get("macro_sql") or ""
        for node in ours
        if node["package_name"] == "marketplace"
    }
    assert len(code) > 50
    assert [name for name, text in code.items() if "target.name" in text or "target.type" in text] == []


def test_the_production_target_is_bounded() -> None:
    profile = yaml.safe_load((DBT_PROJECT / "profiles.yml").read_text())["marketplace"]["outputs"]["prod"]
    bounds = {
        "maximum_bytes_billed", "priority", "job_retries", "job_creation_timeout_seconds",
        "job_execution_timeout_seconds", "job_retry_deadline_seconds",
    }  # fmt: skip
    assert bounds <= profile.keys()
    known = {field.name for field in fields(BigQueryCredentials)} | set(BigQueryCredentials._ALIASES)
    assert profile.keys() - known == {"type", "threads"}


def test_the_guide_names_every_planted_fault_and_only_tests_that_exist(manifest: dict[str, Any]) -> None:
    guide = (DBT_PROJECT.parent / "docs" / "data-quality.md").read_text()
    named = set(re.findall(r"`([a-z_0-9]+)`", guide))
    assert {fault.name for fault in FAULTS} - named == set()
    known = {node["name"] for kind in ("nodes", "unit_tests") for node in manifest[kind].values()}
    python = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    known |= set(re.findall(r"def (test_\w+)", python))
    guards = [line.rsplit("|", 2)[1] for line in guide.splitlines() if line.startswith("| `")]
    named_as_tests = {name for name in named if name.startswith(("gate_", "test_"))} - {"test_failures"}
    assert named_as_tests | set(re.findall(r"`([a-z_0-9]+)`", "".join(guards))) <= known
