"""How fast and how large a sync of ``orders`` is: ``.venv/bin/python benchmarks/replication.py [--rows N]``.

One run on one database: ``COPY … (FORMAT binary)`` to nothing and a full refresh, in turns; 10,000 changed rows
deduplicated into all of them. Both connectors run as the platform runs them, by its own ``Attempt``: forked from a
process that has imported them (``--programs``: started as programs), joined by the Arrow data channel (``--lines``: by
JSON lines). Timed from the start of the first process until all is committed and both have ended; memory is the sum of
both processes' peaks (VmHWM). Processor seconds stand beside, for machines that are not quiet. Each begins when what
the one before left to be done later has been done, as a schedule would have it. ``--beside`` has increments into a
table of so many rows, too, in turns. ``--dlt`` adds dlt with its connectorx backend into the same emulator, from a
virtual environment made for it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support"), str(ROOT / "airbyte" / "server")]

from airbyte_server.definitions import preloads  # noqa: E402
from airbyte_server.replication.attempt import Attempt, Plan, Side  # noqa: E402
from airbyte_server.replication.checkpoints import Checkpoint  # noqa: E402
from airbyte_server.replication.logs import AttemptLog  # noqa: E402
from airbyte_server.replication.mapping import NameMapping  # noqa: E402
from airbyte_server.replication.processes import ConnectorProcess, Launcher  # noqa: E402
from airbyte_server.settings import Timeouts  # noqa: E402
from real_services import BIN, PROJECT  # noqa: E402
from source_and_warehouse import SourceAndWarehouse, source_and_warehouse  # noqa: E402

ORDERS = """
CREATE TABLE orders (
  id uuid PRIMARY KEY, order_number varchar(20) NOT NULL, buyer_id uuid NOT NULL, status varchar(30) NOT NULL,
  subtotal_amount numeric(12,2) NOT NULL, shipping_amount numeric(12,2) NOT NULL, tax_amount numeric(12,2) NOT NULL,
  discount_amount numeric(12,2) NOT NULL, total_amount numeric(12,2) NOT NULL, currency char(3) NOT NULL,
  shipping_country char(2), shipping_city varchar(100), shipping_postal_code varchar(20),
  created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, confirmed_at timestamp, shipped_at timestamptz,
  delivered_at timestamptz
);
INSERT INTO orders SELECT
  md5('o' || i)::uuid,
  'ORD-' || to_char('2024-01-01'::date + i / 5000, 'YYYYMMDD') || '-' || lpad((i % 10000000)::text, 7, '0'),
  md5('u' || i % 50000)::uuid, (ARRAY['pending','confirmed','shipped','delivered','delivered','cancelled'])[1 + i % 6],
  (i % 90000) / 100.0 + 5, (i % 1500) / 100.0, (i % 7200) / 100.0, (i % 9) / 2.0, (i % 100000) / 100.0 + 6,
  (ARRAY['EUR','USD','GBP'])[1 + i % 3], (ARRAY['DE','FR','US','GB',NULL])[1 + i % 5], 'City ' || i % 2000,
  lpad((i % 100000)::text, 5, '0'), '2024-01-01Z'::timestamptz + i * interval '1 s',
  '2024-01-01Z'::timestamptz + i * interval '1.000001 s', '2024-01-01'::timestamp + i * interval '2 s',
  CASE WHEN i % 6 > 1 THEN '2024-01-02Z'::timestamptz + i * interval '1 s' END,
  CASE WHEN i % 6 > 2 THEN '2024-01-05Z'::timestamptz + i * interval '1 s' END
FROM generate_series(1, {rows}) i;
CREATE INDEX ON orders (updated_at);
ANALYZE orders;
"""
CHANGED = 10_000
CHANGE = """
UPDATE orders SET status = 'refunded', updated_at = (SELECT max(updated_at) FROM orders) + interval '1 s'
WHERE id IN (SELECT md5('o' || i * {step} - {run})::uuid FROM generate_series(1, {changed}) i)
"""
DLT = """
import sys
import dlt, google.auth
from dlt.sources.sql_database import sql_table
from google.auth.credentials import AnonymousCredentials

