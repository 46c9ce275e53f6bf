"""Alerts: each channel that ``ALERT_*`` sets up can be reached and takes our credentials; no message is sent.

What a channel needs only Airflow's code knows; it is asked on the command line, in the environment that Airflow has.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

from local_stack.preflight.finding import Finding
from local_stack.settings import Settings


def check(settings: Settings) -> Iterator[Finding]:
    """Findings about ALERT_*."""
    done = subprocess.run(
        [settings.bin / "python", "-P", "-m", "marketplace_pipeline.alerts.preflight"],
        env=settings.child_environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode != 0:
        yield Finding("missing", f"the alerts' code does not run: {done.stderr.strip()[-500:]}", "Mend it.")
        return
    for found in json.loads(done.stdout):
        yield Finding(**found)
