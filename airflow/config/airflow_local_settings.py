"""Loads dbt once, in the processes whose forks need it, instead of once per task.

Airflow imports this module when a process starts. Tasks of the LocalExecutor are forks of the scheduler and DAG files
are parsed in forks of the DAG processor, so what these two have loaded is there when a fork begins. Other commands
(api-server, triggerer, db) never run dbt and should not pay for it.
"""

from __future__ import annotations

import gc
import sys

__all__: list[str] = []

# What is imported stays: looked through for cycles at every 700th object more, as Python does by itself, it makes the
# start of each process a tenth dearer.
gc.set_threshold(50_000)

_command = sys.argv[1] if len(sys.argv) > 1 else ""

if _command in ("scheduler", "dag-processor"):
    from marketplace_pipeline import preload, project

    if _command == "scheduler":
        project.warm_up_dbt()
    preload.draw_dags()
