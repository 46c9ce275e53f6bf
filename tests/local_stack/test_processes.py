"""Background processes: found again, told apart from strangers, and ended with all they started."""

import json
import os
import sys
from pathlib import Path

import psutil
import pytest

from local_stack.processes import Background, end, marked, port_holder, port_is_free, wait_until

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
# A parent that ignores nothing, with a child in a session of its own, as connectors and task runners are.
FAMILY = [
    sys.executable,
    "-c",
    "import subprocess, sys, time; "
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True); time.sleep(60)",
]


@pytest.fixture
def background(tmp_path: Path):
    for folder in ("run", "logs"):
        (tmp_path / folder).mkdir()
    service = Background("sleeper", tmp_path)
    yield service
    service.stop()
    end(marked(tmp_path))


def test_a_started_process_is_found_again_and_stopped(background: Background) -> None:
    background.start(SLEEPER, dict(os.environ), {"A": "1"})
    process = background.process()
    assert process is not None and process.pid != os.getpid()
    assert background.is_current(SLEEPER, {"A": "1"})
    assert not background.is_current(SLEEPER, {"A": "2"})
    background.stop()
    assert background.process() is None and not process.is_running()


def test_a_pid_taken_over_by_a_stranger_is_not_ours(background: Background) -> None:
    background.record.write_text(json.dumps({"pid": os.getpid(), "create_time": 1.0, "fingerprint": ""}))
    assert background.process() is None
    background.stop()
    assert psutil.pid_exists(os.getpid())


def test_terminated_children_leave_nothing_running(background: Background, tmp_path: Path) -> None:
    background.start(FAMILY, dict(os.environ), {})
    assert wait_until(lambda: len(marked(tmp_path)) == 2, 10)
    background.stop()
    assert wait_until(lambda: marked(tmp_path) == [], 10)


def test_a_started_process_obeys_termination(background: Background) -> None:
    background.start(SLEEPER, dict(os.environ), {})
    process = background.process()
    assert process is not None
    process.terminate()
    process.wait(5)


def test_a_taken_port_is_noticed_and_its_holder_named() -> None:
    import socket

    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        assert not port_is_free(port)
        assert str(os.getpid()) in port_holder(port)
    assert port_is_free(port)
