"""Where the dbt project is, and dbt in this process: parsed once, for all forks."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunnerResult
    from dbt.contracts.graph.manifest import Manifest

PROFILE = "marketplace"

_REPOSITORY = Path(__file__).resolve().parents[3]
_NOT_READ = frozenset({"target", "logs", "dbt_packages"})

log = logging.getLogger(__name__)


def dbt_project_dir() -> Path:
    """``DBT_PROJECT_DIR``, by default ``dbt/`` beside ``airflow/``."""
    return Path(os.environ.get("DBT_PROJECT_DIR") or _REPOSITORY / "dbt")


def dbt_manifest() -> Path:
    """``DBT_MANIFEST_PATH``, by default where ``dbt parse`` writes it."""
    return Path(os.environ.get("DBT_MANIFEST_PATH") or dbt_project_dir() / "target" / "manifest.json")


def dbt_target() -> str:
    """``DBT_TARGET``, by default the embedded warehouse."""
    return os.environ.get("DBT_TARGET") or "local"


@dataclass(frozen=True)
class _Parsed:
    """A manifest and what it was made from: it serves as long as neither files nor variables have changed."""

    manifest: Manifest
    files: tuple[tuple[str, int], ...]

    def is_current(self) -> bool:
        variables = all(os.environ.get(name) == value for name, value in _given(self.manifest.env_vars))
        return variables and self.files == _project_files()


_parsed: _Parsed | None = None


def warm_up_dbt() -> None:
    """Import dbt and parse the project once in this process.

    Much of a small task's time is spent on what dbt builds at first use and then keeps: validators of its configuration
    classes, readers of its manifest, the manifest itself. Made here, all of it is there when a task forks off.

    A project that cannot be parsed is reported by the log here, and by every task when it runs.
    """
    global _parsed
    for module in ("dbt.adapters.bigquery", "dbt.task.build", "dbt.task.seed", "dbt.task.snapshot", "dbt.task.test"):
        importlib.import_module(module)
    importlib.import_module("google.cloud.bigquery")
    files = _project_files()
    result = invoke_dbt("--quiet", "parse", "--target-path", str(_task_target()))
    if not result.success:
        log.error("dbt could not parse %s, its tasks will fail: %s", dbt_project_dir(), result.exception)
        return
    _parsed = _Parsed(result.result, files)  # type: ignore[arg-type]
    gc.collect()


def invoke_dbt(*command: str, write_json: bool = False) -> dbtRunnerResult:
    """Run dbt in this process, on the project and target that the environment names.

    Its own lines go to standard output, which is a task's log. Artifacts (manifest, run results) are written with
    ``write_json`` only: of one node they serve nobody. The manifest of :func:`warm_up_dbt` is used unless the project
    has changed since; then dbt parses what changed.
    """
    answer_behavior_flags_quickly()
    from dbt.cli.main import dbtRunner

    project = str(dbt_project_dir())
    current = _parsed is not None and _parsed.is_current()
    place = ["--project-dir", project, "--profiles-dir", project, "--profile", PROFILE, "--target", dbt_target()]
    if "--target-path" not in command:
        place += ["--target-path", str(_task_target() if current else _task_target() / f"changed-{os.getpid()}")]
    if not current:
        place += ["--partial-parse-file-path", str(dbt_manifest().parent / "partial_parse.msgpack")]
    # Airflow keeps what dbt prints; its log viewer shows colours as escape codes.
    common = ["--no-use-colors", "--log-level-file", "none", "--write-json" if write_json else "--no-write-json"]
    return dbtRunner(manifest=_parsed.manifest if current and _parsed else None).invoke([*common, *command, *place])


def _task_target() -> Path:
    """Where tasks leave the SQL they compiled: beside the manifest, so that it can be read after a failure."""
    return dbt_manifest().parent / "tasks"


def _project_files() -> tuple[tuple[str, int], ...]:
    """Every file dbt may read, with its time of change in nanoseconds."""

    def below(folder: str) -> Iterator[tuple[str, int]]:
        for entry in os.scandir(folder):
            if entry.is_dir():
                if entry.name not in _NOT_READ and not entry.name.startswith("."):
                    yield from below(entry.path)
            else:
                yield entry.path, entry.stat().st_mtime_ns

    return tuple(sorted(below(str(dbt_project_dir()))))


def _given(variables: dict[str, str]) -> Iterator[tuple[str, str | None]]:
    """Variables that parsing asked for, with their values; None for one that was not set."""
    from dbt.constants import DEFAULT_ENV_PLACEHOLDER

    for name, value in variables.items():
        yield name, None if value == DEFAULT_ENV_PLACEHOLDER else value


def answer_behavior_flags_quickly() -> None:
    """dbt finds out which module defines each behaviour flag by ``inspect.stack()``, for every adapter it makes.

    Below Airflow the stack is deep and each frame is looked up among thousands of modules. The frames' own globals give
    the same answer.
    """
    from dbt_common import behavior_flags

    behavior_flags.BehaviorFlagRendered._default_source = staticmethod(_calling_module)


def _calling_module() -> str:
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__") == "dbt_common.behavior_flags":
        frame = frame.f_back
    return "Unknown" if frame is None else str(frame.f_globals.get("__name__"))
