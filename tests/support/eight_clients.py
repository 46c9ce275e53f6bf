"""Eight clients that query, page, merge and load at once, and a ninth that asks for /healthz all the while."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from google.cloud import bigquery

#: Asks for /healthz every 10 ms, from a process of its own since the clients keep this one's interpreter busy.
_PROBE = """
import http.client, json, sys, time
connection = http.client.HTTPConnection(sys.argv[1])
end = time.monotonic() + float(sys.argv[2])
found = []
while time.monotonic() < end:
    time.sleep(0.01)
    asked = time.perf_counter()
    connection.request("GET", "/healthz")
    assert connection.getresponse().read() == b"ok\\n"
    found.append(1000 * (time.perf_counter() - asked))
print(json.dumps(found))
"""


def _parquet(rows: int) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"n": range(rows), "s": ["text"] * rows}), file)
    return file.getvalue()


def work(client: bigquery.Client, dataset: str, seconds: float) -> list[float]:
    """The milliseconds of each answer of /healthz; fails if a client meets an error or finds wrong rows."""
    address = client._connection.API_BASE_URL.removeprefix("http://")
    client.query_and_wait(
        f"CREATE OR REPLACE TABLE {dataset}.big AS SELECT n, MOD(n, 100) AS g, CAST(n AS STRING) AS s, "
        "[STRUCT(n AS a)] AS l FROM UNNEST(GENERATE_ARRAY(1, 100000)) AS n"
    )
    client.query_and_wait(f"CREATE OR REPLACE TABLE {dataset}.merged (n INT64, s STRING)")
    client.query_and_wait(f"CREATE OR REPLACE TABLE {dataset}.appended (n INT64, s STRING)")
    lines = b"".join(orjson.dumps({"n": n, "s": "text", "f": n * 1.5}) + b"\n" for n in range(20_000))
    columns = _parquet(50_000)
    stop = time.monotonic() + seconds

    def load(content: bytes, kind: str, table: str, disposition: str) -> None:
        config = bigquery.LoadJobConfig(source_format=kind, write_disposition=disposition)
        config.autodetect = kind != "PARQUET"
        client.load_table_from_file(io.BytesIO(content), f"{dataset}.{table}", job_config=config).result()

    def aggregate() -> None:
        found = list(client.query(f"SELECT g, COUNT(*) AS c FROM {dataset}.big GROUP BY g").result())
        assert [row.c for row in found] == [1000] * 100

    def page() -> None:
        assert sum(1 for _ in client.list_rows(f"{dataset}.big", max_results=20_000)) == 20_000

    def merge() -> None:
        rows = f"SELECT n, s FROM {dataset}.big WHERE n <= 500"
        client.query(
            f"MERGE {dataset}.merged AS t USING ({rows}) AS s ON t.n = s.n WHEN MATCHED THEN UPDATE SET s = 'again' "
            "WHEN NOT MATCHED THEN INSERT (n, s) VALUES (s.n, s.s)"
        ).result()

    def append() -> None:
        load(columns, "PARQUET", "appended", "WRITE_APPEND")

    def replace() -> None:
        load(lines, "NEWLINE_DELIMITED_JSON", "lines", "WRITE_TRUNCATE")

    def until_the_end(step: Callable[[], None]) -> int:
        count = 0
        while time.monotonic() < stop:
            step()
            count += 1
        return count

    steps = [aggregate, aggregate, page, page, merge, merge, append, replace]
    probe = subprocess.Popen(
        [sys.executable, "-c", _PROBE, address, str(seconds)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with ThreadPoolExecutor(len(steps)) as pool:
        counts = list(pool.map(until_the_end, steps))
    output, errors = probe.communicate()
    assert probe.returncode == 0, errors.decode()
    assert min(counts) >= 1
    # Two clients merged the same rows again and again; each came in once.
    (row,) = client.query_and_wait(f"SELECT COUNT(*) AS n, COUNT(DISTINCT n) AS d FROM {dataset}.merged")
    assert (row.n, row.d) == (500, 500)
    assert client.get_table(f"{dataset}.appended").num_rows == 50_000 * counts[steps.index(append)]
    times: list[float] = json.loads(output)
    return times