google.auth.default = lambda *_, **__: (AnonymousCredentials(), sys.argv[2])
orders = sql_table(sys.argv[1], table="orders", schema="public", backend="connectorx", chunk_size=100_000)
pipeline = dlt.pipeline("orders", destination=dlt.destinations.bigquery(location="US"), dataset_name=sys.argv[3])
pipeline.run(orders, write_disposition="replace", loader_file_format="parquet")
"""


@dataclass(frozen=True)
class Sync:
    """What one sync took: seconds, processor seconds by process, megabytes of the connectors."""

    seconds: float
    processor: dict[str, float]
    peak: int
    states: bytes | None


class _Watched(Launcher):
    """Notes the ids of the connectors it starts."""

    def __init__(self, folder: Path, preloads: Mapping[str, str]) -> None:
        super().__init__(folder, preloads)
        self.pids: list[int] = []

    def start(self, arguments: list[str], **options: Any) -> ConnectorProcess:
        process = super().start(arguments, **options)
        self.pids.append(process.pid)
        return process


class Bench:
    def __init__(self, services: SourceAndWarehouse, *, arrow: bool, forked: bool = True) -> None:
        folder, postgres, endpoint = services.folder, services.postgres, services.endpoint
        self._pids = {"emulator": services.emulator.pid, "Postgres": postgres.pid(), "platform": os.getpid()}
        self.folder, self.endpoint, self.arrow = folder, endpoint, arrow
        self.launcher = _Watched(folder, preloads() if forked else {})
        self.launcher.warm_up()
        self.conninfo = postgres.conninfo("bench")
        self._number = int(time.time())
        self.source = {
            "host": postgres.host, "port": postgres.port, "database": "bench", "username": "postgres",
            "password": postgres.superuser_password, "schemas": ["public"], "ssl_mode": {"mode": "disable"},
            "replication_method": {"method": "Standard"},
        }  # fmt: skip
        self.destination = {
            "project_id": PROJECT, "dataset_location": "US", "raw_data_dataset": "internal",
            "loading_method": {"method": "Standard"}, "api_endpoint": endpoint,
        }  # fmt: skip
        config = folder / "source.json"
        config.write_text(json.dumps(self.source))
        found = subprocess.run(
            [BIN / "source-postgres", "discover", "--config", config], capture_output=True, check=True
        )
        catalogs = [json.loads(line) for line in found.stdout.splitlines()]
        (self.stream,) = next(m["catalog"]["streams"] for m in catalogs if m["type"] == "CATALOG")

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute(statement.encode())

    def copy(self) -> float:
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            start = time.perf_counter()
            with connection.cursor() as cursor, cursor.copy("COPY orders TO STDOUT (FORMAT binary)") as copy:
                for _ in copy:
                    pass
            return time.perf_counter() - start

    def sync(self, mode: str, state: bytes | None = None) -> Sync:
        """``mode``: overwrite or append_dedup; raises RuntimeError if the sync fails."""
        self._number += 1
        incremental = mode == "append_dedup"
        configured = {
            "sync_mode": "incremental" if incremental else "full_refresh", "destination_sync_mode": mode,
            "cursor_field": ["updated_at"] if incremental else [], "primary_key": [["id"]], "sync_id": self._number,
            "generation_id": 0 if incremental else self._number,
            "minimum_generation_id": 0 if incremental else self._number,
        }  # fmt: skip
        unnamed = {name: value for name, value in self.stream.items() if name != "namespace"}
        source, destination = ({"streams": [{**configured, "stream": stream}]} for stream in (self.stream, unnamed))
        plan = Plan(
            Side([str(BIN / "source-postgres")], self.source, source),
            # A dataset for each mode: a first increment finds no table, as it would.
            Side([str(BIN / "destination-bigquery")], {**self.destination, "dataset_id": mode}, destination),
            state, "STREAM" if state else None, NameMapping("destination", None, ""), [("public", "orders")],
            frozenset(), self.folder / "attempt", arrow=self.arrow,
        )  # fmt: skip
        rows: list[Any] = []
        self.launcher.pids.clear()

        def committed(checkpoints: list[Checkpoint]) -> None:
            rows[:] = checkpoints[-1].rows

        before, start = self._others(), time.perf_counter()
        with _usage(self.launcher.pids) as usage, AttemptLog(self.folder / "log", str, 1_000_000) as log:
            outcome = Attempt(plan, self.launcher, log, Timeouts(), committed).run()
        seconds = time.perf_counter() - start
        if outcome.failures:
            raise RuntimeError("; ".join(failure.external_message for failure in outcome.failures))
        states = [
            {
                "type": "STREAM",
                "stream": {
                    "stream_descriptor": {"namespace": row.key[0], "name": row.key[1]},
                    "stream_state": json.loads(row.state),
                },
            }
            for row in rows
        ]
        connectors, peak = (sum(values) for values in zip(*usage.values(), strict=True))
        others = {name: value - before[name] for name, value in self._others().items()}
        return Sync(seconds, {"connectors": connectors, **others}, int(peak), json.dumps(states).encode())

    def rest(self) -> None:
        """Wait until the services take less than a twentieth of a processor for two seconds."""
        after, before = sum(self._others().values()), 0.0
        while after - before > 0.1:
            time.sleep(2)
            after, before = sum(self._others().values()), after

    def _others(self) -> dict[str, float]:
        """Processor seconds of all but the connectors; of Postgres with those of its sessions that have ended."""
        times = {name: psutil.Process(pid).cpu_times() for name, pid in self._pids.items()}
        return {
            name: t.user + t.system + (t.children_user + t.children_system if name == "Postgres" else 0)
            for name, t in times.items()
        }


@contextmanager
def _usage(pids: list[int]) -> Iterator[dict[int, tuple[float, int]]]:
    """Processor seconds, and megabytes at the peak, of each process of ``pids``, which may grow meanwhile."""
    found: dict[int, tuple[float, int]] = {}
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            for pid in pids:
                with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError, StopIteration):
                    times = psutil.Process(pid).cpu_times()
                    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                    peak = next(line for line in lines if line.startswith("VmHWM"))
                    found[pid] = (times.user + times.system, int(peak.split()[1]) >> 10)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def dlt(bench: Bench) -> Callable[[], float]:
    """A function that syncs by dlt and returns the seconds from its process's start to its end."""
    home = bench.folder / "dlt"
    uv = BIN / "uv"
    subprocess.run([uv, "venv", "--quiet", home], check=True)
    packages = ["dlt[bigquery,parquet,sql_database]", "connectorx", "psycopg[binary]"]
    subprocess.run([uv, "pip", "install", "--quiet", "--python", home / "bin" / "python", *packages], check=True)
    address = psycopg.conninfo.conninfo_to_dict(bench.conninfo)
    url = f"postgresql://postgres:{address['password']}@{address['host']}:{address['port']}/bench"

    def run() -> float:
        command = [home / "bin" / "python", "-c", DLT, url, PROJECT, f"dlt_{secrets.token_hex(4)}"]
        environment = {
            **os.environ, "BIGQUERY_EMULATOR_HOST": bench.endpoint, "HOME": str(home),
            "RUNTIME__DLTHUB_TELEMETRY": "false", "DESTINATION__BIGQUERY__CREDENTIALS__PROJECT_ID": PROJECT,
        }  # fmt: skip
        start = time.perf_counter()
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start

    return run


