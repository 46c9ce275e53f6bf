"""Times the transformation in Airflow against a bare `dbt build` of the same nodes, on the running stack.

    local-stack exec python benchmarks/transform_speed.py [--rounds 5] [--label LOCAL]

Builds and runs take turns. A run's time is that from the start of its first dbt task to the end of its last; it does
without a sync. Run it on an idle machine, after a `make run`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import psutil

from local_stack.airflow_api import AirflowApi

DAG_ID = "marketplace_elt_pipeline"
DBT = Path(sys.executable).parent / "dbt"


def bare_build(folder: str) -> float:
    """Seconds of `dbt build` of everything.

    Raises:
        SystemExit: if the build fails.
    """
    started = time.monotonic()
    if subprocess.run([DBT, "--quiet", "build", "--target-path", folder]).returncode:
        raise SystemExit("dbt build failed")
    return time.monotonic() - started


def run_in_airflow(airflow: AirflowApi) -> tuple[float, float, int]:
    """Seconds from the first dbt task's start to the last one's end, dbt tasks' seconds in sum, and their number.

    Raises:
        SystemExit: if the run fails.
    """
    run_id = airflow.trigger(DAG_ID, sync=False)
    while (state := airflow.run_state(DAG_ID, run_id)) not in ("success", "failed"):
        time.sleep(2)
    if state != "success":
        raise SystemExit(f"the run {run_id} failed")
    spans = [span for task, *span in airflow.spans(DAG_ID, run_id) if task.startswith("dbt.")]
    started, ended = min(span[0] for span in spans), max(span[1] for span in spans)
    return seconds(started, ended), sum(seconds(*span) for span in spans), len(spans)


def seconds(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--label", default="as configured", help="what to call this measurement")
    options = parser.parse_args()
    port = os.environ.get("AIRFLOW__API__PORT", "8080")
    airflow = AirflowApi(f"http://127.0.0.1:{port}", "admin", "admin")
    bare: list[float] = []
    dags: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1, options.rounds + 1):
            bare.append(bare_build(folder))
            wall, tasks, count = run_in_airflow(airflow)
            dags.append(wall)
            print(
                f"{number}: dbt build {bare[-1]:.1f} s, in Airflow {wall:.1f} s ({wall / bare[-1]:.2f} ×; "
                f"{count} tasks, {tasks / count:.1f} s each; load {psutil.getloadavg()[0]:.1f})",
                flush=True,
            )
    ratio = statistics.median(dags) / statistics.median(bare)
    print(
        f"{options.label}: medians {statistics.median(bare):.1f} s and {statistics.median(dags):.1f} s, {ratio:.2f} ×"
    )


if __name__ == "__main__":
    main()
