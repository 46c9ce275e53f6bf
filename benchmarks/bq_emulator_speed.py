"""What the emulator costs beside DuckDB: ``.venv/bin/python benchmarks/bq_emulator_speed.py [PART…]``.

The emulator is measured from outside, by REST. Beside it the same rows lie in the same layout in a second DuckDB file,
in this process, on which the translated SQL runs directly. The two take turns; figures are medians, and ratios are
medians over medians.
"""

from __future__ import annotations

import argparse
import io
import logging
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import grpc
import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import structlog
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryReadClient
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

import eight_clients
from emulator_server import SERVER_PROJECT, Server

from bq_emulator.catalog import SnapshotCatalog
from bq_emulator.duck import literal
from bq_emulator.emulator import Emulator
from bq_emulator.model import Dml, Query
from bq_emulator.sql.frontend import GoogleSqlFrontend

MILLION = 1_000_000
JOIN = """
SELECT r.name AS region, c.segment, p.category, s.tier, COUNT(*) AS n, SUM(o.amount) AS amount, MAX(o.day) AS last
FROM d.orders AS o
JOIN d.customers AS c ON o.customer_id = c.id
JOIN d.products AS p ON o.product_id = p.id
JOIN d.sellers AS s ON p.seller_id = s.id
JOIN d.regions AS r ON c.region_id = r.id
WHERE o.quantity > 1
GROUP BY region, segment, category, tier
ORDER BY amount DESC
"""
MERGE = """
MERGE d.target AS t USING d.changes AS s ON t.id = s.id
WHEN MATCHED THEN UPDATE SET name = s.name, amount = s.amount
WHEN NOT MATCHED THEN INSERT (id, name, amount) VALUES (s.id, s.name, s.amount)
"""


class Sides:
    """The emulator, and DuckDB beside it."""

    def __init__(self, folder: Path, server: Server, beside: Emulator, frontend: GoogleSqlFrontend) -> None:
        self.folder = folder
        self.server = server
        self.beside = beside
        self.frontend = frontend
        self.client = server.client()
        self.http = httpx.Client(base_url=f"{server.url}/bigquery/v2/projects/{SERVER_PROJECT}", timeout=600)

    def query(self, sql: str, **more: object) -> dict[str, object]:
        answer = self.http.post("/queries", json={"query": sql, "useLegacySql": False, "timeoutMs": 60_000, **more})
        answer.raise_for_status()
        content: dict[str, object] = answer.json()
        assert content["jobComplete"]
        return content

    def load(self, table: str, file: Path, disposition: str = "WRITE_TRUNCATE") -> None:
        answer = self.http.post("/jobs", json={"configuration": {"load": _load(table, file, disposition)}})
        answer.raise_for_status()
        job = answer.json()
        while job["status"]["state"] != "DONE":
            time.sleep(0.005)
            job = self.http.get(f"/jobs/{job['jobReference']['jobId']}").json()
        assert "errorResult" not in job["status"], job["status"]

    def load_beside(self, table: str, file: Path) -> None:
        job = self.beside.jobs.submit({"load": _load(table, file, "WRITE_TRUNCATE")})
        job.done.result()
        assert job.error is None, job.error

    def load_both(self, table: str, columns: pa.Table) -> Path:
        file = self.folder / f"{table}.parquet"
        pq.write_table(columns, file)
        self.load(table, file)
        self.load_beside(table, file)
        return file

    def translated(self, sql: str) -> tuple[str, ...]:
        """DuckDB's statements for ``sql``."""
        with self.beside.database.transaction() as db:
            catalog = SnapshotCatalog(db, self.beside.tables)
            statement = self.frontend.compile(sql, catalog=catalog, project=SERVER_PROJECT)
        if isinstance(statement, Dml):
            return tuple(text for _, text, *_ in statement.steps)
        assert isinstance(statement, Query)
        return (statement.sql,)

    def run_beside(self, *statements: str) -> None:
        with self.beside.database.transaction() as db:
            for statement in statements:
                db.execute(statement).fetchall()


def _load(table: str, file: Path, disposition: str) -> dict[str, object]:
    """REST's JobConfigurationLoad."""
    return {
        "sourceUris": [f"file://{file}"],
        "sourceFormat": "PARQUET",
        "writeDisposition": disposition,
        "destinationTable": {"projectId": SERVER_PROJECT, "datasetId": "d", "tableId": table},
    }


