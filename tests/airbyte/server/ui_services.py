"""A server with connections in every state that the review UI has a picture for, and clients of its pages."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
from airbyte_services import CLIENT_ID, CLIENT_SECRET, FAKE_DESTINATION, FAKE_SOURCE, AirbyteServer
from psycopg.types.json import Jsonb
from real_services import Database

USERS = {
    "name": "users",
    "syncMode": "incremental_deduped_history",
    "cursorField": ["updated_at"],
    "primaryKey": [["id"]],
}
ORDERS = {"name": "orders", "syncMode": "full_refresh_overwrite"}
STREAMS = [USERS, ORDERS]
_QUICK = [
    {"log": "users are read"},
    {"records": 1200},
    {"state": "users", "value": {"updated_at": "2026-01-01"}},
    {"status": "users"},
    {"records": 340, "stream": "orders"},
    {"status": "orders"},
]
WATCHED = [
    {"records": 700},
    {"state": "users", "value": {"updated_at": "2026-01-02"}},
    {"status": "users", "value": "RUNNING"},
    {"sleep": 1.4},
    {"status": "users"},
    {"records": 50, "stream": "orders"},
    {"sleep": 1},
    {"status": "orders"},
]
ERROR = {
    "message": "The role airbyte may not read the table orders: GRANT SELECT ON public.orders TO airbyte",
    "internal_message": "psycopg.errors.InsufficientPrivilege: permission denied for table orders",
    "stack_trace": 'Traceback (most recent call last):\n  File "reader.py", line 12, in read',
    "failure_type": "config_error",
}
_FAILING = [
    {"records": 10},
    {"raw": json.dumps({"type": "TRACE", "trace": {"type": "ERROR", "emitted_at": 1.0, "error": ERROR}})},
    {"crash": "the reader gave up"},
]

_DECLARED = """\
resource_name: shop_to_warehouse
definition_type: connection
source_configuration_path: sources/shop/configuration.yaml
destination_configuration_path: destinations/warehouse/configuration.yaml
configuration:
  status: active
  schedule_type: manual
  sync_catalog:
    streams:
      # Every change moves updated_at,
      # and rows are never deleted outright.
      - stream: {name: users, namespace: public}
        config:
          sync_mode: incremental
          destination_sync_mode: append_dedup
          cursor_field: [updated_at]
          primary_key: [[id]]
      # Small, and without a cursor.
      - stream: {name: orders, namespace: public}
        config: {sync_mode: full_refresh, destination_sync_mode: overwrite}
"""
_DECLARED_SOURCE = f"""\
resource_name: shop
definition_type: source
definition_id: {FAKE_SOURCE}
definition_image: scripted
configuration:
  script: []
  api_key: open-sesame
  key: uuid
