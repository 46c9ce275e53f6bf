"""A running ``airbyte-server`` with two scripted connectors, for tests of this folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import uvicorn
import yaml
from airbyte_api import AirbyteAPI, models
from airbyte_server.app import create_app
from airbyte_server.services import Services
from airbyte_server.settings import Settings
from real_services import BIN, free_port, wait_for_http

HERE = Path(__file__).parent
CLIENT_ID, CLIENT_SECRET = "test-client", "test-client-secret"
FAKE_SOURCE = str(uuid.UUID(int=1))
FAKE_DESTINATION = str(uuid.UUID(int=2))
LINES_ONLY_SOURCE = str(uuid.UUID(int=3))
# id, kind, type, script
CONNECTORS = (
    (FAKE_SOURCE, "source", "scripted-source", "fake_source.py"),
    (FAKE_DESTINATION, "destination", "scripted-destination", "fake_destination.py"),
    (LINES_ONLY_SOURCE, "source", "postgres-by-lines", "lines_only_source.py"),
)


class AirbyteServer:
    """The real server as a process; :meth:`restart` after :meth:`kill` keeps port, database and folder."""

    def __init__(self, database_url: str, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "server.log"
        self._database_url = database_url
        connectors = folder / "connectors.yaml"
        connectors.write_text(
            yaml.safe_dump(
                [
                    {
                        "id": definition_id,
                        "kind": kind,
                        "name": connector_type.capitalize().replace("-", " "),
                        "type": connector_type,
                        "command": [sys.executable, str(HERE / script)],
                    }
                    for definition_id, kind, connector_type, script in CONNECTORS
                ]
            )
        )
        self._command = [
            str(BIN / "airbyte-server"),
            *("--port", str(self.port), "--database-url", database_url, "--data-dir", str(folder / "data")),
        ]
        self._environment = {
            **os.environ,
            "AIRBYTE_CLIENT_ID": CLIENT_ID,
            "AIRBYTE_CLIENT_SECRET": CLIENT_SECRET,
            "AIRBYTE_CONNECTORS_FILE": str(connectors),
            "AIRBYTE_MANIFESTS_DIR": str(HERE / "manifests"),
            "AIRBYTE_RETRY_BACKOFF_SECONDS": "0",
            "AIRBYTE_RETRY_SUCCESSIVE_COMPLETE_FAILURES": "3",
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self, **environment: str) -> None:
        self._environment |= environment
        self._start()
        credentials = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        self.http = httpx.Client(base_url=self.url, timeout=30)
        token = self.http.post("/api/public/v1/applications/token", json=credentials).json()["access_token"]
        self.http.headers["Authorization"] = f"Bearer {token}"

    def _start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self._command, stdout=output, stderr=subprocess.STDOUT, env=self._environment
            )
        wait_for_http(f"{self.url}/api/public/v1/health", self.process, self.log)

    def kill(self) -> None:
        """As a power cut would: no goodbye to anyone."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        assert self.process is not None
        self.http.close()
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)

    def call(self, method: str, path: str, expect: int = 200, **options: Any) -> Any:
        """The JSON of ``/api/public/v1{path}`` (or of an absolute ``/api/…``), which must answer ``expect``."""
        address = path if path.startswith("/api/") else f"/api/public/v1{path}"
        answer = self.http.request(method, address, **options)
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def workspace(self) -> str:
        return self.call("GET", "/workspaces")["data"][0]["workspaceId"]

    def connect(
        self, script: list[dict[str, Any]], output: Path, *, streams: Any = None, destination: Any = None, **more: Any
    ) -> str:
        """A connection whose source runs ``script``; the destination writes to ``output``. Returns its id."""
        output.mkdir(exist_ok=True)
        source = self.source(script, **more.pop("source", {}))
        body = {
            "name": "to",
            "workspaceId": self.workspace(),
            "definitionId": FAKE_DESTINATION,
            "configuration": {"folder": str(output), **(destination or {})},
        }
        destination_id = self.call("POST", "/destinations", json=body)["destinationId"]
        request = {
            "name": "connection",
            "sourceId": source,
            "destinationId": destination_id,
            "configurations": {"streams": streams or [USERS_APPEND]},
            **more,
        }
        return self.call("POST", "/connections", json=request)["connectionId"]

    def source(self, script: list[dict[str, Any]], **configuration: Any) -> str:
        body = {
            "name": "from",
            "workspaceId": self.workspace(),
            "definitionId": FAKE_SOURCE,
            "configuration": {"script": script, **configuration},
        }
        return self.call("POST", "/sources", json=body)["sourceId"]

    def run_script(self, connection_id: str, script: list[dict[str, Any]]) -> None:
        """Give the connection's source another script."""
        source_id = self.call("GET", f"/connections/{connection_id}")["sourceId"]
        self.call("PATCH", f"/sources/{source_id}", json={"configuration": {"script": script}})

    def trigger(self, connection_id: str, job_type: str = "sync") -> int:
        return self.call("POST", "/jobs", json={"connectionId": connection_id, "jobType": job_type})["jobId"]

    def wait(self, job_id: int, *statuses: str, timeout: float = 30) -> dict[str, Any]:
        """The job as soon as its status is one of ``statuses`` (any final one by default)."""
        wanted = statuses or ("succeeded", "failed", "cancelled")
        deadline = time.monotonic() + timeout
        while True:
            job = self.call("GET", f"/jobs/{job_id}")
            if job["status"] in wanted:
                return job
            assert time.monotonic() < deadline, f"{job}\n{self.explain(job_id)}"
            time.sleep(0.05)

    def wait_until(self, job_id: int, reached: Callable[[dict[str, Any]], bool], timeout: float = 30) -> None:
        """Until ``reached`` holds for the job with its attempts, as the Config API shows it."""
        deadline = time.monotonic() + timeout
        while not reached(self.details(job_id)):
            assert time.monotonic() < deadline, self.explain(job_id)
            time.sleep(0.02)

    def sync(self, connection_id: str, job_type: str = "sync") -> dict[str, Any]:
        return self.wait(self.trigger(connection_id, job_type))

    def details(self, job_id: int) -> dict[str, Any]:
        return self.call("POST", "/api/v1/jobs/get", json={"id": job_id})

    def explain(self, job_id: int) -> str:
        """Status and log of every attempt, for messages of failing tests."""
        attempts = self.details(job_id)["attempts"]
        return "\n".join(f"{one['attempt']['status']}\n" + "\n".join(one["logs"]["logLines"]) for one in attempts)

    def state(self, connection_id: str) -> Any:
        answer = self.call("POST", "/api/v1/state/get", json={"connectionId": connection_id})
        return {
            entry["streamDescriptor"]["name"]: entry["streamState"] for entry in answer.get("streamState", [])
        } or None


class ServerInThisProcess(AirbyteServer):
    """For tests that start it often: a process of its own spends a second and a half on imports."""

    def _start(self) -> None:
        folder = self.folder / "data"
        settings = Settings.from_environment(
            host="127.0.0.1",
            port=self.port,
            database_url=self._database_url,
            data_dir=folder,
            environment=self._environment,
        )
        app = create_app(Services.open(settings))
        self._server = uvicorn.Server(uvicorn.Config(app, port=self.port, log_config=None, access_log=False))
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            time.sleep(0.01)

    def stop(self) -> None:
        self.http.close()
        self._server.should_exit = True
        self._thread.join()


def sdk_of(server: AirbyteServer) -> AirbyteAPI:
    """The platform's own client, logged in."""
    credentials = models.SchemeClientCredentials(
        client_id=CLIENT_ID, client_secret=CLIENT_SECRET, token_url="/api/public/v1/applications/token"
    )
    return AirbyteAPI(
        server_url=f"{server.url}/api/public/v1", security=models.Security(client_credentials=credentials)
    )


USERS_APPEND = {"name": "users", "syncMode": "incremental_append", "cursorField": ["updated_at"]}
ORDERS_OVERWRITE = {"name": "orders", "syncMode": "full_refresh_overwrite"}
