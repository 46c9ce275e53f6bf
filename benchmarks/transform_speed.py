"""Times the transformation in Airflow against a bare `dbt build` of the same nodes, on the running stack.

    local-stack exec python benchmarks/transform_speed.py [--rounds 5]

Builds and runs take turns. A run's time is that from the start of its first dbt task to the end of its last; it does
without a sync. The processor's seconds are of the whole run, publishing included. Run it on an idle machine, after a
`make run`: on a busy one the clock says little.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from local_stack import settings
from local_stack.airflow_api import AirflowApi
from local_stack.processes import marked

DAG_ID = "marketplace_elt_pipeline"
DBT = Path(sys.executable).parent / "dbt"


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock, and by the processor: the stack's, and dbt's where it is not a part of the stack."""

    clock: float
    processor: float


def stack_processor() -> float:
    """What the stack's processes, and theirs that have ended, have used of the processor, in seconds."""
    total = 0.0
    for process in marked(settings.load().home):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])
    return total


def bare_build(folder: str) -> Spent:
    """`dbt build` of everything but unit tests, which no task runs.

    Raises:
        SystemExit: if the build fails.
    """
    before, own, started = stack_processor(), os.times(), time.monotonic()
    if subprocess.run(
        [DBT, "--quiet", "build", "--exclude-resource-type", "unit_test", "--target-path", folder]
    ).returncode:
        raise SystemExit("dbt build failed")
    clock, after = time.monotonic() - started, os.times()
    dbt = after.children_user + after.children_system - own.children_user - own.children_system
    return Spent(clock, stack_processor() - before + dbt)


def run_in_airflow(airflow: AirflowApi) -> tuple[Spent, int]:
    """The time between the first dbt task's start and the last one's end, what the whole run used; dbt tasks.

    Raises:
        SystemExit: if the run fails.
    """
    before = stack_processor()
    run_id = airflow.trigger(DAG_ID, sync=False)
    while (state := airflow.run_state(DAG_ID, run_id)) not in ("success", "failed"):
        time.sleep(2)
    if state != "success":
        raise SystemExit(f"the run {run_id} failed")
    spans = [span for task, *span in airflow.spans(DAG_ID, run_id) if task.startswith("dbt.")]
    started, ended = min(span[0] for span in spans), max(span[1] for span in spans)
    return Spent((ended - started).total_seconds(), stack_processor() - before), len(spans)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    port = os.environ.get("AIRFLOW__API__PORT", "8080")
    airflow = AirflowApi(f"http://127.0.0.1:{port}", "admin", "admin")
    bare: list[Spent] = []
    dags: list[Spent] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1, options.rounds + 1):
            bare.append(bare_build(folder))
            spent, tasks = run_in_airflow(airflow)
            dags.append(spent)
            print(
                f"{number}: dbt build {bare[-1].clock:.1f} s (processor {bare[-1].processor:.1f} s), {tasks} tasks in "
                f"Airflow {spent.clock:.1f} s ({spent.processor:.1f} s); load {psutil.getloadavg()[0]:.1f}",
                flush=True,
            )
    for what in ("clock", "processor"):
        alone, within = (statistics.median(getattr(spent, what) for spent in all_of) for all_of in (bare, dags))
        print(f"{what}: medians {alone:.1f} s and {within:.1f} s, {within / alone:.2f} ×")


if __name__ == "__main__":
    main()
