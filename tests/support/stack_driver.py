"""Drives a stack of its own, in a folder and on ports of its own, through the command that people use."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import psycopg
from airbyte_api import AirbyteAPI, models
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from own_environment import PLATFORM
from real_services import BIN, PROJECT, free_port

from local_stack.airbyte_api import AirbyteApi
from local_stack.processes import wait_until


@dataclass
class Stack:
    """A stack in a folder and on ports of its own, driven through its command line."""

    home: Path
    environment: dict[str, str]

    def __call__(self, *arguments: str, timeout: float = 400, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BIN / "local-stack", *arguments],
            env={**self.environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )

    def run(self) -> str:
        done = self("run")
        assert done.returncode == 0, done.stdout[-6000:]
        return done.stdout

    @cached_property
    def airbyte(self) -> AirbyteApi:
        return AirbyteApi(self.environment["AIRBYTE_API_URL"], *self._airbyte_credentials)

    @cached_property
    def airbyte_sdk(self) -> AirbyteAPI:
        url = self.environment["AIRBYTE_API_URL"]
        client_id, client_secret = self._airbyte_credentials
        credentials = models.SchemeClientCredentials(
            client_id=client_id, client_secret=client_secret, token_url=f"{url}/applications/token"
        )
        return AirbyteAPI(server_url=url, security=models.Security(client_credentials=credentials))

    @property
    def _airbyte_credentials(self) -> tuple[str, str]:
        return "marketplace-local", json.loads((self.home / "secrets.json").read_text())["airbyte_client_secret"]

    def sync(self) -> None:
        """One sync of the stack's connection, without what Airflow does after it."""
        [job] = self.airbyte.start_syncs()
        assert wait_until(lambda: self.airbyte.job_status(job) not in ("pending", "running", "incomplete"), 200)
        assert self.airbyte.job_status(job) == "succeeded"

    def interrupt_run(self, sign: str) -> int:
        """Start a run and press Ctrl-C as soon as the file ``sign`` is there; its exit status."""
        process = subprocess.Popen(
            [BIN / "local-stack", "run"],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert wait_until(lambda: (self.home / sign).exists(), 120), f"{sign} did not appear"
        os.killpg(process.pid, signal.SIGINT)
        return process.wait(60)

    def source(self) -> psycopg.Connection:
        return psycopg.connect(self.environment["SOURCE_DB_DSN"], autocommit=True)

    @cached_property
    def client(self) -> bigquery.Client:
        return bigquery.Client(
            PROJECT,
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": self.environment["BIGQUERY_API_ENDPOINT"]},
            location="US",
        )

    def rows(self, query: str) -> list[tuple]:
        return [tuple(row.values()) for row in self.client.query_and_wait(query)]


def new_stack(home: Path, **variables: str) -> Stack:
    """A stack in ``home`` on free ports; nothing of the caller's own settings reaches it."""
    postgres = free_port()
    ours = {
        "LOCAL_STACK_DIR": str(home),
        "SOURCE_POSTGRES_PORT": str(postgres),
        "SOURCE_DB_DSN": f"postgresql://marketplace:marketplace_secret@127.0.0.1:{postgres}/marketplace",
        "BIGQUERY_API_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "AIRBYTE_API_URL": f"http://127.0.0.1:{free_port()}/api/public/v1",
        "AIRFLOW__API__PORT": str(free_port()),
        "PIPELINE_SCHEDULE": "off",  # a test that waits for its run would meet the one that midnight started
        # What a laptop's shell may have for other services: a proxy, which cannot reach the laptop, and a database.
        "http_proxy": "http://127.0.0.1:9",
        "no_proxy": "",
        "NO_PROXY": "",
        "PGSSLMODE": "verify-full",
        "PGUSER": "somebody",
        "PGOPTIONS": "-c search_path=nowhere",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PLATFORM)}
    return Stack(home, inherited | ours | variables)
