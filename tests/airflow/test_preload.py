"""What the scheduler has loaded before its tasks fork off."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
from marketplace_pipeline import project

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def miniature(dbt_projects: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the miniature, parsed by nobody's process yet."""
    copy = shutil.copytree(dbt_projects["miniature"], tmp_path / "dbt")
    monkeypatch.setenv("DBT_PROJECT_DIR", str(copy))
    monkeypatch.setattr(project, "_parsed", None)
    return copy


def test_a_warm_process_does_not_read_the_project_again_until_it_changes(
    miniature: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.warm_up_dbt()
    parsing = Mock(side_effect=AssertionError("the project is parsed again"))
    with monkeypatch.context() as patch:
        patch.setattr("dbt.cli.requires.parse_manifest", parsing)
        assert "miniature.child" in names()
        patch.setenv("CHILD_ID", "7")
        names()
        assert parsing.called, "a variable that the models read has changed"
    (miniature / "models" / "added.sql").write_text("select 1 as id")
    assert "miniature.added" in names()


def names() -> list[str]:
    listed = project.invoke_dbt("--quiet", "ls", "--resource-type", "model").result
    return list(listed or [])  # type: ignore[call-overload]


def test_project_that_cannot_be_parsed_is_reported_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "dbt_project.yml").write_text("name: [broken")
    monkeypatch.setenv("DBT_PROJECT_DIR", str(tmp_path))
    project.warm_up_dbt()
    assert f"could not parse {tmp_path}" in caplog.text


@pytest.mark.parametrize(("command", "loaded"), [("scheduler", True), ("triggerer", False)])
def test_only_the_scheduler_loads_dbt(
    command: str, loaded: bool, dbt_projects: dict[str, Path], airflow_home: Path
) -> None:
    program = f"""
import sys
sys.argv = ["airflow", "{command}"]
import airflow_local_settings
print("dbt.task.run" in sys.modules, "cosmos" in sys.modules)
"""
    folders = [ROOT / "airflow" / "config", ROOT / "airflow" / "include"]
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(airflow_home),
        "PYTHONPATH": os.pathsep.join(map(str, folders)),
        "DBT_PROJECT_DIR": str(dbt_projects["miniature"]),
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=airflow_home, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == f"{loaded} {loaded}", done.stderr
