"""Query jobs through the real client: results, destinations, statistics, errors, INFORMATION_SCHEMA."""

from __future__ import annotations

import threading
import time
import uuid

import pytest
from google.api_core.exceptions import BadRequest, Conflict, MethodNotImplemented, NotFound
from google.cloud import bigquery


def run(client: bigquery.Client, sql: str, **options: object) -> bigquery.QueryJob:
    job = client.query(sql, job_config=bigquery.QueryJobConfig(**options))
    job.result()
    return job


def rows(client: bigquery.Client, sql: str, **options: object) -> list[tuple[object, ...]]:
    return [tuple(row) for row in client.query(sql, job_config=bigquery.QueryJobConfig(**options)).result()]


def test_results_keep_their_order_over_pages_and_stay_readable(bigquery_client: bigquery.Client) -> None:
    job = run(bigquery_client, "SELECT x, [x, x] AS pair FROM UNNEST(GENERATE_ARRAY(1, 25000)) AS x ORDER BY x DESC")
    values = [row.x for row in job.result(page_size=999)]
    assert values == list(range(25_000, 0, -1))
    destination = bigquery_client.get_table(job.destination)
    assert (destination.num_rows, destination.expires is not None) == (25_000, True)
    assert [row.x for row in bigquery_client.list_rows(destination, max_results=2)] == [25_000, 24_999]
    assert job.destination.dataset_id not in [entry.dataset_id for entry in bigquery_client.list_datasets()]


def test_long_texts_between_short_ones_neither_stop_nor_swell_a_page(bigquery_client: bigquery.Client) -> None:
    """Short rows are tried a thousand at a time; a long one (x = 3, 703, …) ends that."""
    text = "CASE MOD(x, 700) WHEN 3 THEN REPEAT('é', 40000) WHEN 5 THEN NULL ELSE 'short' END"
    result = bigquery_client.query(
        f"SELECT x, {text} AS s FROM UNNEST(GENERATE_ARRAY(1, 2500)) AS x ORDER BY x"
    ).result()
    lengths = {3: 40_000, 5: None}
    pages = [[(row.x, row.s and len(row.s)) for row in page] for page in result.pages]
    assert [row for page in pages for row in page] == [(x, lengths.get(x % 700, 5)) for x in range(1, 2501)]
    assert len(pages) == 1
    job = run(bigquery_client, f"SELECT x, {text} AS s FROM UNNEST(GENERATE_ARRAY(1, 900)) AS x ORDER BY x")
    assert [row.x for row in bigquery_client.list_rows(job.destination, start_index=702, max_results=1)] == [703]


def test_sync_queries_and_repeated_requests(bigquery_client: bigquery.Client, dataset: str) -> None:
    assert [tuple(row) for row in bigquery_client.query_and_wait("SELECT 1 AS one, 'x' AS s")] == [(1, "x")]
    assert list(bigquery_client.query_and_wait(f"CREATE TABLE {dataset}.t (id INT64)")) == []
    body = {"query": f"INSERT INTO {dataset}.t (id) VALUES (1)", "useLegacySql": False, "requestId": uuid.uuid4().hex}
    path = f"/projects/{bigquery_client.project}/queries"
    answers = [bigquery_client._connection.api_request("POST", path, data=body) for _ in range(2)]
    assert answers[0]["jobReference"] == answers[1]["jobReference"]
    assert answers[1]["numDmlAffectedRows"] == "1"
    assert rows(bigquery_client, f"SELECT COUNT(*) FROM {dataset}.t") == [(1,)]


