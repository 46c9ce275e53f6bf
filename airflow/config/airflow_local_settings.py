"""Loads dbt once, in the processes whose forks need it, instead of once per task.

Airflow imports this module when a process starts. Tasks of the LocalExecutor are forks of the scheduler and DAG files
are parsed in forks of the DAG processor, so what these two have imported is there when the fork begins. Measured
importing dbt and its BigQuery adapter is most of the time of a small model's task.
"""

from __future__ import annotations

import importlib
import sys

# `airflow <command> …`: other commands (api-server, triggerer, db) never run dbt and should not pay for it.
_MODULES_BY_COMMAND = {
    "scheduler": (
        "airflow.providers.airbyte.hooks.airbyte",
        "cosmos.airflow.task_group",
        "cosmos.operators.local",
        "dbt.adapters.bigquery",
        "dbt.cli.main",
        "dbt.task.run",
        "dbt.task.seed",
        "dbt.task.test",
        "google.cloud.bigquery",
    ),
    "dag-processor": ("airflow.providers.airbyte.hooks.airbyte", "cosmos.airflow.task_group", "cosmos.operators.local"),
}


def _preload(command: str) -> None:
    for module in _MODULES_BY_COMMAND.get(command, ()):
        importlib.import_module(module)


_preload(sys.argv[1] if len(sys.argv) > 1 else "")

__all__: list[str] = []
