"""Connector processes: started in groups of their own, so that a whole group can be ended, now or after a restart."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from airbyte_server.settings import connector_environment

# Start times are compared after a round trip through JSON; clocks tick in hundredths of a second.
_START_TOLERANCE = 0.05


def start(
    arguments: list[str], *, folder: Path, stdin: int, variables: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a connector with pipes on stdout and stderr, ``variables`` in its environment. Raises :class:`OSError`."""
    return subprocess.Popen(
        arguments,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        cwd=folder,
        env={**connector_environment(), **(variables or {})},
        start_new_session=True,
    )


def describe(role: str, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What identifies a process for ever: its id together with when it started (seconds since 1970)."""
    try:
        started = psutil.Process(process.pid).create_time()
    except psutil.NoSuchProcess:
        started = time.time()
    return {"role": role, "pid": process.pid, "started": started}


def end_group(process: subprocess.Popen[bytes], grace: float) -> None:
    """SIGTERM to the group, then SIGKILL to whatever of it still runs after ``grace`` seconds."""
    _signal(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace)
    _signal(process.pid, signal.SIGKILL)


def end_leftover(description: dict[str, Any]) -> bool:
    """Kill a recorded process of an earlier server, with its group, if it is still that process; tell if it was."""
    try:
        process = psutil.Process(description["pid"])
        if abs(process.create_time() - description["started"]) > _START_TOLERANCE:
            return False
        _signal(process.pid, signal.SIGKILL)
        # Not wait(): where nobody reaps orphans, a killed one stays as a zombie for ever.
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
    except psutil.NoSuchProcess:
        return False
    return True


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