def test_a_destination_table_obeys_its_dispositions(bigquery_client: bigquery.Client, dataset: str) -> None:
    target = f"{bigquery_client.project}.{dataset}.t"
    run(bigquery_client, "SELECT 1 AS a", destination=target)
    with pytest.raises(Conflict, match="Already Exists: Table"):
        run(bigquery_client, "SELECT 2 AS a", destination=target)
    run(bigquery_client, "SELECT 2 AS a", destination=target, write_disposition="WRITE_APPEND")
    with pytest.raises(BadRequest, match="Cannot add fields"):
        run(bigquery_client, "SELECT 3 AS a, 'x' AS b", destination=target, write_disposition="WRITE_APPEND")
    run(
        bigquery_client,
        "SELECT 'x' AS b, 3 AS a",
        destination=target,
        write_disposition="WRITE_APPEND",
        schema_update_options=["ALLOW_FIELD_ADDITION"],
    )
    assert rows(bigquery_client, f"SELECT * FROM {dataset}.t ORDER BY a") == [(1, None), (2, None), (3, "x")]
    # The table is read and replaced by the same job.
    run(
        bigquery_client,
        f"SELECT a FROM {dataset}.t WHERE a > 1",
        destination=target,
        write_disposition="WRITE_TRUNCATE",
    )
    assert rows(bigquery_client, f"SELECT * FROM {dataset}.t ORDER BY a") == [(2,), (3,)]
    with pytest.raises(NotFound):
        run(
            bigquery_client,
            "SELECT 1 AS a",
            destination=f"{bigquery_client.project}.{dataset}.missing",
            create_disposition="CREATE_NEVER",
        )


def test_statements_of_a_script_see_what_earlier_ones_replaced(bigquery_client: bigquery.Client, dataset: str) -> None:
    run(bigquery_client, f"CREATE TABLE {dataset}.t AS SELECT 1 AS a")
    script = f"CREATE OR REPLACE TABLE {dataset}.t AS SELECT 2 AS a; INSERT INTO {dataset}.t (a) VALUES (3); "
    found = rows(bigquery_client, script + f"SELECT a FROM {dataset}.t ORDER BY a")
    assert found == [(2,), (3,)]


def test_a_destination_in_another_project_is_not_found(bigquery_client: bigquery.Client, dataset: str) -> None:
    with pytest.raises(NotFound, match="Project other"):
        run(bigquery_client, "SELECT 1 AS a", destination=f"other.{dataset}.t")


def test_statistics_tell_what_a_job_did(bigquery_client: bigquery.Client, dataset: str) -> None:
    created = run(bigquery_client, f"CREATE TABLE {dataset}.t AS SELECT x AS id FROM UNNEST([1, 2, 3]) AS x")
    assert (created.statement_type, created.destination.table_id) == ("CREATE_TABLE_AS_SELECT", "t")
    updated = run(bigquery_client, f"UPDATE {dataset}.t SET id = id + 10 WHERE id > 1")
    assert (updated.statement_type, updated.num_dml_affected_rows) == ("UPDATE", 2)
    merged = run(
        bigquery_client,
        f"MERGE {dataset}.t AS t USING (SELECT 1 AS id UNION ALL SELECT 99) AS s ON t.id = s.id "
        "WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)",
        labels={"a": "b"},
    )
    assert (merged.dml_stats.inserted_row_count, merged.dml_stats.deleted_row_count) == (1, 1)
    assert merged.labels == {"a": "b"}
    assert rows(bigquery_client, f"SELECT id FROM {dataset}.t ORDER BY id") == [(12,), (13,), (99,)]
    selected = run(bigquery_client, f"SELECT * FROM {dataset}.t")
    assert selected.total_bytes_processed == 3 * 8
    assert [table.table_id for table in selected.referenced_tables] == ["t"]
    assert selected.job_id in [job.job_id for job in bigquery_client.list_jobs(max_results=20)]


def test_jobs_are_listed_by_state_over_pages(bigquery_client: bigquery.Client, dataset: str) -> None:
    wanted = [run(bigquery_client, f"SELECT {n}").job_id for n in range(5)][::-1]
    listed = [job.job_id for job in bigquery_client.list_jobs(state_filter="done", page_size=2, max_results=5)]
    assert listed == wanted
    assert list(bigquery_client.list_jobs(state_filter="pending")) == []


