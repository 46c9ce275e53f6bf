"""The server as a process: kill -9, restart, SIGTERM, a second instance, a taken port."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from real_services import BIN, free_port, wait_for_http

PROJECT = "crash-test"


class Server:
    """An emulator on its own folder that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self, port: int, data: Path) -> list[str | Path]:
        return [BIN / "bq-emulator", "--port", str(port), "--data-dir", data, "--project", PROJECT]

    def start(self) -> None:
        log = self.folder / "log"
        with log.open("ab") as output:
            command = self.command(self.port, self.folder / "data")
            self.process = subprocess.Popen(command, stdout=output, stderr=output)
        wait_for_http(f"{self.url}/healthz", self.process, log)

    def kill(self, number: int = signal.SIGKILL) -> int:
        assert self.process is not None
        os.kill(self.process.pid, number)
        return self.process.wait(10)

    def client(self) -> bigquery.Client:
        return bigquery.Client(
            PROJECT, credentials=AnonymousCredentials(), client_options={"api_endpoint": self.url}, location="US"
        )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.start()
    yield server
    assert server.process is not None
    if server.process.poll() is None:
        server.kill()


def request(server: Server, path: str, body: dict[str, object]) -> dict[str, object]:
    answer = httpx.post(f"{server.url}/bigquery/v2/projects/{PROJECT}/{path}", json=body, timeout=30)
    answer.raise_for_status()
    return answer.json()


def insert_forever(server: Server, acknowledged: list[str], job: Callable[[int], dict[str, object]]) -> None:
    """Submit jobs one after another until the server dies; note those it acknowledged."""
    number = 0
    while True:
        try:
            request(server, "jobs", {"jobReference": {"jobId": f"job-{number}"}, "configuration": job(number)})
        except httpx.HTTPError:
            return
        acknowledged.append(f"job-{number}")
        number += 1


def test_after_kill_9_every_acknowledged_job_is_done_whole_or_failed_whole(server: Server, tmp_path: Path) -> None:
    server.client().create_dataset("d")
    request(server, "queries", {"query": "CREATE TABLE d.t (job STRING, n INT64)", "useLegacySql": False})
    rows = tmp_path / "rows.json"
    rows.write_text("".join(f'{{"job": "load", "n": {n}}}\n' for n in range(1000)))

    def job(number: int) -> dict[str, object]:
        if number % 3 == 0:
            return {
                "load": {
                    "sourceUris": [f"file://{rows}"],
                    "sourceFormat": "NEWLINE_DELIMITED_JSON",
                    "destinationTable": {"projectId": PROJECT, "datasetId": "d", "tableId": f"load_{number}"},
                    "schema": {"fields": [{"name": "job", "type": "STRING"}, {"name": "n", "type": "INT64"}]},
                }
            }
        if number % 3 == 1:
            return {"query": {"query": f"CREATE OR REPLACE TABLE d.ddl AS SELECT {number} AS n", "useLegacySql": False}}
        sql = f"INSERT INTO d.t (job, n) SELECT 'job-{number}', n FROM UNNEST(GENERATE_ARRAY(1, 100)) AS n"
        return {"query": {"query": sql, "useLegacySql": False}}

    acknowledged: list[str] = []
    thread = threading.Thread(target=insert_forever, args=(server, acknowledged, job))
    thread.start()
    while len(acknowledged) < 20:
        time.sleep(0.01)
    server.kill()
    thread.join()
    server.start()

    client = server.client()
    jobs = {job_id: client.get_job(job_id) for job_id in acknowledged}
    assert {found.state for found in jobs.values()} == {"DONE"}
    inserted = {row.job: row.n for row in client.query("SELECT job, COUNT(*) AS n FROM d.t GROUP BY job").result()}
    assert set(inserted.values()) <= {100}
    tables = {table.table_id for table in client.list_tables("d")}
    last_ddl = None
    for job_id, found in jobs.items():
        number, failed = int(job_id.removeprefix("job-")), found.error_result is not None
        if number % 3 == 0:
            assert (f"load_{number}" in tables) != failed
            if not failed:
                assert client.get_table(f"d.load_{number}").num_rows == 1000 == found.output_rows
        elif number % 3 == 1:
            last_ddl = last_ddl if failed else number
        else:
            assert (job_id in inserted) != failed
        if failed:
            assert "stopped before the job was done" in found.error_result["message"]
    found_ddl = next(iter(client.list_rows("d.ddl"))).n
    # A job the client was not told of may still have happened.
    assert last_ddl is not None and found_ddl >= last_ddl
    assert len(jobs) - sum(found.error_result is not None for found in jobs.values()) >= 3


def test_sigterm_stops_cleanly_in_the_middle_of_a_job_and_keeps_the_data(server: Server) -> None:
    client = server.client()
    client.create_dataset("d")
    client.query("CREATE TABLE d.t AS SELECT 1 AS id").result()
    numbers = "UNNEST(GENERATE_ARRAY(1, 1000000))"
    slow = client.query(
        f"CREATE TABLE d.slow AS SELECT COUNTIF(MOD(a * b, 7) = 3) AS n FROM {numbers} AS a, {numbers} AS b"
    )
    started = time.monotonic()
    assert server.kill(signal.SIGTERM) == 0
    assert time.monotonic() - started < 3
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
