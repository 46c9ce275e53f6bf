"""A process that has imported connectors and forks one for each run: `python -m …fork_server MODULE… < control socket`.

It reads requests from the Unix socket on its standard input, and ends when that is closed: the server is gone, so all
connectors that still run are killed, as they are when it is killed itself. It starts no thread, for only then is a fork
safe.

A request is one line of JSON (``arguments``, ``folder``, ``environment``) with four file descriptors: the connector's
standard input, output and error, and a pipe on which two lines come back: the process id when the connector is in a
group of its own, and at its end the exit status (negative: the signal). The next request waits for the first of them.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import traceback
from typing import Any, NoReturn

_DESCRIPTORS = 4
_PART = 1 << 16
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class _ForkServer:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, int] = {}
        self._ended, self._wakeup = os.pipe()
        os.set_blocking(self._ended, False)
        os.set_blocking(self._wakeup, False)
        signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        # A handler is needed for the wake-up to happen.
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def serve(self) -> dict[str, Any]:
        """Returns in each connector's process, with its request; ends the server itself."""
        while True:
            ready, _, _ = select.select([self._control, self._ended], [], [])
            if self._ended in ready:
                self._reap()
            if self._control in ready:
                request, descriptors = self._receive()
                if request is None:
                    self._end()
                if self._fork(descriptors):
                    return request

    def _receive(self) -> tuple[dict[str, Any] | None, list[int]]:
        line, descriptors, _, _ = socket.recv_fds(self._control, _PART, _DESCRIPTORS)
        while line and not line.endswith(b"\n"):
            part = self._control.recv(_PART)
            line = line + part if part else b""
        return (json.loads(line) if line else None), descriptors

    def _fork(self, descriptors: list[int]) -> bool:
        """Whether this is the new process."""
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            # https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)
            os.setpgid(0, 0)
            self._leave(descriptors)
            return True
        # Also here, so that it is so before anybody is told.
        with contextlib.suppress(OSError):  # the child was faster, or is over
            os.setpgid(child, child)
        *standard, report = descriptors
        for descriptor in standard:
            os.close(descriptor)
        self._children[child] = report
        _tell(report, child)
        return False

    def _leave(self, descriptors: list[int]) -> None:
        """In the new process: nothing of the fork server's is left open."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, descriptor in enumerate(descriptors[:3]):
            os.dup2(descriptor, number)
        self._control.close()
        for descriptor in (*descriptors, self._ended, self._wakeup, *self._children.values()):
            os.close(descriptor)

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._ended, _PART)
        while self._children:
            child, status = os.waitpid(-1, os.WNOHANG)
            if child == 0:
                return
            report = self._children.pop(child)
            _tell(report, os.waitstatus_to_exitcode(status))
            os.close(report)

    def _end(self) -> NoReturn:
        for child in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
        os._exit(0)


def _tell(report: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # the platform does not want to know any more
        os.write(report, b"%d\n" % number)


def _run(request: dict[str, Any], end: _End) -> None:
    """Be the script that the first argument names, as if the interpreter had been started with it."""
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.argv = request["arguments"]
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as wanted:
        end.status = 0 if wanted.code is None else wanted.code & 0xFF if isinstance(wanted.code, int) else 1
        raise
    except Exception:
        end.status = 1
        raise
    end.status = 0


class _End:
    """Ends a connector as the interpreter would, but for taking itself apart: that touches, and so copies, every page
    of what was imported before the fork, in a tenth of a second. Threads have been waited for and uncaught errors been
    written by then."""

    def __init__(self) -> None:
        """To be called first of all: what is registered first is called last."""
        self.status: int | None = None
        atexit.register(self._leave)

    def _leave(self) -> None:
        if self.status is None:
            return
        with contextlib.suppress(OSError, ValueError):  # else the interpreter fails at it once more, and says so
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(self.status)


def main() -> None:
    """Import the modules named on the command line, then serve."""
    end = _End()
    # The control socket must not be a connector's standard input, not even for a moment.
    control = socket.socket(fileno=os.dup(0))
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    for module in sys.argv[1:]:
        try:
            importlib.import_module(module)
        except Exception:  # the connector itself will say it again, to those who run it
            traceback.print_exc()
    # What is shared stays shared: a collection would touch, and so copy, every page.
    gc.collect()
    gc.freeze()
    request = _ForkServer(control).serve()
    _run(request, end)


if __name__ == "__main__":
    main()