"""


@dataclass(frozen=True)
class Shop:
    """``connections``: ids by name. ``new_field``: a file; when it is there, streams have one more field."""

    server: AirbyteServer
    database: Database
    workspace: str
    connections: dict[str, str]
    new_field: Path

    def address(self, name: str, tab: str = "status") -> str:
        return f"{self.server.url}/workspaces/{self.workspace}/connections/{self.connections[name]}/{tab}"

    def client(self) -> PageClient:
        return PageClient(self.server.url)


class PageClient(httpx.Client):
    """A browser without scripts: keeps cookies, follows redirects, sends forms with what they carry."""

    def __init__(self, url: str) -> None:
        super().__init__(base_url=url, follow_redirects=True, timeout=30)

    def sign_in(self, secret: str = CLIENT_SECRET, **more: str) -> httpx.Response:
        return self.post("/sign-in", data={"client_id": CLIENT_ID, "client_secret": secret, **more})

    def csrf(self, address: str) -> str:
        found = re.search(r'name="csrf" value="(\w+)"', self.get(address).text)
        assert found is not None, "signed in, pages have forms with a token"
        return found[1]


def open_shop(database: Database, folder: Path) -> Shop:
    declared = folder / "declared"
    for path, text in (("connections/shop_to_warehouse", _DECLARED), ("sources/shop", _DECLARED_SOURCE)):
        (declared / path).mkdir(parents=True)
        (declared / path / "configuration.yaml").write_text(text)
    server = AirbyteServer(
        database.url,
        folder,
        AIRBYTE_DECLARED_DIR=str(declared),
        AIRBYTE_UI_SIGN_IN="yes",
        AIRBYTE_SCHEMA_MAX_AGE_SECONDS="0",
    )
    new_field = folder / "new-field"
    connections = {
        "shop_to_warehouse": _connect(server, folder, "shop", _QUICK, "shop_to_warehouse", extra_field=str(new_field)),
        "clicks_to_warehouse": _connect(server, folder, "clicks", _FAILING, "clicks_to_warehouse"),
        "events_to_warehouse": _connect(server, folder, "events", [{"crash": "boom"}], "events_to_warehouse"),
        "Q&A <paused>": _connect(server, folder, "paused", _QUICK, "Q&A <paused>"),
    }
    jobs = [server.trigger(connection) for name, connection in connections.items() if name != "Q&A <paused>"]
    server.call("PATCH", f"/connections/{connections['Q&A <paused>']}", json={"status": "inactive", "prefix": "p_"})
    statuses = [server.wait(job)["status"] for job in jobs]
    assert statuses == ["succeeded", "failed", "failed"]
    return Shop(server, database, server.workspace(), connections, new_field)


def _connect(
    server: AirbyteServer, folder: Path, source: str, script: list[dict[str, Any]], name: str, **configuration: Any
) -> str:
    body = {"workspaceId": server.workspace(), "definitionId": FAKE_SOURCE, "name": source}
    configuration = {"script": script, "api_key": "open-sesame", **configuration}
    source_id = server.call("POST", "/sources", json={**body, "configuration": configuration})["sourceId"]
    output = folder / source
    output.mkdir()
    body = {**body, "name": "warehouse", "definitionId": FAKE_DESTINATION, "configuration": {"folder": str(output)}}
    destination_id = server.call("POST", "/destinations", json=body)["destinationId"]
    ends = {"sourceId": source_id, "destinationId": destination_id}
    request = {**ends, "name": name, "configurations": {"streams": STREAMS}}
    return server.call("POST", "/connections", json=request)["connectionId"]


def add_history(shop: Shop, name: str) -> None:
    """24 earlier jobs of a connection, one of which failed, and then one that is run: what pictures need."""
    with psycopg.connect(shop.database.conninfo) as connection:
        for day in range(24, 0, -1):
            status = "failed" if day == 9 else "succeeded"
            job = connection.execute(
                "INSERT INTO jobs (connection_id, config_type, status, created_at, started_at, updated_at) VALUES (%s,"
                " 'sync', %s, now() - %s, now() - %s, now() - %s + interval '41 s') RETURNING id",
                [shop.connections[name], status, *[timedelta(days=day)] * 3],
            ).fetchone()
            assert job is not None
            rows = 0 if day == 9 else 900 + 37 * (day * day % 23)
            entries = [_entry("users", rows), _entry("orders", 310 + 8 * (24 - day))]
            connection.execute(
                "INSERT INTO attempts (job_id, number, status, stream_stats, created_at, updated_at, ended_at)"
                " VALUES (%s, 0, %s, %s, now(), now(), now())",
                [job[0], status, Jsonb(entries)],
            )
    shop.server.sync(shop.connections[name])


def _entry(stream: str, rows: int) -> dict[str, Any]:
    """A stream's numbers in an attempt."""
    counts = {"recordsEmitted": rows, "bytesEmitted": 61 * rows, "recordsCommitted": rows, "bytesCommitted": 61 * rows}
    return {
        "streamName": stream,
        "streamNamespace": "public",
        "status": "COMPLETE",
        "wasResumed": False,
        "stats": {**counts, "recordsRejected": 0, "estimatedRecords": None},
    }


def fill_workspace(shop: Shop, connections: int, jobs: int) -> tuple[str, str]:
    """Another workspace with so many connections and jobs; its id and that of a connection with jobs."""
    workspace = shop.server.call("POST", "/workspaces", json={"name": "large"})["workspaceId"]
    entries = [_entry(f"stream_{number}", 10) for number in range(9)]
    with psycopg.connect(shop.database.conninfo) as connection:
        connection.execute(
            "INSERT INTO actors SELECT gen_random_uuid(), %s, kind, definition_id, name, configuration, now()"
            " FROM actors WHERE name IN ('shop', 'warehouse')",
            [workspace],
        )
        connection.execute(
            "INSERT INTO connections (id, workspace_id, source_id, destination_id, name, status, schedule,"
            " namespace_definition, prefix, non_breaking_changes, streams, created_at)"
            " SELECT gen_random_uuid(), %(workspace)s, (SELECT id FROM actors WHERE kind = 'source' AND workspace_id ="
            " %(workspace)s LIMIT 1), (SELECT id FROM actors WHERE kind = 'destination' AND workspace_id ="
            " %(workspace)s LIMIT 1), 'connection ' || n, 'active', '{\"scheduleType\": \"manual\"}', 'destination',"
            " '', 'ignore', (SELECT streams FROM connections WHERE id = %(like)s), now()"
            " FROM generate_series(1, %(count)s) n",
            {"workspace": workspace, "like": shop.connections["shop_to_warehouse"], "count": connections},
        )
        ids = [row[0] for row in connection.execute("SELECT id FROM connections WHERE workspace_id = %s", [workspace])]
        connection.execute(
            "WITH made AS (INSERT INTO jobs (connection_id, config_type, status, created_at, started_at, updated_at)"
            " SELECT (%(ids)s::uuid[])[1 + n %% %(connections)s], 'sync', 'succeeded', now() - n * interval '1 min',"
            " now() - n * interval '1 min', now() - n * interval '1 min' + interval '9 s'"
            " FROM generate_series(%(jobs)s, 1, -1) n RETURNING id)"
            " INSERT INTO attempts (job_id, number, status, stream_stats, created_at, updated_at, ended_at)"
            " SELECT id, 0, 'succeeded', %(stats)s, now(), now(), now() FROM made",
            {"ids": ids, "connections": connections, "jobs": jobs, "stats": Jsonb(entries)},
        )
    with psycopg.connect(shop.database.conninfo, autocommit=True) as connection:
        connection.execute("ANALYZE")
    return workspace, str(ids[0])
