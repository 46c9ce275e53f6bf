"""Jobs of an emulator in the test's own process."""

from __future__ import annotations

from pathlib import Path

from bq_emulator.emulator import Emulator
from bq_emulator.jobs.job import Job


def run(emulator: Emulator, configuration: dict[str, object], upload: Path | None = None) -> Job:
    """Submit a job and wait for its end."""
    job = emulator.jobs.submit(configuration, upload=upload)
    job.done.result(60)
    return job
