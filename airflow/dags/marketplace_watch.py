"""Looks, each hour, whether the raw tables are young enough and the Airbyte connection is as declared."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, CronTriggerTimetable, TriggerRule, task
from marketplace_pipeline.failure import remember_failure
from marketplace_pipeline.sync import RETRY_WHILE_UNAVAILABLE

AIRBYTE_CONNECTION = "marketplace_postgres_to_bigquery"

DOC = """
### Freshness and drift

What it does each hour, changing nothing in the warehouse or in Airbyte:

- **source_freshness** holds the raw tables against the freshness rules of the dbt project's sources.
- **connection_drift** holds the Airbyte connection against the files in `airbyte/`.

- **late_runs** asks when the daily pipeline last succeeded.
- **report_watch** raises an alert for what is red, with its runbook, and ends it once it is green again.

A red task here says that the daily pipeline will fail, or that what it publishes is old, before anybody asks. On a
machine where nothing syncs by schedule it stays paused. What to do is in `runbooks/README.md`.
"""


@task(pool="dbt")
def source_freshness() -> list[str]:
    """Fail if a source is older than it may be; returns every source with its age."""
    from marketplace_pipeline.freshness import check_sources

    return [str(age) for age in check_sources()]


@task(retries=2, retry_delay=timedelta(minutes=1), retry_policy=RETRY_WHILE_UNAVAILABLE, pool="airbyte")
def connection_drift() -> str:
    """Fail if the connection that runs is not the declared one."""
    from marketplace_pipeline.declared import check_declared

    return check_declared(AIRBYTE_CONNECTION)


@task
def late_runs() -> None:
    """Fail if no run of the pipeline has succeeded for too long."""
    from datetime import UTC, datetime

    from airflow.sdk.exceptions import AirflowFailException
    from marketplace_pipeline import warehouse
    from marketplace_pipeline.watch import late_run

    if late := late_run(warehouse.client(), datetime.now(UTC)):
        raise AirflowFailException(" ".join(late.details))


@task(trigger_rule=TriggerRule.ALL_DONE, on_failure_callback=None)
def report_watch() -> list[str]:
    """Raise, or end, alerts; returns the open ones."""
    from airflow.sdk import get_current_context
    from marketplace_pipeline.run_end import close_watch

    return close_watch(get_current_context())


with DAG(
    dag_id="marketplace_watch",
    description="Source freshness and drift of the Airbyte connection, every hour",
    doc_md=DOC,
    schedule=CronTriggerTimetable("30 * * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=30),
    default_args={
        "owner": "data-platform",
        "retries": 0,
        "execution_timeout": timedelta(minutes=10),
        "on_failure_callback": remember_failure,
    },
    tags=["marketplace", "elt"],
):
    # A run's state is that of its last tasks: a red look stays red although its report succeeds.
    looks = [source_freshness(), connection_drift(), late_runs()]
    looks >> EmptyOperator(task_id="end")
    looks >> report_watch()
