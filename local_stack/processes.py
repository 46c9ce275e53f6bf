"""Background processes that outlive the command that started them, known by pid and start time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

#: Marks every process of one stack, its children included; the value is the stack's folder.
MARKER = "LOCAL_STACK_RUNNING_IN"
STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Background:
    """One service's process: its record is ``run/<name>.json``, its output is appended to ``logs/<name>.log``."""

    name: str
    home: Path

    @property
    def record(self) -> Path:
        return self.home / "run" / f"{self.name}.json"

    @property
    def log(self) -> Path:
        return self.home / "logs" / f"{self.name}.log"

    def process(self) -> psutil.Process | None:
        """The live process, or None. A pid taken over by another program is not ours: the start time tells."""
        try:
            known = json.loads(self.record.read_text())
            process = psutil.Process(known["pid"])
            if process.create_time() == known["create_time"] and process.status() != psutil.STATUS_ZOMBIE:
                return process
        except (FileNotFoundError, psutil.NoSuchProcess):
            pass
        return None

    def is_current(self, command: Sequence[str], settings: dict[str, str]) -> bool:
        """Whether the process runs and was started with this command and these settings."""
        return self.process() is not None and (
            json.loads(self.record.read_text())["fingerprint"] == _fingerprint(command, settings)
        )

    def start(self, command: Sequence[str], environment: dict[str, str], settings: dict[str, str]) -> None:
        """Start the process in a session of its own, so that Ctrl-C in the terminal does not reach it.

        ``settings`` is the part of ``environment`` that decides how the service behaves; see :meth:`is_current`.
        """
        with self.log.open("ab") as output, _interrupts_held():
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.home,
                env={**environment, MARKER: str(self.home)},
                start_new_session=True,
            )
            started = {
                "pid": child.pid,
                "create_time": psutil.Process(child.pid).create_time(),
                "fingerprint": _fingerprint(command, settings),
            }
            scratch = self.record.with_suffix(".tmp")
            scratch.write_text(json.dumps(started))
            scratch.rename(self.record)

    def stop(self) -> None:
        """Ask the process to end, insist after ``STOP_SECONDS``, and end what it left running."""
        process = self.process()
        if process is not None:
            family = [process, *process.children(recursive=True)]
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
            psutil.wait_procs([process], timeout=STOP_SECONDS)
            end(family)
        self.record.unlink(missing_ok=True)

    def log_tail(self, lines: int = 25) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""


def end(processes: Sequence[psutil.Process], grace: float = 5.0) -> None:
    """Terminate those that still run, and kill those that do not obey within ``grace`` seconds."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, stubborn = psutil.wait_procs(processes, timeout=grace)
    for process in stubborn:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, timeout=grace)


def marked(home: Path) -> list[psutil.Process]:
    """Every live process that a service of the stack in ``home`` started, directly or not."""
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid not in ours and process.environ().get(MARKER) == str(home):
                found.append(process)
    return found


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def port_holder(port: int) -> str:
    """Who listens on ``port``, as far as this user may know: ``nginx (pid 12)`` or ``another program``."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections(kind="tcp"):
            # An address is (host, port); it is empty for a socket that is not bound.
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,) and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return "another program"


def wait_until(condition: Callable[[], bool], seconds: float, pause: float = 0.1) -> bool:
    """Call ``condition``, with pauses between, until it is true or ``seconds`` have passed; whether it became true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(pause)
    return False


def _fingerprint(command: Sequence[str], environment: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps([list(command), environment], sort_keys=True).encode()).hexdigest()


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Keep Ctrl-C waiting, so that no process starts without leaving its record.

    A handler of our own, not a blocked signal: the child would inherit the block and then ignore SIGTERM for ever.
    """
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda got, _: came.append(got)) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for got in came:
            signal.raise_signal(got)
