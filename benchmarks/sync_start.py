"""How soon a sync's first records come: ``.venv/bin/python benchmarks/sync_start.py [--runs N] [--cold]``.

A small table goes from an embedded Postgres to the BigQuery emulator through a running ``airbyte-server``. Timed from
the request that starts the job until the server's log of the attempt says that records have come; and to the job's end.
``--cold`` gives the same connectors as a user's commands, which are started as programs and not forked.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support"), str(ROOT / "tests" / "airbyte" / "server")]

from airbyte_server.replication.data_channel import FIRST_RECORDS  # noqa: E402
from airbyte_services import AirbyteServer  # noqa: E402
from real_services import BIN, PROJECT  # noqa: E402
from source_and_warehouse import source_and_warehouse  # noqa: E402

from local_stack.postgres import EmbeddedPostgres  # noqa: E402

COLD = {"source": "00000000-0000-0000-0000-00000000000a", "destination": "00000000-0000-0000-0000-00000000000b"}


def connect(server: AirbyteServer, postgres: EmbeddedPostgres, endpoint: str, *, cold: bool) -> str:
    """Create the connection; its id."""
    configurations = {
        "source": {
            "host": postgres.host, "port": postgres.port, "database": "bench", "username": "postgres",
            "password": postgres.superuser_password, "schemas": ["public"], "ssl_mode": {"mode": "disable"},
            "replication_method": {"method": "Standard"},
        },
        "destination": {
            "project_id": PROJECT, "dataset_id": "bench", "dataset_location": "US", "api_endpoint": endpoint,
            "loading_method": {"method": "Standard"},
        },
    }  # fmt: skip
    ids = {}
    for kind, configuration in configurations.items():
        known = {f"{kind}Type": {"source": "postgres", "destination": "bigquery"}[kind]}
        body = {"name": kind, "workspaceId": server.workspace(), **({"definitionId": COLD[kind]} if cold else {})}
        body |= {"configuration": configuration if cold else {**configuration, **known}}
        ids[f"{kind}Id"] = server.call("POST", f"/{kind}s", json=body)[f"{kind}Id"]
    streams = [{"name": "users", "syncMode": "full_refresh_overwrite"}]
    body = {"name": "bench", **ids, "configurations": {"streams": streams}}
    return server.call("POST", "/connections", json=body)["connectionId"]


def sync(server: AirbyteServer, connection: str) -> tuple[float, float]:
    """Seconds from the request to the first records, and to the end."""
    start = time.time()
    job = server.trigger(connection)
    status = server.wait(job, timeout=120)["status"]
    end = time.time()
    lines = server.details(job)["attempts"][0]["logs"]["logLines"]
    if status != "succeeded":
        raise RuntimeError("\n".join(lines))
    (moment,) = (line[:23] for line in lines if FIRST_RECORDS in line)
    return datetime.strptime(moment, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC).timestamp() - start, end - start


def measure(server: AirbyteServer, connection: str, runs: int) -> None:
    times = [sync(server, connection) for _ in range(runs + 1)]
    print(f"the first after the server's start: {times[0][0]:.2f} s")
    for name, seconds in zip(("first records", "end"), zip(*times[1:], strict=True), strict=True):
        print(f"{name}: median {statistics.median(seconds):.2f} s, {min(seconds):.2f} to {max(seconds):.2f} s")
    print(f"load {os.getloadavg()[0]:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--cold", action="store_true", help="start the connectors as programs")
    options = parser.parse_args()
    with source_and_warehouse("sync-start-") as services:
        folder, postgres, endpoint = services.folder, services.postgres, services.endpoint
        postgres.ensure_database("bench", "postgres")
        postgres.ensure_role("metadata", "metadata")
        postgres.ensure_database("metadata", "metadata")
        with psycopg.connect(postgres.conninfo("bench")) as connection:
            connection.execute(
                "CREATE TABLE users AS SELECT i AS id, 'user ' || i AS name FROM generate_series(1, 1000) i"
            )
        commands = folder / "cold.yaml"
        names = {"source": "source-postgres", "destination": "destination-bigquery"}
        commands.write_text(
            yaml.safe_dump(
                [
                    {"id": COLD[kind], "kind": kind, "name": name, "type": name, "command": ["env", str(BIN / name)]}
                    for kind, name in names.items()
                ]
            )
        )
        url = f"postgresql://metadata:metadata@{postgres.host}:{postgres.port}/metadata"
        (folder / "airbyte").mkdir()
        server = AirbyteServer(url, folder / "airbyte", AIRBYTE_CONNECTORS_FILE=str(commands))
        try:
            measure(server, connect(server, postgres, endpoint, cold=options.cold), options.runs)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
