"""Rebuilds chosen models, or the rows of chosen days, from the raw tables as they are."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, task
from marketplace_pipeline.selection import PARAMS

DOC = """
### Rebuild or backfill

```
plan_rebuild ─▶ rebuild (a run of marketplace_elt_pipeline without a sync)
```

Trigger it with what is to be rebuilt: `select` takes dbt's syntax (`fct_orders+`, `path:models/marts`), `rebuild_from`
and `rebuild_to` rewrite the rows of those days whether they changed or not, `full_refresh` builds incremental models
from nothing. At least one of them must be given; `full_refresh` alone builds everything anew.

The work is a run of the daily pipeline, which is never run twice at a time: a rebuild waits for the day's run to end,
and the day's run for a rebuild. All gates apply, and green marts are published. The pipeline's run has the id of the
rebuild's; the task `rebuild` links to it. If it fails, clear its failed tasks there, or `rebuild` here to do all again.
"""


@task
def plan_rebuild() -> dict[str, Any]:
    """Check the parameters and return those of the pipeline's run."""
    from airflow.sdk import get_current_context
    from marketplace_pipeline.selection import InvalidParameters, check_window, unselected

    params = dict(get_current_context()["params"])
    check_window(params)
    if not ((params["select"] or "").strip() or params["rebuild_from"] or params["full_refresh"]):
        raise InvalidParameters("Give models (select), days (rebuild_from and rebuild_to), or full_refresh.")
    unselected(params["select"], ())
    return {"sync": False, **params}


with DAG(
    dag_id="marketplace_rebuild",
    description="Rebuild chosen models or days through the daily pipeline, without a sync",
    doc_md=DOC,
    schedule=None,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=12),
    default_args={"owner": "data-platform", "retries": 0, "execution_timeout": timedelta(minutes=10)},
    params=PARAMS,
    tags=["marketplace", "elt"],
):
    TriggerDagRunOperator(
        task_id="rebuild",
        trigger_dag_id="marketplace_elt_pipeline",
        trigger_run_id="{{ run_id }}",
        reset_dag_run=True,  # clearing this task does that run again
        conf=plan_rebuild(),  # type: ignore[arg-type]
        wait_for_completion=True,
        deferrable=True,  # the run it waits for needs the slots
        poke_interval=5,
        fail_when_dag_is_paused=True,  # or it would wait for ever
        allowed_states=["success"],
        failed_states=["failed"],
        execution_timeout=timedelta(hours=12),
    )
