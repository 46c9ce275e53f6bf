"""A stand-in for a container engine's isolation: a pod of Linux namespaces, in which everybody is an unprivileged user.

The pod has a network of its own (so that ports are those of the compose file), the services' names in its hosts file,
and folders of its own at the paths that the image and its volumes use. Nothing runs with privileges, nor needs them:
the pod's user 10001 is whoever runs the tests.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn, Self

import psutil
import pytest

#: The image's folders by the name of the pod's; /tmp last: the pod's folder may be below it.
_MOUNTED = {"opt": "/opt", "var/lib": "/var/lib", "tmp": "/tmp"}
_AS_USER = ("unshare", "--user", "--map-user=10001", "--map-group=10001")
#: ``ip link set lo up``, without iproute2: SIOCSIFFLAGS with IFF_UP.
_LOOPBACK_UP = "import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh14x', b'lo', 1))"


class Pod:
    """Namespaces that live as long as the ``with`` block; ``folder`` holds what is written in them.

    ``names`` are the hosts of the pod's own network; without them it has the machine's, as an image's build has.
    """

    def __init__(self, folder: Path, names: Iterable[str] = ()) -> None:
        if not sys.platform.startswith("linux"):
            not_tried("this is no Linux.")
        self.folder = folder
        for mounted in _MOUNTED:
            (folder / mounted).mkdir(parents=True, exist_ok=True)
        lines = ["mount --make-rprivate /"]
        if names:
            (folder / "hosts").write_text(f"127.0.0.1 localhost {' '.join(names)}\n")
            (folder / "passwd").write_text("marketplace:x:10001:10001::/nonexistent:/bin/sh\n")
            lines += [f'{sys.executable} -c "{_LOOPBACK_UP}"']
            lines += [f"mount --bind '{folder / name}' /etc/{name}" for name in ("hosts", "passwd")]
        self._networks = ["--net"] if names else []
        lines += [f"mount --bind '{folder / name}' {path}" for name, path in _MOUNTED.items()]
        lines += ["echo ready", "exec cat > /dev/null"]
        namespaces = ["--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        self._holder = subprocess.Popen(
            ["unshare", *namespaces, *self._networks, "sh", "-ec", "\n".join(lines)],
            # When whoever holds the other end is gone, however it ended, so is the pod.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._holder.stdout is not None
        first = self._holder.stdout.readline()
        if first != "ready\n":
            not_tried(
                f"the machine gives no namespaces ({first.strip()}). Allow them: sysctl "
                "kernel.unprivileged_userns_clone=1, and on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0."
            )
        [self._init] = psutil.Process(self._holder.pid).children()
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End every process of the pod: without its first one the kernel ends the others."""
        assert self._holder.stdin is not None
        self._holder.stdin.close()
        for process in (self._holder, *self._started):
            process.wait(60)

    def run(
        self, command: Sequence[str], environment: Mapping[str, str], **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run ``command`` in the pod to its end; standard error is part of the output."""
        return subprocess.run(
            self._argv(command),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )

    def start(self, command: Sequence[str], environment: Mapping[str, str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        command = self._argv(command)
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._started.append(process)
        return process

    def _argv(self, command: Sequence[str]) -> list[str]:
        enter = ["nsenter", f"--target={self._init.pid}", "--user", "--mount", "--pid", "--preserve-credentials"]
        in_folder = ["sh", "-c", 'cd /opt/marketplace && exec "$@"', "sh"]
        return [*enter, *self._networks, *_AS_USER, *in_folder, *command]


def not_tried(reason: str) -> NoReturn:
    """What a machine does not give is no fault of the project's; the workflow's machine has been told to give it."""
    message = f"NOT TRIED: the image cannot be run without Docker here, for {reason}"
    if os.environ.get("GITHUB_ACTIONS"):
        pytest.fail(message)
    pytest.skip(message)
