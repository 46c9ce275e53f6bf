"""The declared kind of connection with the real connectors: Postgres → server → BigQuery emulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from airbyte_services import AirbyteServer
from google.cloud import bigquery
from real_services import PROJECT, Database

from local_stack.postgres import EmbeddedPostgres

pytestmark = pytest.mark.slow

TABLES = """
CREATE TABLE users (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text, updated_at timestamptz NOT NULL);
CREATE TABLE products (id bigint PRIMARY KEY, price numeric(12,2), tags text[]);
CREATE TABLE event_log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, payload jsonb);
INSERT INTO users (name, updated_at)
    SELECT 'user ' || n, now() - n * interval '1 minute' FROM generate_series(1, 300) n;
INSERT INTO products SELECT n, n + 0.99, ARRAY['a', NULL] FROM generate_series(1, 200) n;
INSERT INTO event_log (payload) SELECT jsonb_build_object('n', n) FROM generate_series(1, 500) n;
"""
STREAMS = [
    {
        "name": "users",
        "syncMode": "incremental_deduped_history",
        "cursorField": ["updated_at"],
        "primaryKey": [["id"]],
    },
    {"name": "products", "syncMode": "full_refresh_overwrite"},
    {"name": "event_log", "syncMode": "incremental_append", "cursorField": ["id"]},
]


def create(airbyte: AirbyteServer, database: Database, endpoint: str, dataset: str, **source: Any) -> dict[str, str]:
    workspace = airbyte.workspace()
    source_body = {
        "name": "pg",
        "workspaceId": workspace,
        "configuration": {
            "sourceType": "postgres",
            **database.source_configuration,
            **source,
        },
    }
    destination_body = {
        "name": "bq",
        "workspaceId": workspace,
        "configuration": {
            "destinationType": "bigquery",
            "project_id": PROJECT,
            "dataset_id": dataset,
            "dataset_location": "US",
            "loading_method": {"method": "Standard"},
            "raw_data_dataset": f"{dataset}_internal",
            "api_endpoint": endpoint,
        },
    }
    return {
        "sourceId": airbyte.call("POST", "/sources", json=source_body)["sourceId"],
        "destinationId": airbyte.call("POST", "/destinations", json=destination_body)["destinationId"],
    }


def counts(client: bigquery.Client, dataset: str) -> dict[str, int]:
    return {
        stream["name"]: next(iter(client.query_and_wait(f"SELECT COUNT(*) FROM {dataset}.{stream['name']}")))[0]
        for stream in STREAMS
    }


def test_sync_then_incremental_sync_then_clear(
    airbyte: AirbyteServer, database: Database, bigquery_endpoint: str, bigquery_client: bigquery.Client, dataset: str
) -> None:
    with psycopg.connect(database.conninfo) as connection:
        connection.execute(TABLES)
    actors = create(airbyte, database, bigquery_endpoint, dataset)
    for kind in ("source", "destination"):
        body = {f"{kind}Id": actors[f"{kind}Id"]}
        check = airbyte.call("POST", f"/api/v1/{kind}s/check_connection", json=body)
        assert check["status"] == "succeeded", check
    request = {**actors, "name": "c", "configurations": {"streams": STREAMS}}
    connection_id = airbyte.call("POST", "/connections", json=request)["connectionId"]

    first = airbyte.wait(airbyte.trigger(connection_id), timeout=60)
    assert first["status"] == "succeeded", airbyte.explain(first["jobId"])
    assert first["rowsSynced"] == 1000
    assert counts(bigquery_client, dataset) == {"users": 300, "products": 200, "event_log": 500}

    with psycopg.connect(database.conninfo) as connection:
        connection.execute("UPDATE users SET name = 'new', updated_at = now() + interval '1 s' WHERE name = 'user 7'")
        connection.execute("DELETE FROM products WHERE id > 150")
        connection.execute("INSERT INTO event_log (payload) VALUES ('{}'), ('{}')")
    second = airbyte.wait(airbyte.trigger(connection_id), timeout=60)
    assert second["status"] == "succeeded", airbyte.explain(second["jobId"])
    found = counts(bigquery_client, dataset)
    # The lower bound of a cursor is inclusive, so an appended event may come twice.
    assert (found["users"], found["products"]) == (300, 150)
    assert found["event_log"] in (502, 503)
    renamed = f"SELECT COUNT(*) FROM {dataset}.users WHERE name = 'new'"
    assert next(iter(bigquery_client.query_and_wait(renamed)))[0] == 1

    cleared = airbyte.wait(airbyte.trigger(connection_id, "reset"), timeout=60)
    assert cleared["status"] == "succeeded", airbyte.explain(cleared["jobId"])
    assert counts(bigquery_client, dataset) == {"users": 0, "products": 0, "event_log": 0}
    assert airbyte.state(connection_id) is None


def test_a_wrong_password_is_told_by_check_and_discovery_and_never_shown(
    airbyte: AirbyteServer, database: Database, bigquery_endpoint: str, dataset: str, tmp_path: Path
) -> None:
    actors = create(airbyte, database, bigquery_endpoint, dataset, password="wr0ng-password")
    check = airbyte.call("POST", "/api/v1/sources/check_connection", json={"sourceId": actors["sourceId"]})
    assert check["status"] == "failed"
    assert "password" in check["message"]
    problem = airbyte.call("POST", "/connections", expect=422, json={**actors, "name": "c"})
    assert "could not be discovered" in problem["data"]["message"]
    shown = airbyte.call("GET", f"/sources/{actors['sourceId']}")["configuration"]
    assert shown["password"] == "**********"
    for text in (str(check), str(problem), airbyte.log.read_text()):
        assert "wr0ng-password" not in text


def test_change_data_capture(
    airbyte: AirbyteServer,
    database: Database,
    bigquery_endpoint: str,
    bigquery_client: bigquery.Client,
    dataset: str,
    postgres_server: EmbeddedPostgres,
) -> None:
    """One position in the log for all streams, which the server keeps beside each stream's own state."""
    slot = f"slot_{database.name}"
    with psycopg.connect(postgres_server.conninfo(database.name), autocommit=True) as superuser:
        superuser.execute(f"ALTER ROLE {database.user} REPLICATION".encode())
        superuser.execute(f"ALTER DATABASE {database.name} SET synchronous_commit = on".encode())
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        connection.execute(TABLES)
        connection.execute("CREATE PUBLICATION cdc FOR TABLE users, products")
        connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [slot])
    method = {"method": "CDC", "replication_slot": slot, "publication": "cdc"}
    try:
        actors = create(airbyte, database, bigquery_endpoint, dataset, replication_method=method)
        streams = [{"name": name, "syncMode": "incremental_deduped_history"} for name in ("users", "products")]
        streams.append({"name": "event_log", "syncMode": "full_refresh_overwrite"})
        request = {**actors, "name": "c", "configurations": {"streams": streams}}
        connection_id = airbyte.call("POST", "/connections", json=request)["connectionId"]
        first = airbyte.wait(airbyte.trigger(connection_id), timeout=60)
        assert first["status"] == "succeeded", airbyte.explain(first["jobId"])
        assert counts(bigquery_client, dataset) == {"users": 300, "products": 200, "event_log": 500}
        with psycopg.connect(database.conninfo) as connection:
            connection.execute("UPDATE users SET name = 'new' WHERE name = 'user 7'")
            connection.execute("DELETE FROM products WHERE id > 150")
        second = airbyte.wait(airbyte.trigger(connection_id), timeout=60)
        assert second["status"] == "succeeded", airbyte.explain(second["jobId"])
        assert second["rowsSynced"] == 51 + 500
        assert counts(bigquery_client, dataset) == {"users": 300, "products": 150, "event_log": 500}
        renamed = f"SELECT COUNT(*) FROM {dataset}.users WHERE name = 'new'"
        assert next(iter(bigquery_client.query_and_wait(renamed)))[0] == 1
    finally:
        with psycopg.connect(postgres_server.conninfo(), autocommit=True) as superuser:
            superuser.execute("SELECT pg_drop_replication_slot(%s)", [slot])
