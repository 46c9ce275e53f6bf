"""Eight clients at once: no errors, writers in turn, and /healthz answers in time beside all of it."""

from __future__ import annotations

import threading
import time

import eight_clients
from google.cloud import bigquery


def test_eight_clients_query_and_load_at_once_and_healthz_answers_in_time(
    bigquery_client: bigquery.Client, dataset: str
) -> None:
    times = sorted(eight_clients.work(bigquery_client, dataset, 8))
    # The strict bound is for a machine of one's own, see benchmarks/; here other tests share the cores.
    assert times[len(times) * 9 // 10] < 100
    assert times[-1] < 2000


def test_only_writers_of_the_same_table_wait_and_who_is_cancelled_stops_soon(
    bigquery_client: bigquery.Client, dataset: str
) -> None:
    client = bigquery_client
    client.query(f"CREATE TABLE {dataset}.t AS SELECT 1 AS n").result()
    numbers = "UNNEST(GENERATE_ARRAY(1, 5000))"
    endless = f"(SELECT COUNTIF(MOD(a * b + c, 7) = 3) FROM {numbers} AS a, {numbers} AS b, {numbers} AS c)"
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
