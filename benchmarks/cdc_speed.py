"""How fast changes get from Postgres's log into BigQuery: ``.venv/bin/python benchmarks/cdc_speed.py [--changes N]``.

N changes of ``orders`` (half of them insertions, half updates) lie in the log. source-postgres reads them and
destination-bigquery deduplicates them into the emulator, both as processes of their own, joined as the platform joins
them: messages by a pipe, records by the Arrow channel (``--lines``: by the pipe, too). Timed from the start of both
processes to the end of both. Each run reads the same changes from the same state into a new dataset.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import psycopg

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from real_services import BIN, PROJECT  # noqa: E402
from source_and_warehouse import source_and_warehouse  # noqa: E402

from local_stack.postgres import EmbeddedPostgres  # noqa: E402

ORDERS = """
CREATE TABLE orders (
  id bigint PRIMARY KEY, user_id int, status text, amount numeric(12,2), currency char(3), created_at timestamptz,
  updated_at timestamptz, note text
)
"""
INSERTED = """
INSERT INTO orders SELECT i, i % 1000, 'paid', i % 100000 / 100.0, 'EUR', now(), now(), md5(i::text)
FROM generate_series(1, {}) i
"""
CHANNEL = {"DATA_CHANNEL_MEDIUM": "SOCKET", "DATA_CHANNEL_FORMAT": "ARROW"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changes", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--lines", action="store_true", help="records as JSON lines")
    options = parser.parse_args()
    with source_and_warehouse("cdc-speed-") as services:
        emulator = psutil.Process(services.emulator.pid)
        measure(options, services.folder, services.postgres, services.endpoint, emulator)


def measure(
    options: argparse.Namespace, folder: Path, server: EmbeddedPostgres, endpoint: str, emulator: psutil.Process
) -> None:
    def services() -> float:
        """Processor seconds of the emulator and of Postgres's sessions that have ended."""
        sessions = psutil.Process(server.pid()).cpu_times()
        own = emulator.cpu_times()
        return sessions.children_user + sessions.children_system + own.user + own.system

    source = {
        "host": server.host,
        "port": server.port,
        "database": "postgres",
        "username": "postgres",
        "password": server.superuser_password,
        "schemas": ["public"],
        "replication_method": {"method": "CDC", "replication_slot": "slot", "publication": "publication"},
    }
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        connection.execute(ORDERS)
        connection.execute("CREATE PUBLICATION publication FOR TABLE orders")
        connection.execute("SELECT pg_create_logical_replication_slot('slot', 'pgoutput')")
        write(folder, "source", source)
        discovered = output([BIN / "source-postgres", "discover", "--config", folder / "source.json"])
        stream = next(m["catalog"]["streams"][0] for m in discovered if m["type"] == "CATALOG")
        stream["namespace"] = "public"
        configured = {
            "stream": stream,
            "sync_mode": "incremental",
            "destination_sync_mode": "append_dedup",
            "cursor_field": ["_ab_cdc_lsn"],
            "primary_key": [["id"]],
            "generation_id": 1,
            "minimum_generation_id": 0,
            "sync_id": 1,
        }
        write(folder, "catalog", {"streams": [configured]})
        read: list[Any] = [BIN / "source-postgres", "read", "--config", folder / "source.json"]
        read += ["--catalog", folder / "catalog.json"]
        states = [message["state"] for message in output(read) if message["type"] == "STATE"]
        write(folder, "state", states[-1:])
        connection.execute(INSERTED.format(options.changes // 2).encode())
        connection.execute("UPDATE orders SET status = 'shipped', updated_at = now()")
    read += ["--state", folder / "state.json"]
    times = []
    for run in range(options.runs):
        destination = {
            "project_id": PROJECT,
            "dataset_id": f"run_{run}",
            "dataset_location": "US",
            "raw_data_dataset": f"run_{run}",
            "api_endpoint": endpoint,
        }
        write(folder, "destination", destination)
        configured["stream"] |= {"namespace": f"run_{run}"}
        write(folder, "written", {"streams": [configured]})
        command: list[Any] = [BIN / "destination-bigquery", "write", "--config", folder / "destination.json"]
        before, started = services(), time.perf_counter()
        cpu, memory = pair(read, [*command, "--catalog", folder / "written.json"], folder, f"run_{run}", options.lines)
        times.append(time.perf_counter() - started)
        print(
            f"run {run}: {times[-1]:.2f} s, {options.changes / times[-1]:,.0f} changes/s, processor seconds of the "
            f"connectors {cpu:.2f}, of Postgres and the emulator {services() - before:.2f}, peak memory {memory} MB",
            flush=True,
        )
    print(f"median: {options.changes / statistics.median(times):,.0f} changes/s ({options.changes:,} changes)")


def pair(read: list[Any], write_command: list[Any], folder: Path, namespace: str, lines: bool) -> tuple[float, int]:
    """Run source and destination; their processor time in seconds and peak memory together in megabytes.

    Raises:
        RuntimeError: where one of them fails.
    """
    environments: list[dict[str, str]] = [{}, {}]
    relay = None
    if not lines:
        paths = [folder / f"{namespace}-{end}.sock" for end in ("out", "in")]
        listeners = [socket.socket(socket.AF_UNIX) for _ in paths]
        for listener, path in zip(listeners, paths, strict=True):
            listener.bind(str(path))
            listener.listen(1)
        environments = [{**CHANNEL, "DATA_CHANNEL_SOCKET_PATHS": str(path)} for path in paths]
        relay = threading.Thread(target=forward, args=(listeners, namespace))
        relay.start()
    source = subprocess.Popen(read, stdout=subprocess.PIPE, env={**os.environ, **environments[0]})
    destination = subprocess.Popen(
        write_command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env={**os.environ, **environments[1]}
    )
    assert source.stdout is not None
    assert destination.stdin is not None
    for line in source.stdout:
        destination.stdin.write(line.replace(b'"namespace":"public"', b'"namespace":"%s"' % namespace.encode()))
    destination.stdin.close()
    ended = [os.wait4(process.pid, 0) for process in (source, destination)]
    if relay:
        relay.join()
    if any(status for _, status, _ in ended):
        raise RuntimeError(f"A connector failed: {[status for _, status, _ in ended]}")
    usages = [usage for _, _, usage in ended]
    return sum(u.ru_utime + u.ru_stime for u in usages), sum(u.ru_maxrss for u in usages) // 1024


def forward(listeners: list[socket.socket], namespace: str) -> None:
    """Frames from the source to the destination, with its namespace (docs/data-channel.md)."""
    source, destination = (listener.accept()[0] for listener in listeners)
    with source.makefile("rb") as frames, destination:
        while header := frames.readline():
            frame = json.loads(header) | {"namespace": namespace}
            destination.sendall(json.dumps(frame).encode() + b"\n")
            destination.sendall(frames.read(frame["bytes"]))


def output(command: list[Any]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in subprocess.check_output(command).splitlines()]


def write(folder: Path, name: str, content: Any) -> None:
    (folder / f"{name}.json").write_text(json.dumps(content))


if __name__ == "__main__":
    main()
