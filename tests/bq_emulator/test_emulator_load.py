"""Eight clients at once: no errors, writers in turn, and /healthz answers in time beside all of it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from google.cloud import bigquery

SECONDS = 8
#: Asks for /healthz every 10 ms, from a process of its own since the clients keep this one's interpreter busy.
PROBE = """
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


def parquet(rows: int) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"n": range(rows), "s": ["text"] * rows}), file)
    return file.getvalue()


def test_eight_clients_query_and_load_at_once_and_healthz_answers_in_time(
    bigquery_client: bigquery.Client, dataset: str
) -> None:
    client = bigquery_client
    address = client._connection.API_BASE_URL.removeprefix("http://")
    client.query(
        f"CREATE TABLE {dataset}.big AS SELECT n, MOD(n, 100) AS g, CAST(n AS STRING) AS s, [STRUCT(n AS a)] AS l "
        "FROM UNNEST(GENERATE_ARRAY(1, 100000)) AS n"
    ).result()
    client.query(f"CREATE TABLE {dataset}.merged (n INT64, s STRING)").result()
    lines = b"".join(orjson.dumps({"n": n, "s": "text", "f": n * 1.5}) + b"\n" for n in range(20_000))
    columns = parquet(50_000)
    loads: dict[str, int] = {"merge": 0, "parquet": 0}
    stop = time.monotonic() + SECONDS

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
        load(columns, "PARQUET", "parquet", "WRITE_APPEND")
        loads["parquet"] += 1

    def until_the_end(step: Callable[[], None]) -> int:
        count = 0
        while time.monotonic() < stop:
            step()
            count += 1
        return count

    steps: list[Callable[[], None]] = [
        aggregate, aggregate, page, page, merge, merge, append,
        lambda: load(lines, "NEWLINE_DELIMITED_JSON", "lines", "WRITE_TRUNCATE"),
    ]  # fmt: skip
    probe = subprocess.Popen(
        [sys.executable, "-c", PROBE, address, str(SECONDS)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with ThreadPoolExecutor(len(steps)) as pool:
        counts = list(pool.map(until_the_end, steps))
    output, errors = probe.communicate()
    assert probe.returncode == 0, errors.decode()
    times = json.loads(output)
    assert min(counts) >= 1 and len(times) > 100
    times.sort()
    # benchmarks/ hold the strict bound; here the other tests share the cores.
    assert times[len(times) * 9 // 10] < 100
    assert times[-1] < 2000
    # Two clients merged the same rows again and again; each came in once.
    (row,) = client.query(f"SELECT COUNT(*) AS n, COUNT(DISTINCT n) AS d FROM {dataset}.merged").result()
    assert (row.n, row.d) == (500, 500)
    assert client.get_table(f"{dataset}.parquet").num_rows == 50_000 * loads["parquet"]


def test_only_writers_of_the_same_table_wait_and_who_is_cancelled_stops_soon(
    bigquery_client: bigquery.Client, dataset: str
) -> None:
    client = bigquery_client
    client.query(f"CREATE TABLE {dataset}.t AS SELECT 1 AS n").result()
    numbers = "UNNEST(GENERATE_ARRAY(1, 1000000))"
    endless = f"(SELECT COUNTIF(MOD(a * b, 7) = 3) FROM {numbers} AS a, {numbers} AS b)"
    writer = client.query(f"UPDATE {dataset}.t SET n = {endless} WHERE true")

    def cancel(job: bigquery.QueryJob) -> None:
        asked = time.monotonic()
        client.cancel_job(job.job_id)
        while (ended := client.get_job(job.job_id)).state != "DONE":
            time.sleep(0.02)
        assert time.monotonic() - asked < 3
        assert "cancelled" in ended.error_result["message"]

    try:
        while client.get_job(writer.job_id).total_bytes_processed is None:  # then it takes the table
            time.sleep(0.02)
        given_up = client.query(f"UPDATE {dataset}.t SET n = 3 WHERE true")
        waiting = client.query(f"UPDATE {dataset}.t SET n = 2 WHERE true")
        assert [row.n for row in client.query(f"SELECT n FROM {dataset}.t").result()] == [1]
        client.create_dataset(dataset, exists_ok=True)
        client.query(f"CREATE SCHEMA IF NOT EXISTS {dataset}; CREATE TABLE {dataset}.other (n INT64)").result()
        assert {client.get_job(job.job_id).state for job in (writer, given_up, waiting)} == {"RUNNING"}
        cancel(given_up)
        assert client.get_job(writer.job_id).state == "RUNNING"
    finally:
        cancel(writer)
    waiting.result()
    assert [row.n for row in client.query(f"SELECT n FROM {dataset}.t").result()] == [2]


def test_jobs_that_write_several_tables_crosswise_all_end(bigquery_client: bigquery.Client, dataset: str) -> None:
    client = bigquery_client
    for table in ("a", "b"):
        client.query(f"CREATE TABLE {dataset}.{table} AS SELECT 0 AS n").result()
    failures: list[Exception] = []

    def write(first: str, second: str) -> None:
        try:
            for _ in range(4):
                update = "UPDATE {0}.{1} SET n = n + (SELECT 1 + 0 * MAX(n) FROM {0}.{2}) WHERE true"
                script = f"{update.format(dataset, first, second)}; {update.format(dataset, second, first)};"
                client.query(script).result(timeout=30)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=pair) for pair in (("a", "b"), ("b", "a")) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for table in ("a", "b"):
        assert [row.n for row in client.list_rows(f"{dataset}.{table}")] == [16]
