"""The marketplace's daily pipeline: replicate the source, verify what arrived, build and test the models, publish."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, CronTriggerTimetable, Param, TriggerRule, task, task_group
from airflow.sdk.exceptions import AirflowSkipException, DownstreamTasksSkipped
from marketplace_pipeline.dbt_node import UNSELECTED
from marketplace_pipeline.failure import remember_failure
from marketplace_pipeline.publish import mart_assets
from marketplace_pipeline.selection import PARAMS
from marketplace_pipeline.sync import RETRY_WHILE_UNAVAILABLE, TriggerSync, WaitForSync
from marketplace_pipeline.transform import dbt_tasks, marts

AIRBYTE_CONNECTION = "marketplace_postgres_to_bigquery"
RAW_DATASET = "raw"
#: When it runs by itself: a cron expression, in UTC, or "off".
SCHEDULE = os.environ.get("PIPELINE_SCHEDULE") or "0 0 * * *"
PATIENT: dict[str, Any] = {
    "retries": 3,
    "retry_delay": timedelta(seconds=10),
    "retry_policy": RETRY_WHILE_UNAVAILABLE,
    "pool": "airbyte",
}

DOC = """
### Marketplace ELT

```
check_params ─┬▶ trigger_sync ─▶ wait_for_sync ─▶ check_raw ─▶ dbt ─────────────────────▶ marts_gate ─▶ publish
check_connection    Airbyte          Airbyte       the raw    seeds, staging, intermediate,              docs,
   octavia                                          gate      marts, snapshots: a task a node            assets
```

- **check_params** refuses parameters that make no sense, and skips the tasks of models that the run does not select.
- **check_connection** compares the Airbyte connection with the files in `airbyte/`. A connection that somebody changed
  by hand is not synced.
- **trigger_sync** starts the connection `marketplace_postgres_to_bigquery`, or takes its running job. **wait_for_sync**
  ends with that job; a failed job fails it at once, with the connector's message; killing it cancels the job.
- **check_raw** compares the raw tables with what the job reports, and finds values that were lost on the way.
- **dbt** has one task per seed, snapshot and model, which builds it and runs its tests. A failing test (severity error)
  stops everything built on that model, or, for a test of several models, on all of them.
- **marts_gate** is passed when every model and every test is green; only then is anything published: dbt's
  documentation, and an asset for each mart, on which other DAGs may be scheduled.
- **report_run** always runs: it records the run, writes its report and raises alerts, each with its runbook.

#### Parameters (*Trigger*)
`sync` off builds on the raw tables as they are. `select` builds some models only, in dbt's syntax (`fct_orders+`).
`full_refresh` builds incremental models from nothing. `rebuild_from` and `rebuild_to` rewrite the rows of those days.

#### After a failure
Remove the cause, then clear the failed tasks with *downstream* ticked, or just start another run: both end with the
marts that a rebuild would make. A model's task builds it again before it tests it. If a test complains of a model that
another task built, clear that task. If the sync failed, clear `trigger_sync`: its successor alone would look at the
failed job again. What to look at, failure by failure, is in `runbooks/README.md`.
"""


@task
def check_params() -> None:
    """Check the run's parameters, and mark the tasks of models that it does not select as skipped."""
    from airflow.sdk import get_current_context
    from marketplace_pipeline.selection import check_window, unselected

    context = get_current_context()
    check_window(context["params"])
    skipped = unselected(context["params"]["select"], context["dag"].tasks)
    # This skips them once. Whoever clears another task with what is downstream of it clears them, too: then each asks.
    context["ti"].xcom_push(UNSELECTED, skipped)
    if skipped:
        raise DownstreamTasksSkipped(tasks=skipped)


@task(**PATIENT)
def check_connection() -> str:
    """Compare the Airbyte connection with its declaration; without a sync there is nothing to check."""
    from airflow.sdk import get_current_context
    from marketplace_pipeline.declared import check_declared

    if not get_current_context()["params"]["sync"]:
        raise AirflowSkipException("This run does without a sync.")
    return check_declared(AIRBYTE_CONNECTION)


@task(**PATIENT)
def check_raw(job_id: int) -> dict[str, int]:
    """Verify the raw tables against the job; returns its rows by stream."""
    from marketplace_pipeline import warehouse
    from marketplace_pipeline.airbyte import AirbyteJobs
    from marketplace_pipeline.raw_gate import check_raw as verify

    airbyte = AirbyteJobs()
    job = airbyte.job(job_id)
    connection = airbyte.connection(job.connection_id)
    return verify(warehouse.client(), RAW_DATASET, connection, job, airbyte.job_details(job_id))


@task_group
def publish(names: list[str]) -> None:
    """What others see of a run that is green: documentation, and news of each mart."""

    @task(execution_timeout=timedelta(minutes=10), pool="dbt")
    def dbt_docs() -> str:
        """Write dbt's documentation with the warehouse's catalog; returns its folder."""
        from marketplace_pipeline.publish import write_docs

        return write_docs()

    @task(outlets=mart_assets(names))
    def announce_marts() -> None:
        """Tell DAGs that are scheduled on a mart's asset that it is new and tested."""

    dbt_docs()
    announce_marts()


@task(trigger_rule=TriggerRule.ALL_DONE, on_failure_callback=None)
def report_run() -> dict[str, Any]:
    """Record the run in ops.pipeline_runs, write its report and raise, or end, alerts; returns the record."""
    from airflow.sdk import get_current_context
    from marketplace_pipeline.run_end import close_run

    return close_run(get_current_context())


with DAG(
    dag_id="marketplace_elt_pipeline",
    description="Postgres → Airbyte → BigQuery → dbt, every day, with a gate after each step",
    doc_md=DOC,
    # Without a start date the first scheduled run is the next to come: unpausing the DAG starts nothing by itself.
    # By default Airflow would make up for one that is up to a tenth of a period past.
    schedule=None
    if SCHEDULE == "off"
    else CronTriggerTimetable(SCHEDULE, timezone="UTC", run_immediately=timedelta(0)),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=6),
    default_args={
        "owner": "data-platform",
        "retries": 0,
        "execution_timeout": timedelta(minutes=10),
        "on_failure_callback": remember_failure,
    },
    params={
        "sync": Param(
            True, type="boolean", title="Sync first", description="Off: build on the raw tables as they are."
        ),
        **PARAMS,
    },
    tags=["marketplace", "elt"],
) as dag:
    trigger_sync = TriggerSync(task_id="trigger_sync", connection_name=AIRBYTE_CONNECTION, **PATIENT)
    wait_for_sync = WaitForSync(
        task_id="wait_for_sync",
        job_id=trigger_sync.output,
        poke_interval=2,
        execution_timeout=timedelta(hours=3),
        **PATIENT,
    )
    raw_gate = check_raw(trigger_sync.output)
    dbt = dbt_tasks("dbt")
    marts_gate = EmptyOperator(task_id="marts_gate", trigger_rule=TriggerRule.NONE_FAILED)

    [check_params(), check_connection()] >> trigger_sync >> wait_for_sync >> raw_gate >> dbt >> marts_gate
    # A run's state is that of its last tasks: a red run stays red although its report succeeds.
    end = EmptyOperator(task_id="end")
    published = publish(marts(dbt))
    marts_gate >> published >> end
    # A failure holds back, at once, what is downstream, while other branches still run: the report waits for each task.
    [task for task in dag.tasks if task is not end] >> report_run()
