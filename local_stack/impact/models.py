"""Which nodes of the dbt project a change touches, and what is built on them, as dbt itself says."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_stack.services import StackError

_BUILT = ("model.", "seed.", "snapshot.")
_TESTS = ("test.", "unit_test.")


@dataclass(frozen=True)
class ModelChanges:
    """Names of dbt nodes; of exposures their labels and owners.

    ``marts`` are those models whose tables may come out otherwise, by name their key column.
    """

    changed: tuple[str, ...]
    removed: tuple[str, ...]
    downstream: tuple[str, ...]
    exposures: tuple[str, ...]
    tests_changed: tuple[str, ...]
    tests_removed: tuple[str, ...]
    marts: Mapping[str, str]


def compare(
    dbt: Sequence[str], environment: Mapping[str, str], base: Path, change: Path, scratch: Path
) -> ModelChanges:
    """Compare the dbt projects in the folders ``base`` and ``change``.

    Args:
        dbt: the command that runs dbt.
        scratch: a folder for both manifests, ``base/manifest.json`` and ``change/manifest.json``.

    Raises:
        StackError: if a project cannot be parsed, with what dbt says.
    """
    run(dbt, environment, base, "parse", f"--target-path={scratch / 'base'}")
    modified = set(_modified(dbt, environment, change, scratch))
    changed = {each for each in modified if not each.startswith(_TESTS)}
    tests_changed = {_test_name(each) for each in modified - changed}
    before, after = (_manifest(scratch / name) for name in ("base", "change"))
    downstream = _descendants(changed, after["child_map"]) - changed
    marts = {
        node["name"]: key
        for unique_id in changed | downstream
        if (node := after["nodes"].get(unique_id)) and node["schema"] == "marts" and (key := _key(node))
    }
    # A data test with other arguments has another id, and the same name.
    removed = {*before["nodes"], *before["unit_tests"]} - {*after["nodes"], *after["unit_tests"]}
    return ModelChanges(
        tuple(sorted(_name(each) for each in changed if not each.startswith("exposure."))),
        tuple(sorted(_name(each) for each in removed if each.startswith(_BUILT))),
        tuple(sorted(_name(each) for each in downstream if each.startswith(_BUILT))),
        tuple(sorted(_people(each, after) for each in changed | downstream if each.startswith("exposure."))),
        tuple(sorted(tests_changed)),
        tuple(sorted({_test_name(each) for each in removed if each.startswith(_TESTS)} - tests_changed)),
        dict(sorted(marts.items())),
    )


def run(dbt: Sequence[str], environment: Mapping[str, str], project: Path, *arguments: str) -> str:
    """Run dbt for ``project``; its output. Raises StackError, with the output, if it fails."""
    done = subprocess.run(
        [*dbt, "--quiet", "--log-level-file", "none", *arguments, "--project-dir", project, "--profiles-dir", project],
        env={**environment, "DBT_PROJECT_DIR": str(project), "DBT_PROFILES_DIR": str(project)},
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise StackError(f"dbt {' '.join(arguments)} in {project} failed:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
    return done.stdout


def _modified(dbt: Sequence[str], environment: Mapping[str, str], project: Path, scratch: Path) -> list[str]:
    kinds = ("model", "seed", "snapshot", "exposure", "test", "unit_test")
    types = [word for kind in kinds for word in ("--resource-type", kind)]
    state = ["--state", str(scratch / "base"), "--target-path", str(scratch / "change")]
    shape = ["--output", "json", "--output-keys", "unique_id"]
    # Without its own flag, dbt would also list the unchanged tests of changed models.
    select = ["--select", "state:modified", "--indirect-selection", "empty"]
    output = run(dbt, environment, project, "ls", *select, *types, *state, *shape)
    return [json.loads(line)["unique_id"] for line in output.splitlines() if line.startswith("{")]


def _descendants(nodes: set[str], children: Mapping[str, Sequence[str]]) -> set[str]:
    found: set[str] = set()
    ahead = list(nodes)
    while ahead:
        for child in children.get(ahead.pop(), []):
            if child not in found:
                found.add(child)
                ahead.append(child)
    return found


def _manifest(folder: Path) -> dict[str, dict[str, Any]]:
    manifest: dict[str, dict[str, Any]] = json.loads((folder / "manifest.json").read_text())
    return manifest


def _key(node: Mapping[str, Any]) -> str | None:
    """The column that the model's contract calls its primary key."""
    for column in node["columns"].values():
        if any(constraint["type"] == "primary_key" for constraint in column["constraints"]):
            return str(column["name"])
    return None


def _name(unique_id: str) -> str:
    return unique_id.split(".")[2]


def _test_name(unique_id: str) -> str:
    """A unit test's id has its model's name before its own; a data test's ends in a hash."""
    parts = unique_id.split(".")
    return parts[3] if parts[0] == "unit_test" else parts[2]


def _people(unique_id: str, manifest: Mapping[str, Mapping[str, Any]]) -> str:
    exposure = manifest["exposures"][unique_id]
    return f"{exposure['label'] or exposure['name']} (tell {exposure['owner']['name']})"
