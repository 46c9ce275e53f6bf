"""Airflow for the tests of its room: its own home and database, the DAG code on the path, and a scripted Airbyte."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
MINIATURE = Path(__file__).parent / "miniature_dbt"

# Airflow reads its home when it is first imported, which the test modules do. Only the home is set, and only until
# then: settings go into its airflow.cfg, so that other tests of this process find the environment as it was.
_HOME = Path(tempfile.mkdtemp(prefix="marketplace-airflow-"))
(_HOME / "airflow.cfg").write_text(
    f"""
[core]
load_examples = False
dags_folder = {Path(__file__).parent / "miniature_dag"}
[database]
sql_alchemy_conn = sqlite:///{_HOME}/airflow.db
[logging]
base_log_folder = {_HOME}/logs
[state_store]
clear_on_success = True
[cosmos]
cache_dir = {_HOME}/cosmos
enable_telemetry = False
enable_orjson_parser = True
"""
)
sys.path += [str(ROOT / "airflow" / "include"), str(Path(__file__).parent)]
_before = os.environ.get("AIRFLOW_HOME")
os.environ["AIRFLOW_HOME"] = str(_HOME)
import airflow.configuration  # noqa: E402

if _before is None:
    del os.environ["AIRFLOW_HOME"]
else:
    os.environ["AIRFLOW_HOME"] = _before

from scripted_airbyte import ScriptedAirbyte  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def airflow_home() -> Iterator[Path]:
    assert Path(airflow.configuration.AIRFLOW_HOME) == _HOME, "airflow was imported before its home was set"
    yield _HOME
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture
def airbyte(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedAirbyte]:
    """A scripted Airbyte that the Airflow connection ``airbyte_default`` leads to."""
    with ScriptedAirbyte() as server:
        credentials = {"login": server.client_id, "password": "not-a-secret"}
        connection = {"conn_type": "airbyte", "host": server.url, **credentials}
        monkeypatch.setenv("AIRFLOW_CONN_AIRBYTE_DEFAULT", json.dumps(connection))
        yield server


@pytest.fixture(scope="session")
def dbt_projects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Copies of the marketplace's dbt project and of the tests' miniature, with fresh manifests."""
    copies, parsers = {}, []
    for name, original in {"marketplace": ROOT / "dbt", "miniature": MINIATURE}.items():
        copies[name] = tmp_path_factory.mktemp(name) / "dbt"
        shutil.copytree(original, copies[name], ignore=shutil.ignore_patterns("target", "logs"))
        command = [BIN / "dbt", "--quiet", "parse", "--project-dir", copies[name], "--profiles-dir", copies[name]]
        parsers.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    for parser in parsers:
        output, _ = parser.communicate()
        assert parser.returncode == 0, output
    return copies
