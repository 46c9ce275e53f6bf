"""Runs of the connectors' commands, as the platform runs them: files in, JSON lines out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cdc_replica import Replica
from connector_command import run_connector
from destination_messages import Query
from google.cloud import bigquery
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

BIN = Path(sys.executable).parent


def _integer(text: str) -> int | Decimal:
    """Python converts no more than 4300 digits at once; Postgres stores 131072."""
    return int(text) if len(text) < 4300 else Decimal(text)


@dataclass(frozen=True)
class Run:
    """What a command printed and how it ended."""

    lines: list[bytes]
    status: int

    @cached_property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(line, parse_float=Decimal, parse_int=_integer) for line in self.lines]

    def bodies(self, kind: str, key: str) -> list[Any]:
        return [message[key] for message in self.messages if message["type"] == kind]

    def records(self, stream: str) -> list[dict[str, Any]]:
        return [record["data"] for record in self.bodies("RECORD", "record") if record["stream"] == stream]

    def states(self, stream: str | None = None) -> list[dict[str, Any]]:
        found = self.bodies("STATE", "state")
        return [s for s in found if stream is None or s["stream"]["stream_descriptor"]["name"] == stream]

    @property
    def errors(self) -> list[dict[str, Any]]:
        return [trace["error"] for trace in self.bodies("TRACE", "trace") if trace["type"] == "ERROR"]

    def statuses(self, stream: str) -> list[str]:
        traces = [t["stream_status"] for t in self.bodies("TRACE", "trace") if t["type"] == "STREAM_STATUS"]
        return [t["status"] for t in traces if t["stream_descriptor"]["name"] == stream]

    @property
    def logs(self) -> str:
        return "\n".join(log["message"] for log in self.bodies("LOG", "log"))


class Connector:
    """A connector with a configuration; keyword arguments are its commands' files."""

    def __init__(self, program: str, config: dict[str, Any], folder: Path) -> None:
        self.program = program
        self.config = config
        self.folder = folder

    def arguments(self, command: str, **files: Any) -> list[str]:
        arguments = [str(BIN / self.program), command]
        for name, content in {"config": self.config, **files}.items() if command != "spec" else ():
            if content is not None:
                path = self.folder / f"{name}.json"
                path.write_text(json.dumps(content, default=float))
                arguments += [f"--{name}", str(path)]
        return arguments

    def __call__(self, command: str, stdin: bytes = b"", **files: Any) -> Run:
        output, status = run_connector(self.program, self.arguments(command, **files)[1:], stdin)
        return Run(output.splitlines(keepends=True), status)

    def check(self, **overrides: Any) -> dict[str, str]:
        run = self("check", config={**self.config, **overrides})
        return run.bodies("CONNECTION_STATUS", "connectionStatus")[0]


@pytest.fixture
def source(database: Any, tmp_path: Path) -> Connector:
    config = database.source_configuration
    return Connector("source-postgres", config, tmp_path)


@pytest.fixture
def destination(dataset: str, bigquery_endpoint: str, tmp_path: Path) -> Connector:
    """Writes to a fresh dataset, which holds its working tables too."""
    config = {
        "project_id": "marketplace-analytics",
        "dataset_id": dataset,
        "dataset_location": "US",
        "raw_data_dataset": dataset,
        "loading_method": {"method": "Standard"},
        "api_endpoint": bigquery_endpoint,
    }
    folder = tmp_path / "destination"
    folder.mkdir()
    return Connector("destination-bigquery", config, folder)


@pytest.fixture
def query(bigquery_client: bigquery.Client, dataset: str) -> Query:
    def run(statement: str) -> list[tuple[Any, ...]]:
        rows = bigquery_client.query(statement.format(t=f"`{dataset}.things`")).result()
        return [tuple(row.values()) for row in rows]

    return run


@pytest.fixture
def table_names(bigquery_client: bigquery.Client, dataset: str) -> Callable[[], list[str]]:
    return lambda: sorted(table.table_id for table in bigquery_client.list_tables(dataset))


@pytest.fixture
def execute(database: Any) -> Callable[..., list[Any]]:
    """Run SQL in the source database."""

    def run(statement: str, *parameters: Any) -> list[Any]:
        with psycopg.connect(database.conninfo, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    return run


@pytest.fixture
def configured(source: Connector) -> Callable[..., dict[str, Any]]:
    """A configured catalog of the discovered streams: ``configured(users={"cursor_field": ["id"]})`` reads users
    incrementally; an empty dict or no mention means full refresh."""

    def catalog(**streams: dict[str, Any]) -> dict[str, Any]:
        discovered = source("discover").bodies("CATALOG", "catalog")[0]["streams"]
        result = []
        for stream in discovered:
            if streams and stream["name"] not in streams:
                continue
            given = streams.get(stream["name"], {})
            incremental = "cursor_field" in given
            result.append(
                {
                    "stream": stream,
                    "sync_mode": "incremental" if incremental else "full_refresh",
                    "destination_sync_mode": "append" if incremental else "overwrite",
                    "cursor_field": [],
                    "primary_key": stream["source_defined_primary_key"],
                    "generation_id": 1,
                    "minimum_generation_id": 0 if incremental else 1,
                    "sync_id": 1,
                    **given,
                }
            )
        return {"streams": result}

    return catalog


@pytest.fixture
def slot(source: Connector, database: Any, postgres_server: Any) -> Iterator[str]:
    """The database set up for CDC as an administrator would; the slot is made by :func:`replica`."""
    with psycopg.connect(postgres_server.conninfo(database.name), autocommit=True) as superuser:
        superuser.execute(f"ALTER ROLE {database.user} REPLICATION".encode())
        # What has been committed is flushed: the log can be read at once.
        superuser.execute(f"ALTER DATABASE {database.name} SET synchronous_commit = on".encode())
        superuser.execute("CREATE PUBLICATION airbyte_publication FOR ALL TABLES")
        superuser.execute(f"ALTER PUBLICATION airbyte_publication OWNER TO {database.user}".encode())
    name = f"slot_{database.name}"
    source.config["replication_method"] = {
        "method": "CDC",
        "replication_slot": name,
        "publication": "airbyte_publication",
    }
    yield name
    with psycopg.connect(postgres_server.conninfo(), autocommit=True) as superuser:
        statement = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s"
        # The server may not have noticed yet that the last reader is gone.
        for attempt in Retrying(
            retry=retry_if_exception_type(psycopg.errors.ObjectInUse), stop=stop_after_delay(30), wait=wait_fixed(0.05)
        ):
            with attempt:
                superuser.execute(statement, [name])


@pytest.fixture
def replica(source: Connector, configured: Any, execute: Any, slot: str) -> Replica:
    execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", slot)
    return Replica(source, configured)
