"""A stand-in for a container engine: one pod of Linux namespaces, in which everybody is an unprivileged user.

The pod has a network of its own (so that ports are those of the compose file), the services' names in its hosts file,
and folders of its own at the paths that the image and its volumes use. Nothing runs with privileges, nor needs them:
the pod's user 10001 is whoever runs the tests.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

from local_stack.processes import wait_until

_MOUNTED = {"opt": "/opt", "var-lib": "/var/lib", "tmp": "/tmp"}  # /tmp last: the pod's folder may be below it
UV_CACHE = "/var/lib/uv-cache"
_AS_USER = ("unshare", "--user", "--map-user=10001", "--map-group=10001")


class Pod:
    """Namespaces that live until :meth:`stop`; ``folder`` holds what is written in them.

    ``names`` are the hosts of the pod's own network; without them it has the machine's, as an image's build has.
    """

    def __init__(self, folder: Path, uv_cache: Path, names: Iterable[str] = ()) -> None:
        for mounted in _MOUNTED:
            (folder / mounted).mkdir(parents=True, exist_ok=True)
        (folder / "var-lib" / "uv-cache").mkdir(exist_ok=True)
        lines, mounts = ["mount --make-rprivate /"], [(uv_cache, UV_CACHE)]
        if names:
            hosts = folder / "hosts"
            hosts.write_text(f"127.0.0.1 localhost {' '.join(names)}\n")
            users = folder / "passwd"
            users.write_text("marketplace:x:10001:10001::/nonexistent:/bin/sh\n")
            mounts += [(hosts, "/etc/hosts"), (users, "/etc/passwd")]
            lines.append("ip link set lo up")
        self._networks = ["--net"] if names else []
        lines += [f"mount --bind '{folder / name}' {path}" for name, path in _MOUNTED.items() if path != "/tmp"]
        lines += [f"mount --bind '{source}' {path}" for source, path in mounts]
        lines += [f"mount --bind '{folder / 'tmp'}' /tmp", "echo ready", "exec cat > /dev/null"]
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
            pytest.fail(
                f"The image cannot be tried without Docker, because this machine gives no namespaces: {first}"
                "Allow them (sysctl kernel.unprivileged_userns_clone=1, and on Ubuntu "
                "kernel.apparmor_restrict_unprivileged_userns=0), and install util-linux and iproute2."
            )
        [self._init] = psutil.Process(self._holder.pid).children()

    def argv(self, command: Sequence[str], folder: str) -> list[str]:
        enter = ["nsenter", f"--target={self._init.pid}", "--user", "--mount", "--pid", "--preserve-credentials"]
        return [*enter, *self._networks, *_AS_USER, "sh", "-c", f'cd {folder} && exec "$@"', "sh", *command]

    def run(
        self, command: Sequence[str], environment: Mapping[str, str], folder: str = "/opt/marketplace", **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run ``command`` in the pod to its end; standard error is part of the output."""
        return subprocess.run(
            self.argv(command, folder),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], log: IO[bytes], folder: str = "/opt/marketplace"
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.argv(command, folder), env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )

    def stop(self) -> None:
        """End every process of the pod."""
        self._holder.kill()
        self._holder.wait(10)
        assert wait_until(lambda: not self._init.is_running(), 10)


def base_path() -> str:
    """PATH with the interpreter that stands for the base image's first."""
    return f"{Path(sys.base_prefix) / 'bin'}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
