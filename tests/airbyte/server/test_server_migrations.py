"""The metadata database of an older server: upgraded at start, its unfinished jobs gone on with."""

from __future__ import annotations

import json
import uuid
from importlib.resources import files
from pathlib import Path

import psycopg
import pytest
from airbyte_server import migrations
from airbyte_server.database import Database as MetadataDatabase
from airbyte_services import FAKE_DESTINATION, FAKE_SOURCE, ServerInThisProcess
from real_services import Database

_NAMES = sorted(file.name for file in files(migrations).iterdir() if file.name.endswith(".sql"))
_STREAM = {
    "name": "users",
    "namespace": "public",
    "syncMode": "incremental_append",
    "cursorField": ["updated_at"],
    "primaryKey": [["id"]],
    "selectedFields": None,
    "stream": {
        "name": "users",
        "namespace": "public",
        "json_schema": {"type": "object", "properties": {"id": {"type": "integer"}, "updated_at": {"type": "string"}}},
        "supported_sync_modes": ["full_refresh", "incremental"],
    },
}


def _first_release(connection: psycopg.Connection, folder: Path) -> str:
    """What the first migration's server left when it was killed in a job's first attempt; the connection's id."""
    script = (files(migrations) / _NAMES[0]).read_text()
    connection.execute("CREATE TABLE schema_migrations (name text PRIMARY KEY, applied_at timestamptz DEFAULT now())")
    connection.execute(script.encode())
    connection.execute("INSERT INTO schema_migrations (name) VALUES (%s)", [_NAMES[0]])
    workspace, source, destination, one = (uuid.uuid4() for _ in range(4))
    connection.execute("INSERT INTO workspaces VALUES (%s, 'Old', '{}', now())", [workspace])
    work = [{"save_state": str(folder / "state.json")}, {"records": 2}, {"status": "users"}]
    for kind, actor, definition, configuration in (
        ("source", source, FAKE_SOURCE, {"script": work}),
        ("destination", destination, FAKE_DESTINATION, {"folder": str(folder)}),
    ):
        connection.execute(
            "INSERT INTO actors VALUES (%s, %s, %s, %s, 'old', %s, now())",
            [actor, workspace, kind, definition, json.dumps(configuration)],
        )
    connection.execute(
        "INSERT INTO connections VALUES (%s, %s, %s, %s, 'old', 'active', %s, 'source', NULL, '', 'ignore', %s, now())",
        [one, workspace, source, destination, json.dumps({"scheduleType": "manual"}), json.dumps([_STREAM])],
    )
    fixed = [{**_STREAM, "generationId": 0, "minimumGenerationId": 0}]
    connection.execute(
        "INSERT INTO jobs (connection_id, config_type, status, streams, created_at, started_at, updated_at)"
        " VALUES (%s, 'sync', 'running', %s, now(), now(), now())",
        [one, json.dumps(fixed)],
    )
    connection.execute(
        "INSERT INTO attempts (job_id, number, status, created_at, updated_at) VALUES (1, 0, 'running', now(), now())"
    )
    connection.execute(
        "INSERT INTO stream_states VALUES (%s, 'stream', 'public', 'users', '{\"n\":1.0}', now())", [one]
    )
    return str(one)


def test_a_database_of_the_first_release_is_upgraded_and_its_job_goes_on(database: Database, tmp_path: Path) -> None:
    with psycopg.connect(database.conninfo) as connection:
        old = _first_release(connection, tmp_path)
    server = ServerInThisProcess(database.url, tmp_path)
    try:
        job = server.wait(1)
        assert (job["status"], job["rowsSynced"]) == ("succeeded", 2)
        assert '{"n":1.0}' in (tmp_path / "state.json").read_text(), "the state of before goes on"
        first, second = (entry["attempt"] for entry in server.details(1)["attempts"])
        assert (first["status"], second["status"]) == ("failed", "succeeded")
        assert server.sync(old)["status"] == "succeeded"
    finally:
        server.stop()
    with psycopg.connect(database.conninfo) as connection:
        applied = connection.execute("SELECT name FROM schema_migrations ORDER BY name").fetchall()
    assert [name for (name,) in applied] == _NAMES


def test_a_database_of_a_newer_server_is_refused(database: Database) -> None:
    url = database.url.replace("postgresql:", "postgresql+psycopg:")
    MetadataDatabase(url).close()
    with psycopg.connect(database.conninfo) as connection:
        connection.execute("INSERT INTO schema_migrations (name) VALUES ('9999_future.sql')")
    with pytest.raises(RuntimeError, match=r"migrations this server does not know \(9999_future.sql\)"):
        MetadataDatabase(url)
