"""Both connectors as processes of their own, joined as the platform joins them: a table's size is nothing to them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from google.cloud import bigquery

#: Runs a connector and leaves two figures in kilobytes: the memory in use once all is imported, and the peak.
MEASURED = """
import importlib, pathlib, sys

def kilobytes(name):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(name + ":"))

package, figures, *sys.argv[1:] = sys.argv[1:]
importlib.import_module(package + ".preload")
used = kilobytes("VmRSS")
try:
    importlib.import_module(package + ".cli").main()
finally:
    pathlib.Path(figures).write_text(used + " " + kilobytes("VmHWM"))
"""
ROWS, ROW_BYTES = 25_000, 4_000
#: Batches of a megabyte, three of them of twice as much, frames of two on the way, blocks of two in the source, and
#: what is imported late. A connector that kept anything of each row would come to 100 MB.
MOST_MB = 60


def test_a_sync_holds_no_more_of_a_table_than_a_few_batches(
    source: Any, destination: Any, execute: Any, dataset: str, bigquery_client: bigquery.Client, tmp_path: Path
) -> None:
    execute(f"CREATE SCHEMA {dataset}")
    table = f"{dataset}.t"
    execute(f"CREATE TABLE {table} (id int PRIMARY KEY, v text); ALTER TABLE {table} ALTER v SET STORAGE PLAIN")
    execute(f"INSERT INTO {table} SELECT i, repeat(chr(65 + i % 26), {ROW_BYTES}) FROM generate_series(1, {ROWS}) i")
    source.config["schemas"] = [dataset]
    destination.config["big_query_client_buffer_size_mb"] = 1
    (stream,) = source("discover").bodies("CATALOG", "catalog")[0]["streams"]
    key = {"cursor_field": ["id"], "primary_key": [["id"]], "generation_id": 0, "minimum_generation_id": 0}
    modes = {"sync_mode": "incremental", "destination_sync_mode": "append_dedup", "sync_id": 1}
    catalog = {"streams": [{"stream": stream, **key, **modes}]}

    with socket.socket(socket.AF_UNIX) as to_source, socket.socket(socket.AF_UNIX) as to_destination:
        commands = []
        for connector, command, listener in ((source, "read", to_source), (destination, "write", to_destination)):
            path = str(tmp_path / connector.program)
            listener.bind(path)
            listener.listen()
            listener.settimeout(60)
            offer = {"MEDIUM": "SOCKET", "FORMAT": "ARROW", "SOCKET_PATHS": path}
            package = connector.program.replace("-", "_")
            arguments = connector.arguments(command, catalog=catalog)[1:]
            commands.append(
                (
                    [sys.executable, "-c", MEASURED, package, str(tmp_path / package), *arguments],
                    {**os.environ, **{f"DATA_CHANNEL_{name}": value for name, value in offer.items()}},
                )
            )

        def relay() -> None:
            received, sent = to_source.accept()[0], to_destination.accept()[0]
            with received, sent, received.makefile("rb") as reading, sent.makefile("wb") as writing:
                shutil.copyfileobj(reading, writing)

        frames = threading.Thread(target=relay, daemon=True)
        frames.start()
        with subprocess.Popen(commands[0][0], env=commands[0][1], stdout=subprocess.PIPE) as reading:
            written = subprocess.run(
                commands[1][0], env=commands[1][1], stdin=reading.stdout, stdout=subprocess.PIPE, timeout=120
            )
        frames.join()
    assert (reading.returncode, written.returncode) == (0, 0), written.stdout
    states = [m["state"] for m in map(json.loads, written.stdout.splitlines()) if m["type"] == "STATE"]
    assert len(states) > 5, "a state for each sixteen megabytes of the table"
    found = bigquery_client.query(f"SELECT COUNT(*), SUM(LENGTH(v)) FROM `{table}`").result()
    assert [tuple(row.values()) for row in found] == [(ROWS, ROWS * ROW_BYTES)]
    for package in ("source_postgres", "destination_bigquery"):
        used, peak = map(int, (tmp_path / package).read_text().split())
        assert (peak - used) >> 10 < MOST_MB, f"{package} grew from {used >> 10} to {peak >> 10} MB"


def test_connectors_are_forked_from_what_has_no_pandas() -> None:
    for package in ("source_postgres", "destination_bigquery"):
        check = f"import sys, {package}.preload; sys.exit('pandas' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", check]).returncode == 0, package