def measure(bench: Bench, options: argparse.Namespace) -> None:
    rows, runs = options.rows, options.runs
    copies, full = [], []
    for _ in range(runs):  # in turns: the machine is quicker at some times than at others
        bench.rest()
        copies.append(bench.copy())
        bench.rest()
        full.append(bench.sync("overwrite"))
    copied, whole = statistics.median(copies), statistics.median(sync.seconds for sync in full)
    pairs = sorted(copy / sync.seconds for copy, sync in zip(copies, full, strict=True))
    print(f"COPY binary to nothing: {copied:.2f} s, {rows / copied:,.0f} rows/s")
    print(
        f"full refresh: {whole:.2f} s, {rows / whole:,.0f} rows/s, {copied / whole:.2f} x COPY, in pairs "
        f"{pairs[0]:.2f} to {pairs[-1]:.2f}; peak {max(s.peak for s in full)} MB; processor seconds: "
        f"{_processor(full)}",
        flush=True,
    )
    if options.dlt:
        run = dlt(bench)
        other = statistics.median(run() for _ in range(runs))
        print(f"dlt: {other:.2f} s, {rows / other:,.0f} rows/s; ours is {other / whole:.1f} x as fast", flush=True)


def measure_increments(benches: dict[int, Bench], runs: int) -> None:
    """Of each number of rows, all of them deduplicated into an empty table, and in turns changes of them."""
    syncs: dict[int, list[Sync]] = {}
    for rows, bench in benches.items():
        first = bench.sync("append_dedup")
        print(
            f"{rows:,} rows into an empty deduplicated table: {first.seconds:.2f} s; peak {first.peak} MB; processor "
            f"seconds: {_processor([first])}",
            flush=True,
        )
        syncs[rows] = [first]
    for number in range(runs):  # other rows each time, spread over the table
        for rows, bench in benches.items():
            bench.execute(CHANGE.format(step=max(1, rows // CHANGED), changed=min(rows, CHANGED), run=number))
            bench.execute("CHECKPOINT")  # else the sync is measured together with the database's writing of the change
            bench.rest()
            syncs[rows].append(bench.sync("append_dedup", syncs[rows][-1].states))
    for rows, (_, *changes) in syncs.items():
        print(
            f"{CHANGED:,} changed rows into {rows:,}: {statistics.median(sync.seconds for sync in changes):.2f} s; "
            f"processor seconds: {_processor(changes)}",
            flush=True,
        )


def _processor(syncs: list[Sync]) -> str:
    names = syncs[0].processor
    return ", ".join(f"{name} {statistics.median(s.processor[name] for s in syncs):.2f}" for name in names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--beside", type=int, metavar="ROWS", help="changes of another number of rows, too, in turns")
    parser.add_argument("--lines", action="store_true", help="records as JSON lines")
    parser.add_argument("--programs", action="store_true", help="start the connectors as programs")
    parser.add_argument("--dlt", action="store_true", help="measure dlt, too; installs it from the package index")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        benches = {}
        for rows in filter(None, (options.rows, options.beside)):
            services = stack.enter_context(source_and_warehouse("replication-"))
            services.postgres.ensure_database("bench", "postgres")
            with psycopg.connect(services.postgres.conninfo("bench"), autocommit=True) as connection:
                connection.execute(ORDERS.format(rows=rows).encode())
            benches[rows] = Bench(services, arrow=not options.lines, forked=not options.programs)
            stack.callback(benches[rows].launcher.close)
        measure(benches[options.rows], options)
        measure_increments(benches, options.runs)


if __name__ == "__main__":
    main()
