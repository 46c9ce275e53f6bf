"""Project folders to try octavia in, and a public API that misbehaves as a test asks."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlparse

import psycopg
import pytest
from airbyte_api import models
from octavia.cli import main
from octavia_shop import PASSWORD_VARIABLE, TABLES, sdk
from real_services import free_port, wait_for_http

SOURCE = """\
resource_name: shop
definition_type: source
definition_id: decd338e-5647-4c0b-adf4-da0e75f5a750
configuration:
  host: "${SHOP_HOST:-127.0.0.1}"
  port: ${SHOP_PORT:-5433}
  database: shop
  schemas: [public]
  username: "${SHOP_USER:-reader}"
  password: "${SHOP_PASSWORD}"
  ssl_mode: {mode: prefer}
  replication_method: {method: Standard}
  tunnel_method: {tunnel_method: NO_TUNNEL}
"""
DESTINATION = """\
resource_name: warehouse
definition_type: destination
definition_id: 22f6c74f-5699-40ff-833c-4a879ea40133
configuration:
  project_id: marketplace-analytics
  dataset_id: raw
  dataset_location: US
  loading_method: {method: Standard}
  api_endpoint: "${WAREHOUSE_ENDPOINT:-}"
  credentials_json: "${WAREHOUSE_CREDENTIALS:-}"
"""
CONNECTION = """\
resource_name: shop_to_warehouse
definition_type: connection
source_configuration_path: sources/shop/configuration.yaml
destination_configuration_path: destinations/warehouse/configuration.yaml
configuration:
  non_breaking_changes_preference: propagate_columns
  schedule_type: manual
  sync_catalog:
    streams:
      - stream: {name: users, namespace: public}
        config:
          sync_mode: incremental
          destination_sync_mode: append_dedup
          cursor_field: [updated_at]
          primary_key: [[id]]
      - stream: {name: products}
        config: {sync_mode: full_refresh, destination_sync_mode: overwrite}
