"""Connector processes: started in groups of their own, so that a whole group can be ended, now or after a restart."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Protocol

import psutil

from airbyte_server.replication.forked import ForkServer
from airbyte_server.settings import connector_environment

MARK = "AIRBYTE_CONNECTOR_FOLDER"
"""A variable of every connector's environment: its working folder, which is below the server's data folder."""


_IMPORTING = {
    # A thread of the linear algebra behind numpy, which nobody uses, would not survive a fork.
    "OPENBLAS_NUM_THREADS": "1",
    # Arrow's own allocator gives back what a batch leaves, for the next one to be cleared by the system again.
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
"""Variables that libraries look at when they are imported, which is before the fork."""


class ConnectorProcess(Protocol):
    """What connectors' processes are used with: as of :class:`subprocess.Popen`, with unbuffered pipes."""

    pid: int

    @property
    def stdin(self) -> IO[bytes] | None: ...
    @property
    def stdout(self) -> IO[bytes] | None: ...
    @property
    def stderr(self) -> IO[bytes] | None: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...


class Launcher:
    """Starts connectors: those of ``preloads``, which maps executables to the module that imports all they need, by a
    fork of a process that has imported it; others as any program."""

    def __init__(self, data_dir: Path, preloads: Mapping[str, str]) -> None:
        folder = data_dir / "fork-server"
        # The variables that a process was started with are those that can be seen from outside.
        environment = {**connector_environment(), MARK: str(folder), **_IMPORTING}
        # macOS's system libraries do not survive a fork; it has no shortage of memory for what is imported again.
        self._preloads = preloads if sys.platform == "linux" else {}
        self._fork_server = ForkServer(list(self._preloads.values()), folder, environment)

    def warm_up(self) -> None:
        """Let the imports begin before a connector is asked for."""
        if self._preloads:
            self._fork_server.warm_up()

    def start(
        self,
        arguments: list[str],
        *,
        folder: Path,
        stdin: int,
        stderr: int = subprocess.PIPE,
        variables: Mapping[str, str] | None = None,
    ) -> ConnectorProcess:
        """Start a connector with a pipe on stdout, ``variables`` in its environment; ``stdin`` is PIPE or DEVNULL,
        ``stderr`` PIPE or STDOUT. Raises :class:`OSError`."""
        environment = {**connector_environment(), MARK: str(folder), **(variables or {})}
        if arguments[0] in self._preloads:
            return self._fork_server.start(
                arguments, folder=folder, environment=environment, stdin=stdin, stderr=stderr
            )
        return subprocess.Popen(
            arguments,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            bufsize=0,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )

    def close(self) -> None:
        """End what was forked."""
        self._fork_server.close()


def end_group(process: ConnectorProcess, grace: float) -> None:
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
