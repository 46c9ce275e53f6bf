"""What every room's tests need to run real services: paths, free ports, waiting, a database's address."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PROJECT = "marketplace-analytics"


def free_port() -> int:
    """A loopback port that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_http(url: str, process: subprocess.Popen[bytes], log: Path, timeout: float = 120) -> None:
    """Wait until ``url`` answers 200; fail with the process's log if it dies or takes longer than ``timeout`` s."""
    deadline = time.monotonic() + timeout
    with httpx.Client(timeout=2, verify=False) as client:  # reading the certificates takes 25 ms
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if client.get(url).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
    process.kill()
    pytest.fail(f"{url} did not answer (exit status {process.poll()}):\n{log.read_text()[-4000:]}")


@dataclass(frozen=True)
class Database:
    """A database of its own for one test, owned by the role ``user``."""

    host: str
    port: int
    name: str
    user: str
    password: str
    superuser_conninfo: str

    @property
    def conninfo(self) -> str:
        return f"host={self.host} port={self.port} dbname={self.name} user={self.user} password={self.password}"

    @property
    def url(self) -> str:
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{self.name}"

    @property
    def source_configuration(self) -> dict[str, Any]:
        """What source-postgres is told to read the schema ``public`` by its cursors."""
        return {
            "host": self.host,
            "port": self.port,
            "database": self.name,
            "username": self.user,
            "password": self.password,
            "schemas": ["public"],
            "ssl_mode": {"mode": "disable"},
            "replication_method": {"method": "Standard"},
        }