"""


@dataclass
class ProjectFolder:
    """A project with one source, destination and connection, and the ``octavia`` command run in it."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def source(self) -> Path:
        return self.folder / "sources/shop/configuration.yaml"

    @property
    def destination(self) -> Path:
        return self.folder / "destinations/warehouse/configuration.yaml"

    @property
    def connection(self) -> Path:
        return self.folder / "connections/shop_to_warehouse/configuration.yaml"

    def edit(self, file: Path, old: str, new: str) -> None:
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))

    def octavia(self, *arguments: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        """Run it in this process (a new one costs a second of imports); ``env`` comes on top of the project's."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AIRBYTE_", "SOURCE_"))}
        output, errors, status = io.StringIO(), io.StringIO(), 0
        with (
            contextlib.chdir(self.folder),
            mock.patch.dict(os.environ, {**clean, **self.env, **env}, clear=True),
            mock.patch.object(sys, "argv", ["octavia", *arguments]),
            mock.patch.object(sys, "stdin", io.StringIO(stdin)),
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(errors),
        ):
            try:
                main()
            except SystemExit as error:
                assert error.code is None or isinstance(error.code, int)
                status = error.code or 0
        return subprocess.CompletedProcess(arguments, status, output.getvalue(), errors.getvalue())


@pytest.fixture
def project(tmp_path: Path) -> ProjectFolder:
    result = ProjectFolder(tmp_path / "project", {"SHOP_PASSWORD": "hunter2-of-the-shop"})
    for file, text in (
        (result.source, SOURCE),
        (result.destination, DESTINATION),
        (result.connection, CONNECTION),
    ):
        file.parent.mkdir(parents=True)
        file.write_text(text)
    return result


@dataclass
class FakeApi:
    """Keeps what it is sent, and answers what ``replies`` holds for a ``METHOD /path`` instead, once or always."""

    url: str = ""
    resources: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {"sources": [], "destinations": [], "connections": []}
    )
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    replies: dict[str, tuple[int, str, str]] = field(default_factory=dict)

    def refuse(self, call: str, status: int, body: Any) -> None:
        self.replies[call] = (status, "application/json", json.dumps(body))

    @property
    def changes(self) -> list[str]:
        """The requests that change something, as ``METHOD /path``."""
        return [f"{method} {path}" for method, path, _ in self.requests if method != "GET" and "token" not in path]

    def answer(self, method: str, path: str, query: Mapping[str, list[str]], body: Any) -> tuple[int, str, str]:
        self.requests.append((method, path, body))
        for call, reply in self.replies.items():
            if call == f"{method} {path}":
                return reply
        return 200, "application/json", json.dumps(self._answer(method, path.strip("/").split("/"), query, body))

    def _answer(self, method: str, path: list[str], query: Mapping[str, list[str]], body: Any) -> Any:
        kind = path[0]
        if path == ["applications", "token"]:
            return {"access_token": "t", "token_type": "Bearer", "expires_in": 900}
        if kind == "workspaces":
            return {"data": [{"workspaceId": "w", "name": "n", "dataResidency": "auto", "notifications": {}}]}
        if len(path) == 1 and method == "GET":
            offset, limit = int(query["offset"][0]), int(query["limit"][0])
            return {"data": self.resources[kind][offset : offset + limit]}
        key = kind.removesuffix("s") + "Id"
        if len(path) == 1:
            found = {key: str(uuid.uuid4()), "createdAt": 0, "tags": [], "workspaceId": "w", "status": "active"}
            self.resources[kind].append(found)
        else:
            found = next(entry for entry in self.resources[kind] if entry[key] == path[1])
        found.update(body or {})
        masked = {"password", "credentials_json"}
        configuration = {
            name: "**********" if name in masked else value for name, value in found.get("configuration", {}).items()
        }
        return {**found, "configuration": configuration}


@pytest.fixture
def fake_api() -> Iterator[FakeApi]:
    fake = FakeApi()

    class Handler(BaseHTTPRequestHandler):
        def _reply(self) -> None:
            url = urlparse(self.path)
            content = self.rfile.read(int(self.headers.get("content-length", 0)))
            body = json.loads(content) if self.headers.get("content-type") == "application/json" else None
            status, kind, text = fake.answer(self.command, url.path, parse_qs(url.query), body)
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PUT = do_PATCH = _reply

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    yield fake
    server.shutdown()
    server.server_close()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a YAML file and gives its path."""

    def create(text: str) -> Path:
        file = tmp_path / "configuration.yaml"
        file.write_text(text)
        return file

    return create


@pytest.fixture(scope="session")
def airbyte_env(postgres_server: Any, service_dir: Path) -> Iterator[dict[str, str]]:
    """A running server's address and credentials, its metadata in a database of its own."""
    postgres_server.ensure_role("octavia_metadata", "metadata")
    postgres_server.ensure_database("octavia_metadata", "octavia_metadata")
    port = free_port()
    credentials = {"AIRBYTE_CLIENT_ID": "octavia-tests", "AIRBYTE_CLIENT_SECRET": "octavia-tests-secret"}
    log = service_dir / "octavia-airbyte-server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                Path(sys.executable).parent / "airbyte-server",
                *("--host", "127.0.0.1", "--port", str(port), "--data-dir", service_dir / "octavia-airbyte"),
                "--database-url",
                f"postgresql://octavia_metadata:metadata@{postgres_server.host}:{postgres_server.port}/octavia_metadata",
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **credentials},
        )
    url = f"http://127.0.0.1:{port}/api/public/v1"
    wait_for_http(f"{url}/health", process, log)
    yield {"AIRBYTE_API_URL": url, **credentials}
    process.terminate()
    process.wait(20)


@pytest.fixture
def shop(project: Any, database: Any, airbyte_env: dict[str, str], request: pytest.FixtureRequest) -> Iterator[Any]:
    """The project, its source a real database, in a workspace of its own."""
    with psycopg.connect(database.conninfo) as connection:
        connection.execute(TABLES)
    project.env |= airbyte_env | {
        "SHOP_HOST": database.host,
        "SHOP_PORT": str(database.port),
        "SHOP_USER": database.user,
        PASSWORD_VARIABLE: database.password,
    }
    project.edit(project.source, "database: shop", f"database: {database.name}")
    workspace = models.WorkspaceCreateRequest(name=request.node.name)
    created = sdk(airbyte_env).workspaces.create_workspace(request=workspace).workspace_response
    assert created
    project.env["AIRBYTE_WORKSPACE_ID"] = created.workspace_id
    yield project
