"""Connector processes: started in groups of their own, so that a whole group can be ended, now or after a restart."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from airbyte_server.settings import connector_environment

MARK = "AIRBYTE_CONNECTOR_FOLDER"
"""A variable of every connector's environment: its working folder, which is below the server's data folder."""


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
        env={**connector_environment(), MARK: str(folder), **(variables or {})},
        start_new_session=True,
    )


def end_group(process: subprocess.Popen[bytes], grace: float) -> None:
    """SIGTERM to the group, then SIGKILL to whatever of it still runs after ``grace`` seconds."""
    _signal(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace)
    _signal(process.pid, signal.SIGKILL)


def end_leftovers(data_dir: Path) -> int:
    """Kill what connectors an earlier server left running, and whatever they have started; tell how many that were.

    The mark is inherited, so it finds processes of other groups, too, and those that nobody had time to write down.
    """
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):  # it has ended, or belongs to somebody else
            if data_dir in Path(process.environ().get(MARK, "/")).parents:
                process.kill()
                found.append(process)
    for process in found:
        # Not wait(): where nobody reaps orphans, a killed one stays as a zombie for ever.
        with contextlib.suppress(psutil.NoSuchProcess):
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.01)
    return len(found)


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
