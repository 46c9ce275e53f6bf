"""Airflow for the tests of its room: the DAG code on the path, dbt manifests, and a scripted Airbyte."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MINIATURE = Path(__file__).parent / "miniature_dbt"

sys.path += [str(ROOT / "airflow" / "include"), str(Path(__file__).parent)]

from dbt_cli import dbt  # noqa: E402
from scripted_airbyte import ScriptedAirbyte  # noqa: E402


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
    copies = {}
    for name, original in {"marketplace": ROOT / "dbt", "miniature": MINIATURE}.items():
        copies[name] = tmp_path_factory.mktemp(name) / "dbt"
        shutil.copytree(original, copies[name], ignore=shutil.ignore_patterns("target", "logs"))
        folders = ("--project-dir", copies[name], "--profiles-dir", copies[name])
        exit_status, output = dbt("parse", *folders, environment={}, folder=copies[name])
        assert exit_status == 0, output
    return copies
