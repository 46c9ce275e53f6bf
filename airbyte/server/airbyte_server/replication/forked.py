"""The platform's end of the fork server: connectors of which the imports are done before they are asked for."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson

# How long the fork server may take to start and import; a loaded machine needs its time.
_START_SECONDS = 120.0


class ForkedProcess:
    """A connector that the fork server runs; as much of :class:`subprocess.Popen` as connectors are used with.

    One whose fork server was killed is killed, too; it is said to have been, whatever its exit status was.
    """

    def __init__(self, report: int, pipes: Mapping[str, int]) -> None:
        """Raises :class:`OSError` when the fork server does not start it."""
        self.stdin = os.fdopen(pipes["stdin"], "wb", 0) if "stdin" in pipes else None
        self.stdout = os.fdopen(pipes["stdout"], "rb", 0)
        self.stderr = os.fdopen(pipes["stderr"], "rb", 0) if "stderr" in pipes else None
        self._report = os.fdopen(report, "rb", 0)
        self._lock = threading.Lock()
        self.returncode: int | None = None
        try:
            if not self._has_report(_START_SECONDS):
                raise TimeoutError(f"no answer within {_START_SECONDS:g} s")
            self.pid = int(self._report.readline())
        except (OSError, ValueError) as error:
            for pipe in (self._report, self.stdin, self.stdout, self.stderr):
                if pipe is not None:
                    pipe.close()
            raise OSError(f"the process that connectors are forked from did not start it: {error}") from error

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status; raises :class:`subprocess.TimeoutExpired` after ``timeout`` seconds."""
        # Once known, there may be nothing more to read: the pipe's other end is closed only after the line is written.
        if self.returncode is None and timeout is not None and not self._has_report(timeout):
            raise subprocess.TimeoutExpired("connector", timeout)
        with self._lock:
            if self.returncode is None:
                self.returncode = self._status()
            return self.returncode

    def _status(self) -> int:
        if line := self._report.readline():
            return int(line)
        # The fork server is gone, and this one with it; what it has started may not be.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        return -signal.SIGKILL

    def _has_report(self, timeout: float) -> bool:
        """Whether there is a line, or the fork server is gone; ``select`` would fail for descriptors above 1023."""
        poll = select.poll()
        poll.register(self._report, select.POLLIN)
        return bool(poll.poll(max(0.0, timeout) * 1000))


class ForkServer:
    """Starts the fork server when it is first needed, and again when it has died. Safe to use from several threads."""

    def __init__(self, modules: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        """``environment`` is what can be seen of all connectors' environments from outside: by the variables that a
        process was started with, leftovers are found."""
        self._command = [sys.executable, "-m", "airbyte_server.replication.fork_server", *modules]
        self._folder = folder
        self._environment = dict(environment)
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def warm_up(self) -> None:
        """Let it import, without waiting for that."""
        with self._lock:
            self._running()

    def start(
        self,
        arguments: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        stdin: int,
        stderr: int,
    ) -> ForkedProcess:
        """As ``Popen(…, stdout=PIPE, bufsize=0)``; ``stdin`` is PIPE or DEVNULL, ``stderr`` PIPE or STDOUT.

        Raises :class:`OSError`.
        """
        request = {"arguments": [*arguments], "folder": str(folder), "environment": {**environment}}
        ours: dict[str, int] = {}
        theirs: list[int] = []
        try:
            if stdin == subprocess.PIPE:
                read, ours["stdin"] = os.pipe()
                theirs.append(read)
            else:
                theirs.append(os.open(os.devnull, os.O_RDONLY))
            for name in ("stdout", "stderr", "report"):
                if name == "stderr" and stderr == subprocess.STDOUT:
                    theirs.append(os.dup(theirs[1]))
                    continue
                ours[name], write = os.pipe()
                theirs.append(write)
            with self._lock:
                self._send(orjson.dumps(request, option=orjson.OPT_APPEND_NEWLINE), theirs)
                while theirs:
                    os.close(theirs.pop())
                report = ours.pop("report")
                pipes, ours = ours, {}
                return ForkedProcess(report, pipes)
        finally:
            for descriptor in (*theirs, *ours.values()):
                os.close(descriptor)

    def close(self) -> None:
        """End it, and with it every connector that still runs."""
        with self._lock:
            if self._control is not None:
                self._control.close()
            if self._process is not None:
                self._process.wait()
            self._control = self._process = None

    def _send(self, line: bytes, descriptors: list[int]) -> None:
        try:
            self._send_once(self._running(), line, descriptors)
        except (BrokenPipeError, ConnectionResetError):  # it has just been killed
            self._send_once(self._running(anew=True), line, descriptors)

    @staticmethod
    def _send_once(control: socket.socket, line: bytes, descriptors: list[int]) -> None:
        sent = socket.send_fds(control, [line], descriptors)
        control.sendall(line[sent:])

    def _running(self, *, anew: bool = False) -> socket.socket:
        if self._control is not None and self._process is not None and self._process.poll() is None and not anew:
            return self._control
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.wait()
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                self._command, stdin=theirs.fileno(), cwd=self._folder, env=self._environment, start_new_session=True
            )
        self._control = ours
        return ours