@contextmanager
def sides() -> Iterator[Sides]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "server").mkdir()
        server = Server(folder / "server")
        server.start(storage=True)
        frontend = GoogleSqlFrontend()
        beside = Emulator(folder / "beside", SERVER_PROJECT, "US", frontend)
        both = Sides(folder, server, beside, frontend)
        both.query("CREATE SCHEMA d")
        beside.jobs.submit({"query": {"query": "CREATE SCHEMA d"}}).done.result()
        try:
            yield both
        finally:
            server.kill(signal.SIGTERM)
            beside.close()


def seconds(step: Callable[[], object]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def in_turn(rounds: int, **steps: Callable[[], object]) -> dict[str, float]:
    """The median seconds of each step, after one round that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds + 1):
        for name, step in steps.items():
            taken[name].append(seconds(step))
    return {name: statistics.median(times[1:]) for name, times in taken.items()}


def compare(what: str, rounds: int, emulator: Callable[[], object], duckdb: Callable[[], object]) -> None:
    found = in_turn(rounds, emulator=emulator, duckdb=duckdb)
    ratio = found["emulator"] / found["duckdb"]
    print(f"{what}: emulator {found['emulator']:.3f} s, DuckDB {found['duckdb']:.3f} s, ratio {ratio:.2f}", flush=True)


def fixed(both: Sides) -> None:
    """What a query costs that has nothing to do."""
    both.query("CREATE TABLE d.small AS SELECT 1 AS id, 'a' AS name")
    source = "(SELECT 1 AS id, 'b' AS name UNION ALL SELECT 2, 'c')"
    merge = f"MERGE d.small AS t USING {source} AS s ON t.id = s.id WHEN MATCHED THEN UPDATE SET name = s.name"
    found = in_turn(
        20,
        select=lambda: both.query("SELECT 1"),
        create_table_as=lambda: both.query("CREATE OR REPLACE TABLE d.made AS SELECT 1 AS id"),
        merge=lambda: both.query(f"{merge} WHEN NOT MATCHED THEN INSERT ROW"),
        dry_run=lambda: both.http.post(
            "/queries", json={"query": "SELECT id FROM d.small", "useLegacySql": False, "dryRun": True}
        ).raise_for_status(),
    )
    print("fixed cost: " + ", ".join(f"{name} {1000 * taken:.0f} ms" for name, taken in found.items()), flush=True)


def join(both: Sides) -> None:
    """A five-way join of a million rows, and of ten, where what a query costs at least counts for less."""
    pick = random.Random(1)
    sizes = {"customers": 50_000, "products": 20_000, "sellers": 2_000, "regions": 20}
    tables = {
        "orders": {
            "id": range(MILLION),
            "customer_id": [pick.randrange(sizes["customers"]) for _ in range(MILLION)],
            "product_id": [pick.randrange(sizes["products"]) for _ in range(MILLION)],
            "quantity": [1 + number % 5 for number in range(MILLION)],
            "amount": [number % 1000 / 4 for number in range(MILLION)],
            "day": [f"2024-{1 + number % 12:02}-{1 + number % 28:02}" for number in range(MILLION)],
        },
        "customers": {
            "id": range(sizes["customers"]),
            "region_id": [n % sizes["regions"] for n in range(sizes["customers"])],
            "segment": [f"segment {n % 4}" for n in range(sizes["customers"])],
        },
        "products": {
            "id": range(sizes["products"]),
            "seller_id": [n % sizes["sellers"] for n in range(sizes["products"])],
            "category": [f"category {n % 12}" for n in range(sizes["products"])],
        },
        "sellers": {"id": range(sizes["sellers"]), "tier": [f"tier {n % 3}" for n in range(sizes["sellers"])]},
        "regions": {"id": range(sizes["regions"]), "name": [f"region {n}" for n in range(sizes["regions"])]},
    }
    for name, columns in tables.items():
        both.load_both(name, pa.table(columns))
    repeated = JOIN.replace("d.orders", "(SELECT o.* FROM d.orders AS o CROSS JOIN UNNEST(GENERATE_ARRAY(1, 10)))")
    for rows, text in (("1M", JOIN), ("10M", repeated)):
        (sql,) = both.translated(text)
        run, run_beside = partial(both.query, text, maxResults=1000), partial(both.run_beside, sql)
        compare(f"five-way join of {rows} rows", 9, run, run_beside)


def wide(rows: int) -> pa.Table:
    """Sixteen columns."""
    pick = random.Random(2)
    columns: dict[str, object] = {f"n{number}": [pick.randrange(MILLION) for _ in range(rows)] for number in range(6)}
    columns |= {f"f{number}": [pick.random() for _ in range(rows)] for number in range(4)}
    columns |= {f"s{number}": [f"text {pick.randrange(5000)}" for _ in range(rows)] for number in range(4)}
    columns["t"] = pa.array(range(rows), pa.timestamp("us", "UTC"))
    columns["b"] = [number % 3 == 0 for number in range(rows)]
    return pa.table(columns)


def parquet(both: Sides) -> None:
    """A load job of a million rows of sixteen columns."""
    file = both.folder / "wide.parquet"
    pq.write_table(wide(MILLION), file)
    create = f"CREATE OR REPLACE TABLE wide AS SELECT * FROM read_parquet({literal(str(file))})"
    compare(
        f"Parquet load, 1M rows of 16 columns ({file.stat().st_size >> 20} MB)", 5,
        lambda: both.load("wide", file), lambda: both.run_beside(create),
    )  # fmt: skip
    content = file.read_bytes()
    config = bigquery.LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_TRUNCATE")
    upload = in_turn(
        3, sent=lambda: both.client.load_table_from_file(io.BytesIO(content), "d.wide", job_config=config).result()
    )
    print(f"the same, sent by the client: {upload['sent']:.3f} s", flush=True)


def append(both: Sides) -> None:
    """Ten thousand rows more, for a table that has as many, and for one that has a thousand times as many."""
    batch = both.folder / "batch.parquet"
    pq.write_table(wide(10_000), batch)
    filler = both.folder / "filler.parquet"
    pq.write_table(wide(500_000), filler)
    both.load("light", batch)
    for _ in range(20):
        both.load("heavy", filler, "WRITE_APPEND")
    found = in_turn(
        9,
        light=lambda: both.load("light", batch, "WRITE_APPEND"),
        heavy=lambda: both.load("heavy", batch, "WRITE_APPEND"),
    )  # fmt: skip
    print(
        f"append 10k rows: to 10k rows {found['light']:.3f} s, to 10M rows {found['heavy']:.3f} s, "
        f"ratio {found['heavy'] / found['light']:.2f}",
        flush=True,
    )


def merge(both: Sides) -> None:
    """Changes merged into a million rows, a few, half of them new, and most; each round begins with the same target."""
    names = [f"name {number % 9973}" for number in range(MILLION)]
    target = pa.table({"id": range(MILLION), "name": names, "amount": [n / 7 for n in range(MILLION)]})
    file = both.load_both("target", target)
    most = [number for number in range(MILLION) if number % 5]
    random.Random(1).shuffle(most)
    for ids, rounds in (([199 * number for number in range(10_000)], 6), (most, 3)):
        changes = {"id": ids, "name": ["changed"] * len(ids), "amount": [1.5] * len(ids)}
        both.load_both("changes", pa.table(changes))
        taken: dict[str, list[float]] = {"emulator": [], "duckdb": []}
        for _ in range(rounds):
            both.load("target", file)
            taken["emulator"].append(seconds(lambda: both.query(MERGE)))
            both.load_beside("target", file)
            taken["duckdb"].append(seconds(partial(both.run_beside, *both.translated(MERGE))))
        emulator, duckdb = (statistics.median(times[1:]) for times in taken.values())
        ratio = f"emulator {emulator:.3f} s, DuckDB {duckdb:.3f} s, ratio {emulator / duckdb:.2f}"
        print(f"MERGE {len(ids):,} rows into 1M: {ratio}", flush=True)


def hashing(both: Sides) -> None:
    """A million rows of three ids, an amount and an instant hashed, and two days of them replaced."""
    both.query(
        "CREATE OR REPLACE TABLE d.hashed PARTITION BY day AS SELECT GENERATE_UUID() AS a, GENERATE_UUID() AS b, "
        "GENERATE_UUID() AS c, DATE_ADD(DATE '2025-07-01', INTERVAL MOD(n, 365) DAY) AS day, "
        "CAST(n AS NUMERIC) AS x, TIMESTAMP_SECONDS(n) AS made FROM UNNEST(GENERATE_ARRAY(1, 1000000)) AS n"
    )
    days = "day IN (DATE '2025-07-01', DATE '2025-07-09')"
    both.query(f"CREATE OR REPLACE TABLE d.days AS SELECT * FROM d.hashed WHERE {days}")
    queries = {
        "FARM_FINGERPRINT of an id": "SELECT BIT_XOR(FARM_FINGERPRINT(a)) FROM d.hashed",
        "FARM_FINGERPRINT of TO_JSON_STRING": "SELECT BIT_XOR(FARM_FINGERPRINT(TO_JSON_STRING(t))) FROM d.hashed AS t",
        "MD5 of all columns as text": "SELECT MAX(TO_HEX(MD5(CONCAT(a, b, c, CAST(day AS STRING), CAST(x AS STRING), "
        "CAST(made AS STRING))))) FROM d.hashed",
        "MERGE ON FALSE that replaces 5,480 rows": f"MERGE d.hashed USING d.days ON FALSE "
        f"WHEN NOT MATCHED BY SOURCE AND {days} THEN DELETE WHEN NOT MATCHED THEN INSERT ROW",
    }
    found = in_turn(3, **{name: partial(both.query, sql) for name, sql in queries.items()})
    print("1M rows: " + ", ".join(f"{name} {taken:.2f} s" for name, taken in found.items()), flush=True)


def reading(both: Sides) -> None:
    """A million rows of four columns back to the client."""
    rows = wide(MILLION).select(["n0", "f0", "s0", "t"])
    file = both.folder / "rows.parquet"
    pq.write_table(rows, file)
    both.load("rows", file)
    taken = seconds(lambda: sum(1 for _ in both.client.list_rows("d.rows")))
    pages = seconds(partial(_pages, both.http, "/datasets/d/tables/rows/data"))
    print(
        f"1M rows by REST pages: {pages:.1f} s, with Google's client, which makes Row objects: {taken:.1f} s",
        flush=True,
    )
    storage = BigQueryReadClient(
        transport=BigQueryReadGrpcTransport(
            channel=grpc.insecure_channel(
                f"127.0.0.1:{both.server.grpc_port}", options=[("grpc.max_receive_message_length", -1)]
            )
        )
    )
    found = in_turn(3, arrow=lambda: both.client.list_rows("d.rows").to_arrow(bqstorage_client=storage))
    print(f"1M rows by the Storage API to Arrow: {found['arrow']:.2f} s", flush=True)


def _pages(http: httpx.Client, path: str) -> None:
    token: dict[str, str] = {}
    while True:
        content = http.get(path, params=token).content
        # At the end of a page of 10 MB, which is not to be parsed here.
        found = re.search(rb'"pageToken":"(\d+)"', content[-100:])
        if found is None:
            return
        token = {"pageToken": found[1].decode()}


def start(both: Sides) -> None:
    """From the command to the first answer, with the analyzer's compiled module in the cache."""
    taken = []
    for number in range(5):
        folder = both.folder / f"start{number}"
        folder.mkdir()
        server = Server(folder)
        taken.append(seconds(server.start))
        server.kill(signal.SIGTERM)
    print(f"start: {statistics.median(taken):.2f} s (of {', '.join(f'{each:.2f}' for each in taken)})", flush=True)


def healthz(both: Sides) -> None:
    """/healthz while eight clients query, page, merge and load."""
    for _ in range(3):
        answers = sorted(eight_clients.work(both.client, "d", 10))
        middle, high, worst = answers[len(answers) // 2], answers[len(answers) * 99 // 100], answers[-1]
        print(
            f"/healthz beside eight clients, {len(answers)} answers: median {middle:.1f} ms, "
            f"99 of 100 within {high:.0f} ms, worst {worst:.0f} ms",
            flush=True,
        )


PARTS = {part.__name__: part for part in (fixed, join, parquet, append, merge, hashing, reading, start, healthz)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="*", choices=[*PARTS, []], help="what to measure")
    chosen = parser.parse_args().part or list(PARTS)
    load = subprocess.run(["uptime"], capture_output=True, text=True, check=False).stdout
    print(f"machine: {load.strip()}", flush=True)
    with sides() as both:
        for name in chosen:
            PARTS[name](both)


if __name__ == "__main__":
    main()