def test_a_dry_run_tells_schema_and_bytes_and_runs_nothing(bigquery_client: bigquery.Client, dataset: str) -> None:
    run(bigquery_client, f"CREATE TABLE {dataset}.t AS SELECT 'abc' AS s")
    dry = bigquery_client.query(f"SELECT s, 1.5 AS f FROM {dataset}.t", bigquery.QueryJobConfig(dry_run=True))
    assert ([f.name for f in dry.schema], dry.total_bytes_processed, dry.state) == (["s", "f"], 5, "DONE")
    bigquery_client.query(f"DROP TABLE {dataset}.t", bigquery.QueryJobConfig(dry_run=True))
    assert bigquery_client.get_table(f"{dataset}.t").num_rows == 1
    with pytest.raises(BadRequest, match="Unrecognized name: nope"):
        bigquery_client.query("SELECT nope", bigquery.QueryJobConfig(dry_run=True))


@pytest.mark.parametrize(
    ("sql", "error", "message"),
    [
        ("SELEC 1", BadRequest, r"Syntax error: .* at \[1:1\]"),
        ("SELECT * FROM no_such_dataset.t", NotFound, "Not found: (Dataset|Table) .*no_such_dataset"),
        ("SELECT 1 / 0", BadRequest, "division by zero"),
        ("SELECT CAST('x' AS INT64)", BadRequest, "Bad int64 value: x"),
    ],
)
def test_a_bad_query_fails_its_job_in_googles_words(
    bigquery_client: bigquery.Client, sql: str, error: type[Exception], message: str
) -> None:
    job = bigquery_client.query(sql)
    with pytest.raises(error, match=message):
        job.result()
    job.reload()
    assert (job.state, job.error_result["message"][:4]) == ("DONE", job.errors[0]["message"][:4])


def test_what_would_change_the_result_is_not_ignored(bigquery_client: bigquery.Client) -> None:
    with pytest.raises(MethodNotImplemented, match="Legacy SQL"):
        run(bigquery_client, "SELECT 1", use_legacy_sql=True)
    with pytest.raises(MethodNotImplemented, match="createSession"):
        run(bigquery_client, "SELECT 1", create_session=True)


def test_a_small_query_is_done_when_its_job_is_told(bigquery_client: bigquery.Client) -> None:
    assert bigquery_client.query("SELECT 1").state == "DONE"


def test_a_job_id_is_used_once(bigquery_client: bigquery.Client) -> None:
    job_id = f"once-{uuid.uuid4().hex}"
    bigquery_client.query("SELECT 1", job_id=job_id, job_retry=None).result()
    with pytest.raises(Conflict, match="Already Exists: Job"):
        bigquery_client._connection.api_request(
            "POST",
            f"/projects/{bigquery_client.project}/jobs",
            data={
                "jobReference": {"projectId": bigquery_client.project, "jobId": job_id},
                "configuration": {"query": {"query": "SELECT 2", "useLegacySql": False}},
            },
        )


def test_a_cancelled_or_timed_out_job_stops_and_changes_nothing(bigquery_client: bigquery.Client, dataset: str) -> None:
    run(bigquery_client, f"CREATE TABLE {dataset}.t (n INT64)")
    numbers = "UNNEST(GENERATE_ARRAY(1, 1000000))"
    slow = f"INSERT INTO {dataset}.t (n) SELECT COUNTIF(MOD(a * b, 7) = 3) FROM {numbers} AS a, {numbers} AS b"
    job = bigquery_client.query(slow)
    assert job.state != "DONE"
    while job.state != "RUNNING":
        job.reload()
    started = time.monotonic()
    job.cancel()
    with pytest.raises(Exception, match="cancelled"):
        job.result()
    timed = bigquery_client.query(slow, bigquery.QueryJobConfig(job_timeout_ms=300))
    with pytest.raises(Exception, match="timed out"):
        timed.result()
    assert time.monotonic() - started < 20
    assert rows(bigquery_client, f"SELECT COUNT(*) FROM {dataset}.t") == [(0,)]


