"""How `dbt build` grows: `.venv/bin/python benchmarks/dbt_scale.py [--scales 1 50] [--years 1] [--cdc]`.

For each scale and length of history a database and an emulator of their own: seeded with a year, and lived on day by
day for more (``--years``: a longer history, days about as busy); synced by the connectors as the declared connection
has them (``--cdc``: as the overlay of that name has them), built from nothing; a day is simulated, synced and built; it
is built once more with nothing new. Reads of models that follow days, of other models and of tests are counted apart.
Scale 50 is a million orders and wants 10 GB of disk. Run it on an idle machine: on a busy one only the processor's
seconds compare.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from datetime import date, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support"), str(ROOT / "benchmarks")]

from dbt_build import build  # noqa: E402
from marketplace_replication import Replication  # noqa: E402
from real_services import BIN, PROJECT, Database  # noqa: E402
from source_and_warehouse import SourceAndWarehouse, source_and_warehouse  # noqa: E402

from local_stack.settings import isolate  # noqa: E402
from source_db import cdc  # noqa: E402
from source_db.seed import seed_database  # noqa: E402
from source_db.simulate import simulate_day  # noqa: E402

BUILDS = ("first", "a day later", "nothing new")
Result = dict[str, Any]


class Piped(Replication):
    """Through a pipe, for what does not fit into memory."""

    def join(self, read: list[str], write: list[str]) -> bytes:
        others = []
        with (
            subprocess.Popen([BIN / "source-postgres", *read], stdout=subprocess.PIPE) as source,
            subprocess.Popen(
                [BIN / "destination-bigquery", *write], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
            ) as destination,
        ):
            assert source.stdout and destination.stdin
            for line in source.stdout:
                destination.stdin.write(line.replace(b'"namespace":"public"', b'"namespace":null'))
                if b'"type":"RECORD"' not in line:
                    others.append(line)
            destination.stdin.close()
        if source.returncode or destination.returncode:
            raise SystemExit(f"The sync failed: source {source.returncode}, destination {destination.returncode}.")
        return b"".join(others)


def measure(
    parts: SourceAndWarehouse, scale: float, years: int, by_log: bool, console: Console
) -> list[tuple[dict[str, float], list[Result]]]:
    """Seconds and dbt's results of each of BUILDS."""
    server = parts.postgres
    server.ensure_role("market", "market", replication=True)
    server.ensure_database("market", "market")
    database = Database(server.host, server.port, "market", "market", "market", server.conninfo("market"))
    replication = Piped(database, parts.endpoint, "raw", parts.folder, cdc=by_log)
    os.environ |= {
        "BIGQUERY_API_ENDPOINT": parts.endpoint, "BIGQUERY_PROJECT": PROJECT, "DBT_TARGET": "local",
        "DBT_PROJECT_DIR": str(ROOT / "dbt"), "DBT_PROFILES_DIR": str(ROOT / "dbt"),
    }  # fmt: skip
    isolate(os.environ)
    done = []
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        lived = 365 * (years - 1)
        seed_database(connection, scale=scale, seed=1, until=date(2026, 6, 30) - timedelta(days=lived))
        for _ in range(lived):
            simulate_day(connection, seed=1)
        if by_log:
            cdc.enable(connection)
        for name in BUILDS:
            if name != "nothing new":
                started = time.monotonic()
                replication.sync()
                console.print(f"scale {scale:g}, {name}: synced in {time.monotonic() - started:.0f} s")
            done.append(build(parts.folder / "target", full_refresh=False))
            if name == "first":
                simulate_day(connection, seed=1)
    return done


def megabytes(results: list[Result], incremental: set[str]) -> list[str]:
    """What incremental models have scanned to find the days that changed, and of these; what other models with the
    snapshot have scanned, and tests."""
    scanned: Counter[str] = Counter()
    for result in results:
        is_test = name_of(result)[0] in ("test", "unit_test")
        kind = "tests" if is_test else "incremental" if result["unique_id"] in incremental else "others"
        if kind == "incremental":
            scanned["days"] += result["bytes_selected"]
            scanned[kind] -= result["bytes_selected"]
        scanned[kind] += result["bytes_scanned"]
    return [f"{scanned[kind] / 1e6:,.1f}" for kind in ("days", "incremental", "others", "tests")]


def name_of(result: Result) -> list[str]:
    return [part for part in result["unique_id"].split(".") if part != "marketplace"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scales", type=float, nargs="+", default=[1, 50])
    parser.add_argument("--years", type=int, nargs="+", default=[1])
    parser.add_argument("--cdc", action="store_true")
    parser.add_argument("--nodes", type=int, default=12, help="how many of the slowest nodes to show")
    options = parser.parse_args()
    console = Console(width=150)
    columns = ("clock s", "dbt CPU s", "emulator's", "MB to find days", "of these", "by others", "by tests", "rows")
    builds = Table("scale", "years", "build", *columns)
    for scale, years in product(options.scales, options.years):
        with source_and_warehouse("dbt-scale-") as parts:
            done = measure(parts, scale, years, options.cdc, console)
            nodes = json.loads((parts.folder / "target" / "manifest.json").read_text())["nodes"].items()
        incremental = {name for name, node in nodes if node["config"].get("materialized") == "incremental"}
        for name, (seconds, results) in zip(BUILDS, done, strict=True):
            models = [result["adapter_response"] for result in results if name_of(result)[0] == "model"]
            builds.add_row(
                f"{scale:g}",
                str(years),
                name,
                *(f"{value:.1f}" for value in seconds.values()),
                *megabytes(results, incremental),
                f"{sum(max(answer.get('rows_affected') or 0, 0) for answer in models):,}",
            )
            slowest = Table(f"scale {scale:g}, {years} years, {name}: slowest nodes", "s", "MB read", "rows written")
            for result in sorted(results, key=lambda each: -each["execution_time"])[: options.nodes]:
                answer = result["adapter_response"]
                scanned = f"{result['bytes_scanned'] / 1e6:,.1f}"
                rows = f"{answer.get('rows_affected') or 0:,}"
                slowest.add_row(" ".join(name_of(result)), f"{result['execution_time']:.2f}", scanned, rows)
            console.print(slowest)
    console.print(builds)


if __name__ == "__main__":
    main()
