"""``local-stack preflight`` says what is missing, by name, and changes nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg
import pytest
import requests
from google.cloud import bigquery
from real_services import Database, free_port
from stack_driver import Stack, new_stack

from local_stack.preflight.warehouse import project_rights
from source_db.database import run_script

_TABLES = "SELECT count(*) FROM pg_class"


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """Commands of a stack that is not running."""
    return new_stack(tmp_path / "stack")


@pytest.fixture
def shop(new_database: Callable[[], Database]) -> Database:
    """The marketplace's tables, empty, in somebody's database."""
    database = new_database()
    with psycopg.connect(database.conninfo) as connection:
        run_script(connection, "schema.sql")
    return database


def variables(database: Database) -> dict[str, str]:
    named = {"HOST": database.host, "PORT": str(database.port), "DATABASE": database.name, "USER": database.user}
    return {f"SOURCE_POSTGRES_{name}": value for name, value in {**named, "PASSWORD": database.password}.items()}


def test_a_source_is_told_what_it_lacks_and_left_as_it_was(
    stack: Stack, shop: Database, new_database: Callable[[], Database]
) -> None:
    reader = new_database()
    with psycopg.connect(shop.superuser_conninfo, autocommit=True) as admin:
        admin.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader.user}")
        good = stack(
            "preflight", "source", **variables(shop) | variables(reader) | {"SOURCE_POSTGRES_DATABASE": shop.name}
        )
        assert good.returncode == 0, good.stdout
        assert good.stdout.count("✓ table public.") == 9 and "Nothing is missing" in good.stdout

        admin.execute(f"REVOKE SELECT ON reviews FROM {reader.user}; ALTER TABLE users RENAME updated_at TO changed_at")
        admin.execute(f"DROP TABLE event_log; GRANT DELETE ON categories TO {reader.user}")
        before = admin.execute(_TABLES).fetchone()
        bad = stack(
            "preflight", "source", **variables(shop) | variables(reader) | {"SOURCE_POSTGRES_DATABASE": shop.name}
        )
        assert admin.execute(_TABLES).fetchone() == before
    assert bad.returncode == 1
    for line in (
        "✗ table public.reviews may not be read",
        "✗ table public.users has no column updated_at",
        "✗ table public.event_log does not exist",
        "? table public.categories may be written, too",
        "3 things are missing",
    ):
        assert line in bad.stdout, bad.stdout
    assert reader.password not in bad.stdout


def test_a_warehouse_is_told_by_project_and_location(
    stack: Stack, bigquery_endpoint: str, bigquery_client: bigquery.Client
) -> None:
    datasets = {dataset.dataset_id for dataset in bigquery_client.list_datasets()}
    good = stack("preflight", "bigquery", BIGQUERY_API_ENDPOINT=bigquery_endpoint)
    assert good.returncode == 0, good.stdout
    assert {dataset.dataset_id for dataset in bigquery_client.list_datasets()} == datasets
    other = stack("preflight", "bigquery", BIGQUERY_API_ENDPOINT=bigquery_endpoint, BIGQUERY_PROJECT="no-such-project")
    assert other.returncode == 1 and "✗ project no-such-project" in other.stdout
    bigquery_client.create_dataset("ops", exists_ok=True)
    moved = stack("preflight", "bigquery", BIGQUERY_API_ENDPOINT=bigquery_endpoint, BIGQUERY_LOCATION="EU")
    assert moved.returncode == 1 and "✗ dataset ops is in US, BIGQUERY_LOCATION is EU" in moved.stdout


def test_services_that_are_not_there_are_told_with_the_variable_that_names_them(stack: Stack) -> None:
    done = stack("preflight", "airbyte", "airflow", AIRFLOW_API_URL=f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert "is no Airbyte API" in done.stdout and "AIRBYTE_API_URL" in done.stdout
    assert "is no Airflow 3" in done.stdout and "AIRFLOW_API_URL" in done.stdout


@contextmanager
def resource_manager(status: int, granted: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Google's ``testIamPermissions`` on loopback; also the bodies it was asked with."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path + self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps({"permissions": granted}).encode())

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
    finally:
        server.shutdown()
        server.server_close()


def test_rights_that_google_does_not_grant_are_named() -> None:
    with resource_manager(200, ["bigquery.tables.create"]) as (url, asked):
        found = {finding.what.split()[0]: finding.state for finding in project_rights(requests.Session(), "shop", url)}
    assert found["bigquery.tables.create"] == "good"
    assert found["bigquery.jobs.create"] == "missing"
    assert found["bigquery.tables.updateData"] == "unsure"
    assert asked[0].startswith("/v1/projects/shop:testIamPermissions")
    with resource_manager(403, []) as (url, _):
        assert [finding.state for finding in project_rights(requests.Session(), "shop", url)] == ["unsure"]


def test_alerts_are_told_by_channel_without_the_secret_and_nothing_is_sent(stack: Stack) -> None:
    with resource_manager(200, []) as (origin, posted):
        good = stack("preflight", "alerts", ALERT_SLACK_WEBHOOK_URL=f"{origin}/services/secret-path")
    assert good.returncode == 0 and f"✓ webhook's host {origin.removesuffix('/v1')} answers" in good.stdout, good.stdout
    assert posted == []
    bad = stack("preflight", "alerts", ALERT_SLACK_WEBHOOK_URL=f"{origin}/services/secret-path")
    assert bad.returncode == 1 and "✗ webhook at" in bad.stdout and "1 thing is missing" in bad.stdout, bad.stdout
    assert "secret-path" not in good.stdout + bad.stdout
