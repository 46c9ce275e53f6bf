"""Times `dbt build` against the running stack, and shows where the time and the bytes go.

    local-stack exec python benchmarks/dbt_build.py [--builds 3] [--full-refresh] [--nodes 10]

The stack's demo data is what it was started with (SOURCE_DB_SCALE). Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from rich.console import Console
from rich.table import Table

DBT = Path(sys.executable).parent / "dbt"
# dbt begins each statement with a comment that says for which node it is. A model's SELECT is a question before it is
# built: which days have changed.
SCANNED = r"""
    select regexp_extract(query, r'"node_id": "([^"]+)"') as node,
        sum(total_bytes_processed) as bytes_scanned,
        sum(if(statement_type = 'SELECT', total_bytes_processed, 0)) as bytes_selected
    from `region-{location}`.INFORMATION_SCHEMA.JOBS_BY_PROJECT
    where creation_time >= @since and job_type = 'QUERY' and statement_type <> 'SCRIPT'
    group by node
"""

NOTHING = {"bytes_scanned": 0, "bytes_selected": 0}


def emulator() -> psutil.Process | None:
    """The embedded BigQuery that the environment points at, if it runs on this machine."""
    port = urlsplit(os.environ.get("BIGQUERY_API_ENDPOINT", "")).port
    for connection in psutil.net_connections("tcp"):
        if not (port and connection.status == psutil.CONN_LISTEN and connection.laddr and connection.pid):
            continue
        if connection.laddr.port == port:
            return psutil.Process(connection.pid)
    return None


def cpu_seconds(process: psutil.Process | None) -> float:
    return sum(process.cpu_times()[:2]) if process else 0.0


def bytes_scanned(since: datetime) -> dict[str, dict[str, int]]:
    """What the warehouse says each node's statements have scanned, and its SELECTs among them; dbt itself tells of a
    node's last one alone."""
    client = bigquery.Client(
        os.environ["BIGQUERY_PROJECT"],
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options=ClientOptions(api_endpoint=os.environ["BIGQUERY_API_ENDPOINT"]),
    )
    parameters = [bigquery.ScalarQueryParameter("since", "TIMESTAMP", since)]
    query = SCANNED.format(location=os.environ.get("BIGQUERY_LOCATION", "US").lower())
    rows = client.query_and_wait(query, job_config=bigquery.QueryJobConfig(query_parameters=parameters))
    return {row["node"]: {name: row[name] or 0 for name in NOTHING} for row in rows}


def build(target: Path, full_refresh: bool) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """One build: seconds by clock and by processor, and dbt's results by node, with those of :func:`bytes_scanned`.

    Raises:
        SystemExit: if the build fails.
    """
    warehouse = emulator()
    command = [str(DBT), "--quiet", "build", "--target-path", str(target)]
    command += ["--full-refresh"] if full_refresh else []
    since = datetime.now(UTC)
    before, own, started = cpu_seconds(warehouse), os.times(), time.monotonic()
    done = subprocess.run(command)
    if done.returncode:
        raise SystemExit(f"dbt build ended with status {done.returncode}")
    after = os.times()
    seconds = {
        "clock": time.monotonic() - started,
        "dbt's CPU": after.children_user + after.children_system - own.children_user - own.children_system,
        "warehouse's CPU": cpu_seconds(warehouse) - before,
    }
    results: list[dict[str, Any]] = json.loads((target / "run_results.json").read_text())["results"]
    scanned = bytes_scanned(since)
    return seconds, [result | scanned.get(result["unique_id"], NOTHING) for result in results]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--builds", type=int, default=3)
    parser.add_argument("--nodes", type=int, default=10, help="how many of the slowest nodes to show")
    parser.add_argument("--full-refresh", action="store_true")
    options = parser.parse_args()
    console = Console()
    builds = Table("build", "clock s", "dbt CPU s", "warehouse CPU s", "nodes", "MB scanned", "rows written")
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1, options.builds + 1):
            seconds, results = build(Path(folder), options.full_refresh)
            answers = [result["adapter_response"] for result in results]
            incremental = [answer for answer in answers if answer.get("code") in ("MERGE", "CREATE TABLE")]
            builds.add_row(
                str(number),
                *(f"{value:.1f}" for value in seconds.values()),
                str(len(results)),
                f"{sum(result['bytes_scanned'] for result in results) / 1e6:,.1f}",
                f"{sum(answer.get('rows_affected') or 0 for answer in incremental):,}",
            )
    console.print(builds)
    slowest = Table("slowest nodes of the last build", "s", "MB scanned", "rows written")
    for result in sorted(results, key=lambda result: -result["execution_time"])[: options.nodes]:
        answer = result["adapter_response"]
        slowest.add_row(
            " ".join(part for part in result["unique_id"].split(".") if part != "marketplace"),
            f"{result['execution_time']:.2f}",
            f"{result['bytes_scanned'] / 1e6:,.2f}",
            f"{answer.get('rows_affected') or 0:,}",
        )
    console.print(slowest)


if __name__ == "__main__":
    main()
