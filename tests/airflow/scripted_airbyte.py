"""An Airbyte that does as the test says: its failures, races and delays cannot be ordered from a real one."""

from __future__ import annotations

import json
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

CONNECTION_ID = "6f1a7c1e-0000-4000-8000-000000000001"
PUBLIC = "/api/public/v1"


class ScriptedAirbyte:
    """The calls the DAG makes, answered as Airbyte's public API and Config API answer them.

    ``jobs`` maps ids to what ``GET /jobs/{id}`` gives; ``details`` to what the Config API gives; ``unavailable`` counts
    requests still to be answered 503; ``started`` and ``cancelled`` record what was asked for.
    """

    def __init__(self) -> None:
        self.client_id = str(uuid.uuid4())  # the SDK shares tokens between servers with the same credentials
        self.connections = [connection("marketplace_postgres_to_bigquery")]
        self.jobs: dict[int, dict[str, Any]] = {}
        self.details: dict[int, dict[str, Any]] = {}
        self.unavailable = 0
        self.status_of_new_job = "running"
        self.credentials_are_good = True
        self.started: list[int] = []
        self.cancelled: list[int] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{PUBLIC}/"

    def __enter__(self) -> ScriptedAirbyte:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add_job(self, status: str, rows: int = 0) -> int:
        job_id = len(self.jobs) + 1
        self.jobs[job_id] = {
            "jobId": job_id,
            "status": status,
            "jobType": "sync",
            "startTime": "2026-11-21T07:34:05Z",
            "connectionId": CONNECTION_ID,
            "rowsSynced": rows,
            "bytesSynced": rows * 10,
        }
        return job_id

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> tuple[int, Any]:
        if self.unavailable:
            self.unavailable -= 1
            return 503, {"title": "service-unavailable"}
        if path == f"{PUBLIC}/applications/token":
            token = {"access_token": "token", "token_type": "Bearer", "expires_in": 900}
            return (200, token) if self.credentials_are_good else (401, {"title": "invalid-api-key"})
        if path == f"{PUBLIC}/connections":
            offset = int(query.get("offset", ["0"])[0])
            return 200, {"data": self.connections[offset : offset + 2], "next": "", "previous": ""}
        if path.startswith(f"{PUBLIC}/connections/"):
            return 200, next(item for item in self.connections if item["connectionId"] == path.rsplit("/")[-1])
        if path == f"{PUBLIC}/jobs" and method == "GET":
            jobs = sorted(self.jobs.values(), key=lambda job: -job["jobId"])
            return 200, {"data": jobs[: int(query["limit"][0])], "next": "", "previous": ""}
        if path == f"{PUBLIC}/jobs":
            if any(job["status"] in ("pending", "running", "incomplete") for job in self.jobs.values()):
                return 409, {"title": "try-again-later", "data": {"message": "A sync is already running"}}
            job_id = self.add_job(self.status_of_new_job)
            self.started.append(job_id)
            return 200, self.jobs[job_id]
        if path.startswith(f"{PUBLIC}/jobs/"):
            job = self.jobs.get(int(path.rsplit("/")[-1]))
            if job is None:
                return 404, {"title": "resource-not-found"}
            if method == "DELETE":
                job["status"] = "cancelled"
                self.cancelled.append(job["jobId"])
            return 200, job
        if path == "/api/v1/jobs/get" and body["id"] in self.details:
            return 200, self.details[body["id"]]
        return 404, {"title": "not-found", "detail": path}


def connection(name: str, streams: dict[str, str] | None = None, connection_id: str = CONNECTION_ID) -> dict[str, Any]:
    """A ConnectionResponse; ``streams`` maps names to sync modes."""
    return {
        "connectionId": connection_id,
        "name": name,
        "sourceId": "s",
        "destinationId": "d",
        "workspaceId": "w",
        "status": "active",
        "schedule": {"scheduleType": "manual"},
        "createdAt": 1700000000,
        "tags": [],
        "configurations": {"streams": [{"name": key, "syncMode": mode} for key, mode in (streams or {}).items()]},
    }


def details(committed: dict[str, int], attempts: int = 1, failure: str | None = None) -> dict[str, Any]:
    """A JobInfoRead of the Config API."""
    summary = {"failures": [{"failureOrigin": "source", "externalMessage": failure}]} if failure else None
    return {
        "job": {
            "streamAggregatedStats": [
                {"streamName": stream, "recordsCommitted": rows} for stream, rows in committed.items()
            ]
        },
        "attempts": [{"attempt": {"id": number, "failureSummary": summary}} for number in range(attempts)],
    }


def _handler(airbyte: ScriptedAirbyte) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _respond(self) -> None:
            url = urlsplit(self.path)
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            is_json = self.headers.get("Content-Type", "").startswith("application/json")
            body = json.loads(content) if content and is_json else {}
            status, answer = airbyte.answer(self.command, url.path, parse_qs(url.query), body)
            payload = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_DELETE = _respond

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    return Handler
