"""Drives a stack of its own, in a folder and on ports of its own, through the command that people use."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psycopg
from airbyte_api import AirbyteAPI, api, models
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from real_services import BIN, PROJECT, free_port

from local_stack.processes import wait_until

_OURS = (
    "AIRFLOW", "ALERT_", "AIRBYTE", "BIGQUERY", "SOURCE_", "DBT_", "GOOGLE_", "LOCAL_STACK", "METADATA_", "PIPELINE_"
)  # fmt: skip


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

    def sync(self) -> None:
        """One sync of the stack's connection, without what Airflow does after it."""
        url = self.environment["AIRBYTE_API_URL"]
        credentials = models.SchemeClientCredentials(
            client_id="marketplace-local",
            client_secret=json.loads((self.home / "secrets.json").read_text())["airbyte_client_secret"],
            token_url=f"{url}/applications/token",
        )
        sdk = AirbyteAPI(server_url=url, security=models.Security(client_credentials=credentials))
        [connection] = sdk.connections.list_connections(request=api.ListConnectionsRequest()).connections_response.data
        request = models.JobCreateRequest(connection_id=connection.connection_id, job_type=models.JobTypeEnum.SYNC)
        job = sdk.jobs.create_job(request=request).job_response

        def status() -> models.JobStatusEnum:
            return sdk.jobs.get_job(request=api.GetJobRequest(job_id=job.job_id)).job_response.status

        unfinished = (models.JobStatusEnum.PENDING, models.JobStatusEnum.RUNNING, models.JobStatusEnum.INCOMPLETE)
        assert wait_until(lambda: status() not in unfinished, 200)
        assert status() == models.JobStatusEnum.SUCCEEDED

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

    def rows(self, query: str) -> list[tuple]:
        client = bigquery.Client(
            PROJECT,
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": self.environment["BIGQUERY_API_ENDPOINT"]},
            location="US",
        )
        return [tuple(row.values()) for row in client.query_and_wait(query)]


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
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return Stack(home, inherited | ours | variables)
