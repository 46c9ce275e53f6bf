"""An emulator as a process of its own, that a test may kill and start again on the same folder."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from pathlib import Path

import httpx
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from real_services import BIN, free_port, wait_for_http

SERVER_PROJECT = "crash-test"


class Server:
    """``folder`` gets the log and, in ``data``, the data."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.options = options
        self.port = free_port()
        self.grpc_port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self, port: int, data: Path) -> list[str | Path]:
        return [
            BIN / "bq-emulator",
            "--port",
            str(port),
            "--data-dir",
            data,
            "--project",
            SERVER_PROJECT,
            *self.options,
        ]

    def start(self, max_file_bytes: int | None = None, storage: bool = False) -> None:
        """``max_file_bytes`` is what the emulator can write into one file; the rest fails as on a full disk.
        ``storage`` has it serve the Storage API, too."""
        log = self.folder / "log"
        with log.open("ab") as output:
            command = self.command(self.port, self.folder / "data")
            command += ["--grpc-port", str(self.grpc_port)] if storage else []
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        if max_file_bytes is not None:
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (max_file_bytes, max_file_bytes))
        wait_for_http(f"{self.url}/healthz", self.process, log)

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Send a signal and wait for the end; the exit status."""
        assert self.process is not None
        os.kill(self.process.pid, number)
        return self.process.wait(20)

    def end(self) -> None:
        """Kill it if it is still there."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def client(self) -> bigquery.Client:
        return bigquery.Client(
            SERVER_PROJECT, credentials=AnonymousCredentials(), client_options={"api_endpoint": self.url}, location="US"
        )

    def request(self, path: str, body: dict[str, object]) -> httpx.Response:
        """POST below the project."""
        return httpx.post(f"{self.url}/bigquery/v2/projects/{SERVER_PROJECT}/{path}", json=body, timeout=60)

    def query(self, sql: str) -> httpx.Response:
        return self.request("queries", {"query": sql, "useLegacySql": False})
