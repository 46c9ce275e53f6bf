"""What Airflow does at the end of each run, however it ended: record, report, alerts."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.sdk import Variable
from airflow.sdk.definitions.context import Context

from marketplace_pipeline import project
from marketplace_pipeline import warehouse as warehouses
from marketplace_pipeline.airbyte import AirbyteError, AirbyteJobs, AirbyteUnavailable
from marketplace_pipeline.alerts import channels, ledger
from marketplace_pipeline.alerts.registry import ALERTS
from marketplace_pipeline.failure import FAILURE_KEY
from marketplace_pipeline.findings import (
    WAREHOUSE_TROUBLE,
    Run,
    TaskFailure,
    Warehouse,
    findings_of,
    findings_of_tasks,
    seen_good,
)
from marketplace_pipeline.records import figures, table
from marketplace_pipeline.records.run import PipelineRun
from marketplace_pipeline.records.tests import NodeOutcome, outcomes
from marketplace_pipeline.report.page import write_report

log = logging.getLogger(__name__)

ALERTS_KEY = "alerts"
_UNWRITTEN = "unwritten_pipeline_runs"


class OpenAlerts:
    """The ledger's text, in an Airflow Variable: in reach of every task, whatever else is down."""

    name = "open_alerts"

    def read(self) -> str | None:
        return Variable.get(self.name, default=None)

    def write(self, text: str) -> None:
        Variable.set(self.name, text, description="Alerts that have been raised and are not over yet")


def close_run(context: Context) -> dict[str, Any]:
    """Record the run, write its report and tell what is wrong or over; the record.

    Everything is done as far as it can be: a warehouse that is away is itself a finding, and the record then waits, in
    an Airflow Variable, for the next run to write it.

    Raises:
        AlertSettingsError: if a channel is half set up; record and report are written by then.
    """
    now = datetime.now(UTC)
    warehouse = Warehouse(warehouses.client())
    run = _observe(context, now, warehouse)
    recent = _record(run.record, warehouse)
    findings = findings_of(run, recent, warehouse)
    # Whoever follows the run reads here which runbook a failure has; warnings are no reason for a red run.
    critical = [finding for finding in findings if ALERTS[finding.alert].severity == "critical"]
    context["ti"].xcom_push(ALERTS_KEY, {finding.alert: sorted(finding.subjects) for finding in critical})
    try:
        log.info("Report: %s", write_report(run.record, recent, findings, _report_dir()))
    except OSError as error:
        log.error("The report could not be written: %s", error)
    set_up = channels.from_environment()
    opened = ledger.settle(
        OpenAlerts(),
        findings,
        seen_good(run, findings, warehouse),
        lambda message: channels.deliver(message, set_up),
        now,
    )
    log.info("Open alerts: %s", ", ".join(sorted(opened)) or "none")
    return run.record.as_json()


def close_watch(context: Context) -> list[str]:
    """Tell which of a watching DAG's tasks found something, or no longer do; names of the alerts that are open."""
    instance = context["ti"]
    ended = instance.get_task_breadcrumbs(instance.dag_id, instance.run_id)
    states = {task["task_id"]: str(task["state"]) for task in ended}
    failed = sorted(task_id for task_id, state in states.items() if state == "failed")
    findings = findings_of_tasks([_failure(instance, task_id, ()) for task_id in failed])
    set_up = channels.from_environment()
    opened = ledger.settle(
        OpenAlerts(),
        findings,
        lambda subject: states.get(subject) == "success",
        lambda message: channels.deliver(message, set_up),
        datetime.now(UTC),
    )
    return sorted(opened)


