"""kill -9 and a full disk: what was acknowledged is there, what was not is not there by half."""

from __future__ import annotations

import io
import random
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from emulator_server import SERVER_PROJECT, Server
from google.api_core.exceptions import GoogleAPICallError
from google.cloud import bigquery
from requests.exceptions import RequestException

KILLS = 10
ROWS = 5_000
#: So many that most of the time of a load is the job's.
LOADED_ROWS = 60_000
#: The second keeps its files.
LOADED = ("d.loaded", "d.kept")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.end()


@dataclass
class Client(threading.Thread):
    """Submits one job after another, and waits for each, until the server dies. ``submit`` starts the job of an id;
    ``told`` are the ids the server acknowledged, with the state it gave last."""

    kind: str
    server: Server
    submit: Callable[[bigquery.Client, str, int], bigquery.job.base._AsyncJob]
    first: int
    told: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        client = self.server.client()
        number = self.first
        try:
            while True:
                job_id = f"{self.kind}-{number}"
                job = self.submit(client, job_id, number)
                while job.state != "DONE":
                    self.told[job_id] = job.state
                    job.reload(retry=None)
                assert job.error_result is None, job.error_result
                self.told[job_id] = "DONE"
                number += 1
        except (RequestException, GoogleAPICallError):
            return


def load(client: bigquery.Client, job_id: str, number: int) -> bigquery.LoadJob:
    file = io.BytesIO()
    pq.write_table(pa.table({"job": pa.repeat(job_id, LOADED_ROWS), "n": range(LOADED_ROWS)}), file)
    file.seek(0)
    config = bigquery.LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_APPEND")
    return client.load_table_from_file(
        file, LOADED[(number + number // 1000) % 2], job_id=job_id, job_config=config, num_retries=0
    )


def query(client: bigquery.Client, job_id: str, number: int) -> bigquery.QueryJob:
    source = f"SELECT '{job_id}' AS job, n FROM UNNEST(GENERATE_ARRAY(1, {ROWS})) AS n"
    sql = (
        f"INSERT INTO d.inserted (job, n) {source}",
        f"CREATE TABLE d.made_{number} AS {source}",
        f"MERGE d.merged AS t USING ({source}) AS s ON t.n = s.n WHEN MATCHED THEN UPDATE SET job = s.job "
        "WHEN NOT MATCHED THEN INSERT ROW",
    )[number % 3]
    return client.query(sql, job_id=job_id, retry=None, job_retry=None)


def ddl(client: bigquery.Client, job_id: str, number: int) -> bigquery.QueryJob:
    sql = (
        f"ALTER TABLE d.altered ADD COLUMN c{number} INT64",
        f"CREATE OR REPLACE TABLE d.replaced (c{number} INT64)",
        f"CREATE SCHEMA s{number}",
    )[number % 3]
    return client.query(sql, job_id=job_id, retry=None, job_retry=None)


def is_of(job_id: str, kill: int) -> bool:
    return job_id.startswith(("load-", "query-", "ddl-")) and int(job_id.split("-")[1]) // 1000 == kill


def written(client: bigquery.Client, jobs: Iterable[str]) -> dict[str, int | None]:
    """Per job the rows (1 for what has no rows) that it left; None where a later one may have taken its place."""
    rows: Counter[str] = Counter()
    for table in ("loaded", "kept", "inserted", "merged"):
        rows.update({row.job: row.n for row in client.query(f"SELECT job, COUNT(*) AS n FROM d.{table} GROUP BY job")})
    tables = {table.table_id for table in client.list_tables("d")}
    columns = {column.name for column in client.get_table("d.altered").schema}
    datasets = {dataset.dataset_id for dataset in client.list_datasets()}
    found: dict[str, int | None] = {}
    for job_id in jobs:
        kind, number = job_id.split("-")
        match kind, int(number) % 3:
            case ("query", 1):
                name = f"made_{number}"
                found[job_id] = client.get_table(f"d.{name}").num_rows if name in tables else 0
            case ("query", 2):
                found[job_id] = rows[job_id] or None
            case ("ddl", 0):
                found[job_id] = int(f"c{number}" in columns)
            case ("ddl", 1):
                found[job_id] = None
            case ("ddl", 2):
                found[job_id] = int(f"s{number}" in datasets)
            case _:
                found[job_id] = rows[job_id]
    return found


@pytest.mark.slow
def test_ten_kills_during_loads_queries_and_ddl_leave_every_job_whole_or_undone(server: Server) -> None:
    server.start()
    client = server.client()
    client.create_dataset("d")
    for sql in (
        "CREATE TABLE d.loaded (job STRING, n INT64)",
        "CREATE TABLE d.kept (job STRING, n INT64) OPTIONS (expiration_timestamp = TIMESTAMP '2999-01-01')",
        "CREATE TABLE d.inserted (job STRING, n INT64)",
        "CREATE TABLE d.merged (job STRING, n INT64)",
        "CREATE TABLE d.altered (a INT64)",
        "CREATE TABLE d.replaced (a INT64)",
    ):
        client.query(sql).result()
    seed = random.randrange(1_000_000)
    delays = random.Random(seed)
    interrupted: Counter[str] = Counter()
    for kill in range(1, KILLS + 1):
        clients = [
            Client(kind, server, submit, 1000 * kill)
            for kind, submit in (("load", load), ("query", query), ("ddl", ddl))
        ]
        for each in clients:
            each.start()
        while not all(each.told for each in clients):
            assert any(each.is_alive() for each in clients)
            time.sleep(0.001)
        time.sleep(delays.uniform(0, 0.5))
        server.kill()
        for each in clients:
            each.join(30)
        server.start()
        assert list((server.folder / "data" / "uploads").iterdir()) == []
        client = server.client()
        told = {job_id: state for each in clients for job_id, state in each.told.items()}
        # The server may have begun a job that it could not tell of any more.
        jobs = {job.job_id: job for job in client.list_jobs(all_users=True) if is_of(job.job_id, kill)}
        assert told.keys() <= jobs.keys()
        effects = written(client, jobs)
        replaced = 0
        for job_id, job in sorted(jobs.items()):
            state = told.get(job_id)
            where = f"{job_id} (seed {seed}, kill {kill}): {state} -> {job.state} {job.error_result}"
            assert job.state == "DONE", where
            whole = {"load": LOADED_ROWS, "query": ROWS, "ddl": 1}[job_id.split("-")[0]]
            if job.error_result is not None:
                assert state != "DONE" and "stopped before the job was done" in job.error_result["message"], where
                assert not effects[job_id], where
                interrupted[job_id.split("-")[0]] += 1
            else:
                assert effects[job_id] in (whole, None), where
                if job_id.startswith("ddl") and int(job_id.split("-")[1]) % 3 == 1:
                    replaced = int(job_id.split("-")[1])
        (column,) = client.get_table("d.replaced").schema
        assert replaced == 0 or column.name == f"c{replaced}"
        # All rows of a job, and of a MERGE all rows of the table.
        for table, whole in (("loaded", LOADED_ROWS), ("kept", LOADED_ROWS), ("inserted", ROWS), ("merged", ROWS)):
            sql = f"SELECT job, COUNT(*) AS n, COUNT(DISTINCT n) AS d FROM d.{table} GROUP BY job"
            assert {(row.n, row.d) for row in client.query(sql)} <= {(whole, whole)}
        listed = {table.table_id: client.get_table(table).num_rows for table in client.list_tables("d")}
        assert {rows for name, rows in listed.items() if name.startswith("made_")} <= {ROWS}
    print(f"interrupted: {dict(interrupted)}, seed {seed}")
    assert len(interrupted) == 3
    assert server.kill(signal.SIGTERM) == 0
    with duckdb.connect(server.folder / "data" / f"{SERVER_PROJECT}.duckdb") as file:
        # The file holds the tables that are told of and no others.
        names = "SELECT '__data.\"' || table_name || '\"' FROM duckdb_tables() WHERE schema_name = '__data'"
        stored = file.execute(names).fetchall()
        recorded = file.execute("SELECT physical FROM __bq.tables WHERE physical IS NOT NULL").fetchall()
        in_files = [row for row in recorded if row[0].startswith("(")]
        assert stored and sorted(stored) == sorted(set(recorded) - set(in_files))
        left = {path.name for path in (server.folder / "data" / "loaded").iterdir()}
        assert left == {name for (physical,) in in_files for name in re.findall(r"loaded/([^']+)'", physical)}


def test_on_a_full_disk_jobs_fail_and_what_was_there_stays(server: Server) -> None:
    server.start(max_file_bytes=600_000)
    rows = "SELECT n, GENERATE_UUID() AS u FROM UNNEST(GENERATE_ARRAY(1, {})) AS n"
    for sql in ("CREATE SCHEMA d", f"CREATE TABLE d.kept AS {rows.format(1000)}"):
        assert server.query(sql).status_code == 200
    too_much = server.query(f"CREATE TABLE d.big AS {rows.format(100_000)}")
    assert (too_much.status_code, "File too large" in too_much.text) == (500, True)
    inserted = 1000
    for _ in range(10):
        answer = server.query(f"INSERT INTO d.kept (n, u) {rows.format(2000)}")
        if answer.status_code != 200:
            break
        inserted += 2000
    assert answer.status_code == 500 and "File too large" in answer.text
    for restarted in (False, True):
        if restarted:
            assert server.kill(signal.SIGTERM) == 0
            server.start()
        client = server.client()
        (row,) = client.query("SELECT COUNT(*) AS n, COUNT(DISTINCT u) AS d FROM d.kept").result()
        assert (row.n, row.d) == (inserted, inserted)
        assert [table.table_id for table in client.list_tables("d")] == ["kept"]
        jobs = list(client.list_jobs())
        assert {job.state for job in jobs} == {"DONE"}
        assert sum(job.error_result is not None for job in jobs) == 2
    assert server.query(f"INSERT INTO d.kept (n, u) {rows.format(2000)}").status_code == 200
