"""What the scheduler has loaded before its tasks fork off."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cosmos import cache
from marketplace_pipeline.preload import warm_up_dbt

ROOT = Path(__file__).resolve().parents[2]


def test_warm_up_leaves_the_partial_parse_where_cosmos_looks(
    dbt_projects: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBT_PROJECT_DIR", str(dbt_projects["miniature"]))
    warm_up_dbt()
    folder = cache._obtain_cache_dir_path("marketplace_elt_pipeline__dbt")
    assert (folder / "target" / "partial_parse.msgpack").exists()


def test_project_that_cannot_be_parsed_is_reported_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "dbt_project.yml").write_text("name: [broken")
    monkeypatch.setenv("DBT_PROJECT_DIR", str(tmp_path))
    warm_up_dbt()
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