def _observe(context: Context, now: datetime, warehouse: Warehouse) -> Run:
    instance = context["ti"]
    ended = [task for task in instance.get_task_breadcrumbs(instance.dag_id, instance.run_id)]
    states = {task["task_id"]: str(task["state"]) for task in ended if task["task_id"] != instance.task_id}
    manifest = json.loads(project.dbt_manifest().read_text())
    results = {task_id: instance.xcom_pull(task_ids=task_id, key="dbt_results") or [] for task_id in _dbt(states)}
    nodes = outcomes(manifest, [result for found in results.values() for result in found])
    failed = sorted(task_id for task_id, state in states.items() if state == "failed")
    failures = [_failure(instance, task_id, outcomes(manifest, results.get(task_id, ()))) for task_id in failed]
    job_id = _returned(instance, states, "trigger_sync")
    warehouse.ask(lambda client: list(client.list_datasets(max_results=1, retry=None, timeout=20)), [])
    sources = warehouse.ask(lambda client: figures.sources(client, manifest, now), [])
    tests = [node.status for node in nodes if node.is_test]
    record = PipelineRun(
        run_id=instance.run_id,
        started_at=context["dag_run"].start_date or now,
        recorded_at=now,
        state="failed" if {"failed", "upstream_failed"} & set(states.values()) else "success",
        job_id=None if job_id is None else int(job_id),
        bytes_synced=None if job_id is None else _bytes(int(job_id)),
        stream_rows=_returned(instance, states, "check_raw") or {},
        stage_seconds=_stages(ended),
        source_hours={source.name: round(source.hours, 2) for source in sources if source.hours is not None},
        tests_passed=tests.count("passed"),
        tests_warned=tests.count("warned"),
        tests_failed=tests.count("failed"),
        tests_not_run=tests.count("not_run"),
        failed_tasks=tuple(failure.task_id for failure in failures),
        **warehouse.ask(figures.quality, {}),
    )
    volume = warehouse.ask(figures.volume, None)
    return Run(record, states, failures, nodes, volume, _personal(manifest))


def _failure(instance: Any, task_id: str, nodes: Iterable[NodeOutcome]) -> TaskFailure:
    bad = tuple(node for node in nodes if node.status == "failed")
    left = instance.xcom_pull(task_ids=task_id, key=FAILURE_KEY)
    if left is None:  # killed, or failed before its code ran
        return TaskFailure(task_id, "It ended without a word; see its log in Airflow.", "", bad)
    return TaskFailure(task_id, left["message"], left["log_url"], bad)


def _record(run: PipelineRun, warehouse: Warehouse) -> list[PipelineRun]:
    """Write the run, after those that earlier runs could not write; the recent runs."""
    waiting = [PipelineRun.from_json(kept) for kept in json.loads(Variable.get(_UNWRITTEN, default="[]"))]
    pending = [other for other in waiting if other.run_id != run.run_id] + [run]
    recent = [*waiting, run]
    try:
        if not warehouse.trouble:
            while pending:
                table.save(warehouse.client, pending[0])
                pending.pop(0)
            recent = table.recent(warehouse.client)
    except WAREHOUSE_TROUBLE as error:
        warehouse.trouble = f"{type(error).__name__}: {error}"
    if pending:
        log.error("The run waits in the Variable %s for the next run to record it: %s", _UNWRITTEN, warehouse.trouble)
    if waiting or pending:
        Variable.set(_UNWRITTEN, json.dumps([other.as_json() for other in pending]))
    return recent


def _dbt(task_ids: Iterable[str]) -> list[str]:
    return sorted(task_id for task_id in task_ids if task_id.startswith("dbt."))


def _stages(ended: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Seconds by stage: dbt's tasks by their layer, others by their own name or their group's."""
    seconds: dict[str, float] = {}
    for task in ended:
        group, _, name = task["task_id"].partition(".")
        stage = name.partition(".")[0] if group == "dbt" and "." in name else group
        seconds[stage] = round(seconds.get(stage, 0) + float(task["duration"] or 0), 2)
    return {stage: total for stage, total in seconds.items() if total}


def _returned(instance: Any, states: Mapping[str, str], task_id: str) -> Any:
    """What a task returned in this run; None unless it succeeded."""
    return instance.xcom_pull(task_ids=task_id) if states.get(task_id) == "success" else None


def _bytes(job_id: int) -> int | None:
    try:
        return AirbyteJobs().job(job_id).bytes
    except (AirbyteError, AirbyteUnavailable) as error:
        log.warning("The bytes of job %s are not known: %s", job_id, error)
        return None


def _personal(manifest: Mapping[str, Any]) -> frozenset[str]:
    """Columns that the dbt project tags as personal data."""
    columns = [column for node in manifest["nodes"].values() for column in node.get("columns", {}).values()]
    return frozenset(column["name"] for column in columns if "pii" in (column.get("tags") or []))


def _report_dir() -> Path:
    """``RUN_REPORT_DIR``, by default ``reports`` in Airflow's home."""
    home = Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser()
    return Path(os.environ.get("RUN_REPORT_DIR") or home / "reports")
