"""dbt's own test fixtures (package ``dbt-tests-adapter``), pointed at the emulator.

``project`` writes a dbt project from the fixtures ``models``, ``seeds``, ``macros``, … of a test class and gives it a
dataset of its own; ``run_dbt`` runs dbt in this process, which spares each command two seconds of imports.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dbt_in_process  # noqa: F401
import pytest
from dbt.adapters.factory import reset_adapters
from dbt.tests.fixtures.project import *  # noqa: F403  pytest finds fixtures by name in this module
from real_services import PROJECT


@pytest.fixture(scope="class")
def dbt_profile_target(bigquery_endpoint: str) -> dict[str, Any]:
    # dbt keeps an adapter per process: one that another test left would talk to that test's warehouse.
    reset_adapters()
    return {
        "type": "bigquery",
        "method": "oauth-secrets",
        "token": "anything",
        "project": PROJECT,
        "location": "US",
        "api_endpoint": bigquery_endpoint,
        "threads": 4,
        "job_retries": 0,
    }


@pytest.fixture(scope="class")
def unique_schema(prefix: str) -> str:
    return prefix


@pytest.fixture(scope="class")
def profile_user() -> str:
    """The grantee of dbt's grants tests; anyone will do."""
    return "user:analyst@example.com"


@pytest.fixture(scope="class")
def logs_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("dbt-logs")
    settings = {"DBT_LOG_PATH": str(folder), "DBT_LOG_LEVEL_FILE": "none"}  # as in dbt_cli.py
    os.environ.update(settings)
    yield str(folder)
    for name in settings:
        del os.environ[name]
