"""A look at the pipeline from outside: does Airflow live, does a sync hang, did a run come, is the data young?

``watch.py`` run by hand or by cron raises the alerts that Airflow cannot, because they are about Airflow: it imports
nothing of it and keeps its own list of open alerts in a file. The hourly DAG has its checks of runs, data and slots
from here.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from marketplace_pipeline import slots, warehouse
from marketplace_pipeline.alerts import channels, ledger
from marketplace_pipeline.alerts.finding import Finding
from marketplace_pipeline.findings import WAREHOUSE_TROUBLE
from marketplace_pipeline.records import figures

log = logging.getLogger(__name__)

#: Airflow's components as its health report calls them.
_COMPONENTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")
_AIRFLOW, _RUNS, _SYNC = "airflow", "marketplace_elt_pipeline", "running sync"
_WAREHOUSE, _SOURCE = "warehouse", "source"
_LATE_HOURS, _SYNC_MINUTES = 26, 60


def airflow_down(url: str) -> Finding | None:
    """A finding if Airflow at ``url`` does not answer, or one of its components does not report."""
    try:
        health = httpx.get(f"{url}/api/v2/monitor/health", timeout=10).raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        return Finding("AirflowDown", frozenset({_AIRFLOW}), (f"Airflow at {url} does not answer: {error}",))
    ill = [name for name in _COMPONENTS if (health.get(name) or {}).get("status") != "healthy"]
    if not ill:
        return None
    return Finding("AirflowDown", frozenset({_AIRFLOW}), (f"Of Airflow at {url}, not healthy: {', '.join(ill)}.",))


def stuck_sync(url: str, client_id: str, client_secret: str, now: datetime) -> Finding | None:
    """A finding naming each running job of Airbyte at ``url`` that began longer ago than ``ALERT_SYNC_MINUTES``.

    An Airbyte that does not answer is told by the run that needs it.
    """
    limit = float(os.environ.get("ALERT_SYNC_MINUTES") or _SYNC_MINUTES)
    try:
        with httpx.Client(timeout=10) as airbyte:
            body = {"client_id": client_id, "client_secret": client_secret, "grant-type": "client_credentials"}
            token = airbyte.post(f"{url}/applications/token", json=body).raise_for_status().json()["access_token"]
            headers = {"Authorization": f"Bearer {token}"}
            jobs = airbyte.get(f"{url}/jobs", params={"status": "running"}, headers=headers).raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        log.warning("Airbyte at %s cannot be asked for its jobs: %s", url, error)
        return None
    ages = {job["jobId"]: (now - datetime.fromisoformat(job["startTime"])).total_seconds() / 60 for job in jobs["data"]}
    stuck = {job: minutes for job, minutes in ages.items() if minutes > limit}
    if not stuck:
        return None
    details = [f"Airbyte job {job} has been running for {minutes:.0f} minutes." for job, minutes in stuck.items()]
    return Finding("SyncStuck", frozenset({_SYNC}), tuple(details))


def late_run(client: bigquery.Client, now: datetime) -> Finding | None:
    """A finding if the last run that succeeded began longer ago than ``ALERT_LATE_HOURS``."""
    limit = float(os.environ.get("ALERT_LATE_HOURS") or _LATE_HOURS)
    try:
        (row,) = client.query_and_wait(
            "SELECT MAX(started_at) AS last FROM ops.pipeline_runs WHERE state = 'success' "
            "AND started_at > TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 90 DAY)"
        )
        last: datetime | None = row.last
    except NotFound:
        last = None
    if last is not None and (now - last).total_seconds() <= limit * 3600:
        return None
    when = f"began at {last:%Y-%m-%d %H:%M} UTC" if last else "is not on record"
    return Finding(
        "DagLate", frozenset({_RUNS}), (f"The last run that succeeded {when}; {limit:g} hours are allowed.",)
    )


def stale_sources(client: bigquery.Client, manifest: Mapping[str, Any], now: datetime) -> Finding | None:
    """A finding naming each source table that is older than its limit in the dbt project."""
    stale = [source for source in figures.sources(client, manifest, now) if source.level != "ok"]
    if not stale:
        return None
    details = [
        f"{source.name}: youngest row {source.hours:.1f} hours old ({source.level})"
        if source.hours is not None
        else f"{source.name}: no rows"
        for source in stale
    ]
    return Finding("StaleData", frozenset(source.name for source in stale), tuple(details))


def look(
    environment: Mapping[str, str], manifest: Mapping[str, Any], now: datetime
) -> tuple[list[Finding], frozenset[str]]:
    """All findings from outside, and the subjects among them that could be looked at."""
    credentials = environment["AIRBYTE_CLIENT_ID"], environment["AIRBYTE_CLIENT_SECRET"]
    findings = [
        airflow_down(environment["AIRFLOW__API__BASE_URL"]),
        stuck_sync(environment["AIRBYTE_API_URL"], *credentials, now),
    ]
    looked_at = {_AIRFLOW, _SYNC, _SOURCE, _WAREHOUSE}
    try:
        findings.append(slots.troubled_slots(environment))
        looked_at.add(slots.SUBJECT)
    except psycopg.OperationalError as error:
        findings.append(Finding("SourceUnreachable", frozenset({_SOURCE}), (f"{type(error).__name__}: {error}",)))
    try:
        client = warehouse.client()
        list(client.list_datasets(max_results=1, retry=None, timeout=20))  # the client itself is patient for minutes
        findings += [late_run(client, now), stale_sources(client, manifest, now)]
        looked_at |= {_RUNS, *figures.source_tables(manifest)}
    except WAREHOUSE_TROUBLE as error:
        findings.append(Finding("WarehouseUnavailable", frozenset({_WAREHOUSE}), (f"{type(error).__name__}: {error}",)))
    return [finding for finding in findings if finding is not None], frozenset(looked_at)


def main() -> int:
    """Look once, tell what is new or over; 1 while anything is wrong."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    now = datetime.now(UTC)
    home = Path(os.environ["AIRFLOW_HOME"])
    manifest = json.loads(Path(os.environ["DBT_MANIFEST_PATH"]).read_text())
    findings, looked_at = look(os.environ, manifest, now)
    bad = {subject for finding in findings for subject in finding.subjects}
    opened = ledger.settle(
        ledger.FileStore(home / "watch.json"),
        findings,
        lambda subject: subject in looked_at and subject not in bad,
        lambda message: channels.deliver(message, channels.from_environment()),
        now,
    )
    print(f"Open: {', '.join(sorted(opened))}" if opened else "All is well.")
    return 1 if opened else 0


if __name__ == "__main__":
    sys.exit(main())
