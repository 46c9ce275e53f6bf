"""The server as a process: SIGTERM, a second instance, a taken port, what its threads are at, its log."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import pytest
from emulator_server import Server
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery
from real_services import free_port


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.start()
    yield server
    server.end()


def test_sigterm_stops_cleanly_in_the_middle_of_a_job_and_keeps_the_data(server: Server) -> None:
    client = server.client()
    client.create_dataset("d")
    client.query("CREATE TABLE d.t AS SELECT 1 AS id").result()
    numbers = "UNNEST(GENERATE_ARRAY(1, 5000))"
    endless = f"SELECT COUNTIF(MOD(a * b + c, 7) = 3) AS n FROM {numbers} AS a, {numbers} AS b, {numbers} AS c"
    slow = client.query(f"CREATE TABLE d.slow AS {endless}")
    assert server.process is not None
    while "manager.py" not in (server.folder / "log").read_text():  # its threads are asked until one is at the job
        os.kill(server.process.pid, signal.SIGUSR1)
        time.sleep(0.1)
    started = time.monotonic()
    assert server.kill(signal.SIGTERM) == 0
    assert time.monotonic() - started < 8
    server.start()
    client = server.client()
    assert [row.id for row in client.list_rows("d.t")] == [1]
    assert [table.table_id for table in client.list_tables("d")] == ["t"]
    assert "shut down" in client.get_job(slow.job_id).error_result["message"]


def test_a_second_instance_and_a_taken_port_end_with_a_message(server: Server, tmp_path: Path) -> None:
    def run(port: int, data: Path) -> tuple[int, str]:
        done = subprocess.run(server.command(port, data), capture_output=True, text=True, timeout=60)
        return done.returncode, done.stderr

    status, message = run(free_port(), tmp_path / "data")
    assert status != 0
    assert "in use by another bq-emulator" in message and str(tmp_path / "data") in message
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        status, message = run(port, tmp_path / "elsewhere")
    assert status != 0
    assert f"127.0.0.1:{port}" in message and "--port" in message
    assert httpx.get(f"{server.url}/healthz").status_code == 200


def test_pandas_is_left_where_it_is(server: Server) -> None:
    assert server.query("SELECT FARM_FINGERPRINT('a')").status_code == 200
    assert server.process is not None
    assert "/pandas/" not in Path(f"/proc/{server.process.pid}/maps").read_text()


def test_each_job_is_one_line_of_the_log_without_its_data(server: Server) -> None:
    client = server.client()
    client.create_dataset("d")
    client.query("CREATE TABLE d.t AS SELECT id FROM UNNEST([1, 2, 3]) AS id").result()
    selected = client.query("SELECT id FROM d.t WHERE id > 1")
    selected.result()
    script = client.query("INSERT INTO d.t VALUES (4); SELECT 'secret' FROM d.t WHERE ERROR('secret')")
    with pytest.raises(BadRequest):
        script.result()
    rows = io.BytesIO(b'{"id": 5}')
    config = bigquery.LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON")
    loaded = client.load_table_from_file(rows, "d.t", job_config=config).result()
    server.kill(signal.SIGTERM)  # the lines come after the answers
    log = (server.folder / "log").read_text()
    assert "secret" not in log
    lines = [line for line in map(orjson.loads, log.splitlines()) if "job_id" in line]
    assert len({line["job_id"] for line in lines}) == len(lines) == 6
    shown = ("event", "job_type", "statement_type", "state", "bytes_processed", "bytes_billed", "rows", "reason")
    told = {line["job_id"]: tuple(line.get(key) for key in shown) for line in lines}
    assert told[selected.job_id] == ("job done", "QUERY", "SELECT", "DONE", 24, 10 << 20, 2, None)
    assert told[script.job_id] == ("job failed", "QUERY", "SCRIPT", "DONE", 0, 0, 1, "invalidQuery")
    assert told[loaded.job_id] == ("job done", "LOAD", None, "DONE", None, None, 1, None)
    children = [line for line in lines if line.get("parent_job_id") == script.job_id]
    assert [(line["statement_type"], line.get("rows")) for line in children] == [("INSERT", 1), ("SELECT", None)]
    assert all(isinstance(line["ms"], int) for line in lines)
