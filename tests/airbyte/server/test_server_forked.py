"""Connectors forked from a process that has imported them: like programs to whoever runs them, and none runs on."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import psutil
import pytest
from airbyte_server.replication.forked import ForkedProcess, ForkServer
from airbyte_server.replication.processes import Launcher, end_group

Start = Callable[..., ForkedProcess]


@pytest.fixture
def fork_server(tmp_path: Path) -> Iterator[ForkServer]:
    server = ForkServer(["colorsys"], tmp_path / "fork-server", {**os.environ, "SEEN_FROM_OUTSIDE": "yes"})
    yield server
    server.close()


@pytest.fixture
def start(fork_server: ForkServer, tmp_path: Path) -> Start:
    def run(
        script: str, *arguments: str, stdin: int = subprocess.DEVNULL, stderr: int = subprocess.PIPE, **variables: str
    ) -> ForkedProcess:
        path = tmp_path / "connector"
        path.write_text("#!/usr/bin/env python\n" + script)
        environment = {"PATH": os.environ["PATH"], **variables}
        return fork_server.start(
            [str(path), *arguments], folder=tmp_path, environment=environment, stdin=stdin, stderr=stderr
        )

    return run


def _read(pipe: IO[bytes] | None) -> str:
    assert pipe is not None
    return b"".join(iter(lambda: pipe.read(65536), b"")).decode()


def _is_over(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_forked_connector_cannot_tell_that_it_is_one(start: Start, tmp_path: Path) -> None:
    script = """
import contextlib, json, os, signal, sys
def links():
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            yield os.readlink(f"/proc/self/fd/{descriptor}")
print(json.dumps({
    "name": __name__, "arguments": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ),
    "group": os.getpgid(0) == os.getpid(), "channels": sorted(link.split(":")[0] for link in links()),
    "imported": "colorsys" in sys.modules, "child": signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL,
    "input": sys.stdin.read(),
}))
print("said", file=sys.stderr)
sys.exit(3)
"""
    # The request is longer than what one read of a socket gives.
    process = start(script, "read", "--config", stdin=subprocess.PIPE, LONG="x" * 200_000)
    assert process.poll() is None
    assert process.stdin is not None
    process.stdin.write(b"records\n")
    process.stdin.close()
    seen = json.loads(_read(process.stdout))
    assert _read(process.stderr) == "said\n"
    assert [process.wait(), process.wait(0), process.poll()] == [3, 3, 3]
    environment = seen.pop("environment")
    assert environment.pop("LONG") == "x" * 200_000
    assert environment == {"PATH": os.environ["PATH"]}
    # A library may keep a file of its own open; the fork server's pipes and sockets are not here.
    assert [kind for kind in seen.pop("channels") if kind in ("pipe", "socket")] == ["pipe"] * 3
    assert (seen.pop("group"), seen.pop("imported"), seen.pop("child")) == (True, True, True)
    assert seen == {
        "name": "__main__",
        "arguments": ["read", "--config"],
        "folder": str(tmp_path),
        "input": "records\n",
    }


def test_a_forked_connector_that_fails_says_why(start: Start) -> None:
    process = start("import no_such_module", stderr=subprocess.STDOUT)
    assert "No module named 'no_such_module'" in _read(process.stdout)
    assert process.wait() == 1


def test_a_forked_connector_ends_as_a_program_does_but_is_not_taken_apart(start: Start) -> None:
    """Taking the interpreter apart touches, and so copies, all that was imported before the fork."""
    script = """
import atexit, os, sys, threading, time

class Torn:
    def __del__(self, write=os.write):
        write(1, b"torn")

sys.torn = Torn()
atexit.register(print, "at exit")
threading.Thread(target=lambda: (time.sleep(0.1), print("thread"))).start()
print("script")
sys.exit("why")
"""
    process = start(script)
    assert _read(process.stdout).split("\n") == ["script", "thread", "at exit", ""]
    assert (_read(process.stderr), process.wait()) == ("why\n", 1)


def test_arrow_keeps_what_a_batch_leaves_for_the_next_one(tmp_path: Path) -> None:
    script = tmp_path / "connector"
    script.write_text("import pyarrow; print(pyarrow.default_memory_pool().backend_name)")
    launcher = Launcher(tmp_path, {str(script): "pyarrow"})
    try:
        process = launcher.start([str(script)], folder=tmp_path, stdin=subprocess.DEVNULL)
        assert _read(process.stdout) == "system\n"
    finally:
        launcher.close()


def test_connectors_end_with_the_server_and_within_a_grace(fork_server: ForkServer, start: Start) -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(99)"
    )
    first, second = start(stubborn), start(stubborn)
    for process in (first, second):
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
    assert "SEEN_FROM_OUTSIDE=yes" in Path(f"/proc/{first.pid}/environ").read_text()
    with pytest.raises(subprocess.TimeoutExpired):
        first.wait(0.05)
    end_group(first, 0.05)
    assert first.wait(5) == -9
    # As when the server is killed: its end of the socket closes.
    fork_server.close()
    deadline = time.monotonic() + 5
    while not _is_over(second.pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_killed_fork_server_takes_its_connectors_along_and_is_replaced(fork_server: ForkServer, start: Start) -> None:
    process = start("import time; print('up', flush=True); time.sleep(99)")
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    psutil.Process(process.pid).parent().kill()  # type: ignore[union-attr]  # it has one
    assert _read(process.stdout) == "", "the connector has ended"
    assert process.wait(5) == -9
    again = start("print('again')")
    assert (_read(again.stdout), again.wait()) == ("again\n", 0)
