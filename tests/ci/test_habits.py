"""Workflows, hooks and the dev container: valid, careful, and naming only what there is."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml
from real_services import BIN, ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z][\w-]*):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))


def steps(workflow: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """(job, step) of each step."""
    jobs = yaml.safe_load(workflow.read_text())["jobs"].values()
    return [(job, step) for job in jobs for step in job["steps"]]


def test_workflows_pass_their_linters_which_find_what_is_planted(tmp_path: Path) -> None:
    schema = [BIN / "check-jsonschema", "--builtin-schema=vendor.github-workflows"]
    auditor = [BIN / "zizmor", "--offline", "--no-progress", "--quiet"]
    for linter in (schema, auditor):
        done = subprocess.run([*linter, *WORKFLOWS], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    wrong = tmp_path / "wrong.yml"
    wrong.write_text((ROOT / ".github/workflows/impact.yml").read_text().replace("runs-on:", "run-on:"))
    assert subprocess.run([*schema, wrong], capture_output=True).returncode != 0
    wrong.write_text((ROOT / ".github/workflows/impact.yml").read_text().replace('"$BASE"', "${{ github.head_ref }}"))
    assert subprocess.run([*auditor, wrong], capture_output=True).returncode != 0, "a script injection"


def test_workflows_call_only_targets_and_programs_that_exist() -> None:
    called = [line for path in WORKFLOWS for _, step in steps(path) for line in step.get("run", "").splitlines()]
    targets = {target for line in called for target in re.findall(r"\bmake ([a-z][\w-]*)", line)}
    assert targets and targets <= TARGETS
    assert {"check", "test", "impact"} <= targets
    programs = {program for line in called for program in re.findall(r"\.venv/bin/([\w-]+)", line)}
    assert programs and all((BIN / program).exists() for program in programs)


def test_every_deployment_waits_for_an_approval_and_nothing_else_sees_secrets() -> None:
    for path in WORKFLOWS:
        for job, step in steps(path):
            if path.stem == "deploy":
                assert job["environment"] == "production"
            assert path.stem == "deploy" or "secrets." not in json.dumps(step)


def test_what_the_deployment_needs_is_what_the_document_sets() -> None:
    used = re.findall(r"\b(?:vars|secrets)\.(\w+)", (ROOT / ".github/workflows/deploy.yml").read_text())
    loops = re.findall(r"for name in ([A-Z_\s\\]+); do", (ROOT / "docs/production.md").read_text())
    assert set(used) == {name for loop in loops for name in loop.replace("\\", " ").split()}


def test_hooks_are_valid_and_run_the_locked_tools() -> None:
    config = ROOT / ".pre-commit-config.yaml"
    assert subprocess.run([BIN / "pre-commit", "validate-config", config], capture_output=True).returncode == 0
    hooks = [hook for repo in yaml.safe_load(config.read_text())["repos"] for hook in repo["hooks"]]
    assert {"ruff", "ruff-format", "mypy", "sqlfluff", "yamllint", "secrets"} <= {hook["id"] for hook in hooks}
    for hook in hooks:
        program, *words = hook["entry"].split()
        assert hook["language"] == "system"
        assert words[0] in TARGETS if program == "make" else (BIN / Path(program).name).exists(), hook["entry"]


def test_a_secret_is_found_before_it_is_committed(tmp_path: Path) -> None:
    scan = [BIN / "detect-secrets-hook", "--baseline", ROOT / ".secrets.baseline"]
    settings = [ROOT / name for name in ("docker-compose.yml", "Dockerfile", ".env.example", "README.md")]
    clean = subprocess.run(
        [*scan, *(path.relative_to(ROOT) for path in settings)], cwd=ROOT, capture_output=True, text=True
    )
    assert clean.returncode == 0, clean.stdout
    leaked = tmp_path / "settings.py"
    leaked.write_text('KEY = "AKIA' + 'QWERTYUIOPASDFGH"\n')
    found = subprocess.run([*scan, leaked], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 1 and "AWS Access Key" in found.stdout


def test_the_dev_container_forwards_the_services_ports() -> None:
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].values()
    assert set(container["forwardPorts"]) == {
        int(port.split(":")[-1]) for service in services for port in service.get("ports", [])
    }
    assert set(container["postCreateCommand"].split()[1:]) - {".venv/.built"} <= TARGETS
