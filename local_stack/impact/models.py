"""Which nodes of the dbt project a change touches, and what is built on them, as dbt itself says."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
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


def compare(environment: Mapping[str, str], base: Path, change: Path, scratch: Path) -> ModelChanges:
    """Compare the dbt projects in the folders ``base`` and ``change``.

    Args:
        scratch: a folder for both manifests, ``base/manifest.json`` and ``change/manifest.json``.

    Raises:
        StackError: if a project cannot be parsed, with what dbt says.
    """
    run(environment, base, "parse", f"--target-path={scratch / 'base'}")
    modified = set(_modified(environment, change, scratch))
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


def run(environment: Mapping[str, str], project: Path, *arguments: str) -> str:
    """Run dbt for ``project`` in this process; its output. Raises StackError, with the output, if it fails."""
    # Here, where it is needed: it takes seconds to import, which is why the commands of a comparison share a process.
    from dbt.cli.main import dbtRunner

    folders = ("--project-dir", str(project), "--profiles-dir", str(project))
    output = io.StringIO()
    with _environment(environment), contextlib.redirect_stdout(output):
        done = dbtRunner().invoke(["--quiet", "--no-use-colors", "--log-level-file", "none", *arguments, *folders])
    if not done.success:
        # What stopped it altogether is not printed by dbt, but by its command.
        told = "\n".join(filter(None, [output.getvalue()[-4000:], str(done.exception or "")]))
        raise StackError(f"dbt {' '.join(arguments)} in {project} failed:\n{told}")
    return output.getvalue()


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """What dbt reads of ``os.environ`` is ``variables`` and nothing else."""
    before = dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update(variables)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _modified(environment: Mapping[str, str], project: Path, scratch: Path) -> list[str]:
    kinds = ("model", "seed", "snapshot", "exposure", "test", "unit_test")
    types = [word for kind in kinds for word in ("--resource-type", kind)]
    state = ["--state", str(scratch / "base"), "--target-path", str(scratch / "change")]
    shape = ["--output", "json", "--output-keys", "unique_id"]
    # Without its own flag, dbt would also list the unchanged tests of changed models.
    select = ["--select", "state:modified", "--indirect-selection", "empty"]
    output = run(environment, project, "ls", *select, *types, *state, *shape)
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
