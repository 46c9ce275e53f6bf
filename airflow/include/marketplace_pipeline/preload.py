"""What a process should have in memory before it forks the tasks that use it."""

from __future__ import annotations

from airflow.sdk import DAG

from marketplace_pipeline import sync  # noqa: F401 - the DAG files import it
from marketplace_pipeline.project import dbt_manifest, warm_up_dbt
from marketplace_pipeline.transform import dbt_tasks


def warm_up_tasks() -> None:
    """Load what every task of the transformation would load: dbt, its project, and the means to draw the DAG."""
    warm_up_dbt()
    if dbt_manifest().exists():
        # Each task draws its DAG; the second drawing in a process takes a fifth of the first.
        with DAG("warm_up", schedule=None):
            dbt_tasks("dbt")