def test_views_are_read_in_place_and_keep_their_schema(bigquery_client: bigquery.Client, dataset: str) -> None:
    run(bigquery_client, f"CREATE TABLE {dataset}.t AS SELECT 1 AS id")
    view = bigquery.Table(f"{bigquery_client.project}.{dataset}.v")
    view.view_query = f"SELECT id, id * 2 AS twice FROM `{dataset}.t`"
    bigquery_client.create_table(view)
    run(bigquery_client, f"CREATE VIEW {dataset}.w AS SELECT twice FROM {dataset}.v")
    run(bigquery_client, f"INSERT INTO {dataset}.t (id) VALUES (2)")
    assert rows(bigquery_client, f"SELECT twice FROM {dataset}.w ORDER BY 1") == [(2,), (4,)]
    found = bigquery_client.get_table(view.reference)
    assert (found.table_type, [f.name for f in found.schema]) == ("VIEW", ["id", "twice"])
    with pytest.raises(BadRequest, match="Unrecognized name"):
        broken = bigquery.Table(f"{bigquery_client.project}.{dataset}.broken")
        broken.view_query = f"SELECT nope FROM {dataset}.t"
        bigquery_client.create_table(broken)


def test_alter_table_keeps_the_rows(bigquery_client: bigquery.Client, dataset: str) -> None:
    run(bigquery_client, f"CREATE TABLE {dataset}.t AS SELECT 1 AS a, 'x' AS b, NUMERIC '1.5' AS c")
    run(bigquery_client, f"ALTER TABLE {dataset}.t ADD COLUMN d STRING, ADD COLUMN e ARRAY<INT64>")
    run(bigquery_client, f"ALTER TABLE {dataset}.t DROP COLUMN b")
    run(bigquery_client, f"ALTER TABLE {dataset}.t RENAME COLUMN a TO key")
    run(bigquery_client, f"ALTER TABLE {dataset}.t ALTER COLUMN key SET DATA TYPE NUMERIC")
    run(bigquery_client, f"ALTER TABLE {dataset}.t RENAME TO u")
    job = run(bigquery_client, f"SELECT * FROM {dataset}.u")
    assert [(f.name, f.field_type) for f in job.result().schema] == [
        ("key", "NUMERIC"), ("c", "NUMERIC"), ("d", "STRING"), ("e", "INTEGER")
    ]  # fmt: skip
    assert [tuple(row) for row in job.result()] == [(1, 1.5, None, [])]


def test_required_columns_and_lengths_hold_in_dml(bigquery_client: bigquery.Client, dataset: str) -> None:
    run(bigquery_client, f"CREATE TABLE {dataset}.t (id INT64 NOT NULL, s STRING(3), n NUMERIC(4, 1))")
    with pytest.raises(BadRequest, match="Required field id cannot be null"):
        run(bigquery_client, f"INSERT INTO {dataset}.t (s) VALUES ('a')")
    with pytest.raises(BadRequest, match="maximum length 3"):
        run(bigquery_client, f"INSERT INTO {dataset}.t (id, s) VALUES (1, 'abcd')")
    run(bigquery_client, f"INSERT INTO {dataset}.t (id, n) VALUES (1, 12.25)")
    assert rows(bigquery_client, f"SELECT id, CAST(n AS STRING) FROM {dataset}.t") == [(1, "12.3")]


