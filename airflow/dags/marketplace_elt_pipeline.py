"""The marketplace's daily pipeline: replicate the source, verify what arrived, build and test the models."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, CronTriggerTimetable, task
from marketplace_pipeline.sync import RETRY_WHILE_UNAVAILABLE, TriggerSync, WaitForSync
from marketplace_pipeline.transform import dbt_tasks

AIRBYTE_CONNECTION = "marketplace_postgres_to_bigquery"
RAW_DATASET = "raw"

DOC = """
### Marketplace ELT

```
trigger_sync ─▶ wait_for_sync ─▶ check_raw ─▶ dbt (staging ─▶ intermediate ─▶ marts, tests in between) ─▶ end
   Airbyte          Airbyte       BigQuery     BigQuery
```

- **trigger_sync** starts the Airbyte connection `marketplace_postgres_to_bigquery`, or takes its running job.
- **wait_for_sync** ends with that job; a failed job fails it at once, with the connector's message.
- **check_raw** compares the raw tables with what the job reports, and finds values that were lost on the way.
- **dbt** has one task per seed and model, followed by its tests. A failing test (severity error) stops everything built
  on that model; a test of several models is a task of its own and stops everything built on all of them.

**After a failure**: remove the cause, then clear the failed task with *downstream* ticked. If the sync failed, clear
`trigger_sync`: its successor alone would look at the failed job again.
"""


@task(retries=2, retry_delay=timedelta(seconds=15), retry_policy=RETRY_WHILE_UNAVAILABLE)
def check_raw(job_id: int) -> dict[str, int]:
    """Verify the raw tables against the job; returns its rows by stream."""
    from marketplace_pipeline import warehouse
    from marketplace_pipeline.airbyte import AirbyteJobs
    from marketplace_pipeline.raw_gate import check_raw as verify

    airbyte = AirbyteJobs()
    job = airbyte.job(job_id)
    connection = airbyte.connection(job.connection_id)
    return verify(warehouse.client(), RAW_DATASET, connection, job, airbyte.job_details(job_id))


with DAG(
    dag_id="marketplace_elt_pipeline",
    description="Postgres → Airbyte → BigQuery → dbt, every day, with a gate after each step",
    doc_md=DOC,
    # Without a start date the first scheduled run is at the next midnight: unpausing the DAG starts nothing by itself.
    schedule=CronTriggerTimetable("0 0 * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=6),
    default_args={"owner": "data-platform", "retries": 0, "execution_timeout": timedelta(minutes=10)},
    tags=["marketplace", "elt"],
):
    trigger_sync = TriggerSync(
        task_id="trigger_sync",
        connection_name=AIRBYTE_CONNECTION,
        retries=3,
        retry_delay=timedelta(seconds=10),
        retry_policy=RETRY_WHILE_UNAVAILABLE,
    )
    wait_for_sync = WaitForSync(
        task_id="wait_for_sync",
        job_id=trigger_sync.output,
        poke_interval=2,
        execution_timeout=timedelta(hours=3),
        retries=3,
        retry_delay=timedelta(seconds=10),
        retry_policy=RETRY_WHILE_UNAVAILABLE,
    )
    raw_checked = check_raw(trigger_sync.output)
    end = EmptyOperator(task_id="end")

    trigger_sync >> wait_for_sync >> raw_checked >> dbt_tasks("dbt") >> end
