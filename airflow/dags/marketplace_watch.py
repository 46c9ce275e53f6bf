"""Looks, each hour: are the raw tables young, the Airbyte connection as declared, the source's slots read?"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, CronTriggerTimetable, TriggerRule, task
from airflow.sdk.exceptions import AirflowFailException
from marketplace_pipeline.failure import remember_failure
from marketplace_pipeline.sync import RETRY_WHILE_UNAVAILABLE

if TYPE_CHECKING:
    from marketplace_pipeline.alerts.finding import Finding

AIRBYTE_CONNECTION = "marketplace_postgres_to_bigquery"

DOC = """
### Freshness, drift and slots

What it does each hour, changing nothing anywhere:

- **source_freshness** holds the raw tables against the freshness limits of the dbt project's sources.
- **connection_drift** holds the Airbyte connection against the files in `airbyte/`.
- **replication_slots** asks how much of its log the source keeps for slots (`ALERT_SLOT_MEGABYTES`).
- **late_runs** asks when the daily pipeline last succeeded.
- **report_watch** raises an alert for what is red, with its runbook, and ends it once it is green again.

A red task here says that the daily pipeline will fail, or that what it publishes is old, before anybody asks. On a
machine where nothing syncs by schedule it stays paused. What to do is in `runbooks/README.md`.
"""


def _fail_of(finding: Finding | None) -> None:
    if finding is not None:
        raise AirflowFailException(" ".join(finding.details))


@task
def source_freshness() -> None:
    """Fail if a source is older than it may be."""
    import json
    from datetime import UTC, datetime

    from marketplace_pipeline import warehouse, watch
    from marketplace_pipeline.project import dbt_manifest

    manifest = json.loads(dbt_manifest().read_text())
    _fail_of(watch.stale_sources(warehouse.client(), manifest, datetime.now(UTC)))


@task(retries=2, retry_delay=timedelta(minutes=1), retry_policy=RETRY_WHILE_UNAVAILABLE, pool="airbyte")
def connection_drift() -> str:
    """Fail if the connection that runs is not the declared one."""
    from marketplace_pipeline.declared import check_declared

    return check_declared(AIRBYTE_CONNECTION)


@task
def replication_slots() -> None:
    """Fail if a slot of the source is lost, or keeps too much of its log."""
    import os

    from marketplace_pipeline.slots import troubled_slots

    _fail_of(troubled_slots(os.environ))


@task
def late_runs() -> None:
    """Fail if no run of the pipeline has succeeded for too long."""
    from datetime import UTC, datetime

    from marketplace_pipeline import warehouse
    from marketplace_pipeline.watch import late_run

    _fail_of(late_run(warehouse.client(), datetime.now(UTC)))


@task(trigger_rule=TriggerRule.ALL_DONE, on_failure_callback=None)
def report_watch() -> list[str]:
    """Raise, or end, alerts; returns the open ones."""
    from airflow.sdk import get_current_context
    from marketplace_pipeline.run_end import close_watch

    return close_watch(get_current_context())


with DAG(
    dag_id="marketplace_watch",
    description="Source freshness, drift of the Airbyte connection and replication slots, every hour",
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
    looks = [source_freshness(), connection_drift(), replication_slots(), late_runs()]
    looks >> EmptyOperator(task_id="end")
    looks >> report_watch()