def test_information_schema_describes_what_is_there(bigquery_client: bigquery.Client, dataset: str) -> None:
    run(
        bigquery_client,
        f"CREATE TABLE {dataset}.t (d DATE, k STRING(9) NOT NULL, r ARRAY<STRUCT<x NUMERIC>>) "
        "PARTITION BY DATE_TRUNC(d, MONTH) CLUSTER BY k OPTIONS (description = 'it''s \"t\"')".replace("''", "\\'"),
    )
    run(bigquery_client, f"INSERT INTO {dataset}.t (d, k) VALUES ('2024-01-05', 'a'), ('2024-01-07', 'b'), (NULL, 'c')")
    run(bigquery_client, f"CREATE VIEW {dataset}.v AS SELECT k FROM {dataset}.t")

    def look(view: str, columns: str, order: str = "1, 2") -> list[tuple[object, ...]]:
        return rows(bigquery_client, f"SELECT {columns} FROM {dataset}.{view} ORDER BY {order}")

    assert look("INFORMATION_SCHEMA.TABLES", "table_name, table_type") == [("t", "BASE TABLE"), ("v", "VIEW")]
    assert look(
        "INFORMATION_SCHEMA.COLUMNS",
        "column_name, data_type, is_nullable, is_partitioning_column, clustering_ordinal_position, ordinal_position",
        "table_name, ordinal_position",
    ) == [
        ("d", "DATE", "YES", "YES", None, 1),
        ("k", "STRING(9)", "NO", "NO", 1, 2),
        ("r", "ARRAY<STRUCT<x NUMERIC>>", "YES", "NO", None, 3),
        ("k", "STRING", "YES", "NO", None, 1),
    ]
    paths = "INFORMATION_SCHEMA.COLUMN_FIELD_PATHS"
    assert ("r", "r.x", "NUMERIC") in look(paths, "column_name, field_path, data_type")
    assert look("INFORMATION_SCHEMA.PARTITIONS", "partition_id, total_rows") == [("202401", 2), ("__NULL__", 1)]
    options = look("INFORMATION_SCHEMA.TABLE_OPTIONS", "option_name, JSON_VALUE(PARSE_JSON(option_value))")
    assert options == [("description", 'it\'s "t"')]
    assert look("__TABLES__", "table_id, row_count, type") == [("t", 3, 1), ("v", 0, 2)]
    region = rows(bigquery_client, "SELECT schema_name FROM `region-us`.INFORMATION_SCHEMA.SCHEMATA")
    assert (dataset,) in region
    with pytest.raises(MethodNotImplemented, match=r"INFORMATION_SCHEMA\.RESERVATIONS"):
        look("INFORMATION_SCHEMA.RESERVATIONS", "*")


def test_many_clients_on_one_table_and_one_dataset_see_no_conflict(
    bigquery_client: bigquery.Client, dataset: str
) -> None:
    run(bigquery_client, f"CREATE TABLE {dataset}.shared (who INT64, n INT64)")
    problems: list[BaseException] = []

    def work(who: int) -> None:
        try:
            for n in range(3):
                run(bigquery_client, f"INSERT INTO {dataset}.shared (who, n) VALUES ({who}, {n})")
                table = f"{dataset}.shared"
                bigquery_client.load_table_from_json([{"who": who, "n": 100 + n}], table).result()
                run(bigquery_client, f"CREATE OR REPLACE TABLE {dataset}.own{who % 2} AS SELECT {n} AS n")
                rows(bigquery_client, f"SELECT COUNT(*) FROM {dataset}.shared")
                rows(bigquery_client, f"SELECT table_name FROM {dataset}.INFORMATION_SCHEMA.TABLES")
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert rows(bigquery_client, f"SELECT COUNT(*), COUNT(DISTINCT who) FROM {dataset}.shared") == [(48, 8)]


def test_text_that_json_must_escape_comes_back_as_it_is(bigquery_client: bigquery.Client) -> None:
    odd = 'a"b\\c\n\t\r\x00\x1f\x7f\u2028é😀</script>'
    sql = (
        "SELECT @odd AS s, [@odd, ''] AS a, STRUCT(@odd AS x, [STRUCT(@odd AS y)] AS n, CAST(NULL AS STRING) AS z) AS t"
    )
    config = bigquery.QueryJobConfig(query_parameters=[bigquery.ScalarQueryParameter("odd", "STRING", odd)])
    (row,) = bigquery_client.query(sql, job_config=config).result()
    assert row.s == odd and row.a == [odd, ""]
    assert row.t == {"x": odd, "n": [{"y": odd}], "z": None}
