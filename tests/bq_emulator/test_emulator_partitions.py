"""Partitions: decorators, ingestion time, expiration, filters that are required, and the bytes a query reads."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from google.api_core.exceptions import BadRequest, Conflict
from google.cloud import bigquery

PROJECT = "marketplace-analytics"
Rows = list[tuple[object, ...]]
Run = Callable[..., Rows]


@pytest.fixture
def run(bigquery_client: bigquery.Client, dataset: str) -> Run:
    """Run SQL in which ``d.`` stands for the test's dataset."""

    def run(sql: str, **options: object) -> Rows:
        config = bigquery.QueryJobConfig(default_dataset=f"{PROJECT}.{dataset}", **options)
        return [tuple(row.values()) for row in bigquery_client.query(sql, job_config=config).result()]

    return run


def load(client: bigquery.Client, table: str, text: str, write: str = "WRITE_APPEND") -> None:
    config = bigquery.LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", write_disposition=write)
    client.load_table_from_file(io.BytesIO(text.encode()), f"{PROJECT}.{table}", job_config=config).result()


def listed(client: bigquery.Client, table: str) -> Rows:
    schema = client.get_table(f"{PROJECT}.{table.partition('$')[0]}").schema
    return sorted(tuple(row.values()) for row in client.list_rows(f"{PROJECT}.{table}", selected_fields=schema))


DAYS = "CREATE TABLE t (day DATE, n INT64) PARTITION BY day AS SELECT * FROM UNNEST([STRUCT(DATE '2024-01-01', 1), \
    (DATE '2024-01-01', 2), (DATE '2024-01-02', 3), (NULL, 4)])"


def test_a_query_replaces_just_the_partition_it_is_sent_to(
    run: Run, bigquery_client: bigquery.Client, dataset: str
) -> None:
    run(DAYS)
    destination = f"{PROJECT}.{dataset}.t$20240101"
    truncate = {"destination": destination, "write_disposition": "WRITE_TRUNCATE"}
    assert run("SELECT DATE '2024-01-01' AS day, 9 AS n", **truncate) == [(date(2024, 1, 1), 9)]
    assert run("SELECT n FROM t ORDER BY n") == [(3,), (4,), (9,)]
    with pytest.raises(BadRequest, match="Some rows belong to different partitions rather than destination partition"):
        run("SELECT DATE '2024-01-02' AS day, 9 AS n", **truncate)
    assert run("SELECT n FROM t ORDER BY n") == [(3,), (4,), (9,)]
    with pytest.raises(Conflict):
        run("SELECT DATE '2024-01-01' AS day, 9 AS n", destination=destination, write_disposition="WRITE_EMPTY")
    with pytest.raises(BadRequest, match="Invalid partition ID '202401'"):
        run("SELECT DATE '2024-01-01' AS day, 9 AS n", **truncate | {"destination": f"{PROJECT}.{dataset}.t$202401"})
    with pytest.raises(BadRequest, match="cannot include decorator"):
        run("SELECT * FROM `t$20240101`")


@pytest.mark.parametrize(
    ("read", "target", "write", "left"),
    [
        ("SELECT day, n + 10 AS n FROM t WHERE day = '2024-01-01'", "t$20240101", "WRITE_TRUNCATE", [3, 4, 11, 12]),
        ("SELECT day, n + 10 AS n FROM v WHERE n <> 2", "t", "WRITE_TRUNCATE_DATA", [11, 13, 14]),
        ("SELECT DATE '2024-01-01' AS day, COUNT(*) AS n FROM t", "t", "WRITE_TRUNCATE_DATA", [4]),
    ],
)
def test_a_query_reads_the_rows_that_its_result_replaces(
    run: Run, dataset: str, read: str, target: str, write: str, left: list[int]
) -> None:
    run(DAYS)
    run("CREATE VIEW v AS SELECT * FROM t")
    run(read, destination=f"{PROJECT}.{dataset}.{target}", write_disposition=write)
    assert run("SELECT n FROM t ORDER BY n") == [(n,) for n in left]


def test_a_copy_that_would_empty_its_source_first_is_refused(
    run: Run, bigquery_client: bigquery.Client, dataset: str
) -> None:
    run(DAYS)
    whole = f"{PROJECT}.{dataset}.t"
    truncate, keep_schema = "WRITE_TRUNCATE", "WRITE_TRUNCATE_DATA"
    for source, target, write in (("", "", keep_schema), ("$20240101", "", keep_schema), ("", "$20240101", truncate)):
        config = bigquery.CopyJobConfig(write_disposition=write)
        with pytest.raises(BadRequest, match="onto itself"):
            bigquery_client.copy_table(whole + source, whole + target, job_config=config).result()
    assert run("SELECT n FROM t ORDER BY n") == [(1,), (2,), (3,), (4,)]


def test_loads_lists_and_deletes_reach_one_partition(run: Run, bigquery_client: bigquery.Client, dataset: str) -> None:
    run(DAYS)
    load(bigquery_client, f"{dataset}.t$20240102", '{"day": "2024-01-02", "n": 7}', "WRITE_TRUNCATE")
    assert listed(bigquery_client, f"{dataset}.t$20240102") == [(date(2024, 1, 2), 7)]
    assert listed(bigquery_client, f"{dataset}.t$__NULL__") == [(None, 4)]
    assert bigquery_client.get_table(f"{PROJECT}.{dataset}.t$20240101").num_rows == 2
    bigquery_client.delete_table(f"{PROJECT}.{dataset}.t$20240101")
    assert run("SELECT n FROM t ORDER BY n") == [(4,), (7,)]


@pytest.mark.parametrize(
    ("partition_by", "partition", "kept"),
    [
        ("TIMESTAMP_TRUNC(moment, HOUR)", "2024010112", [2, 3, 4]),
        ("TIMESTAMP_TRUNC(moment, MONTH)", "202401", [4]),
        ("TIMESTAMP_TRUNC(moment, YEAR)", "2024", []),
        ("RANGE_BUCKET(n, GENERATE_ARRAY(0, 4, 2))", "2", [1, 4]),
        ("RANGE_BUCKET(n, GENERATE_ARRAY(0, 4, 2))", "__UNPARTITIONED__", [1, 2, 3]),
    ],
)
def test_partitions_by_hour_month_year_and_range(
    run: Run, bigquery_client: bigquery.Client, dataset: str, partition_by: str, partition: str, kept: list[int]
) -> None:
    run(f"CREATE TABLE p (moment TIMESTAMP, n INT64) PARTITION BY {partition_by}")
    run(
        "INSERT p VALUES ('2024-01-01 12:30:00', 1), ('2024-01-01 13:00:00', 2), ('2024-01-31', 3), "
        "('2024-12-31 23:00:00', 4)"
    )
    bigquery_client.delete_table(f"{PROJECT}.{dataset}.p${partition}")
    assert run("SELECT n FROM p ORDER BY n") == [(n,) for n in kept]


def test_copies_from_and_to_partitions(run: Run, bigquery_client: bigquery.Client, dataset: str) -> None:
    run(DAYS)
    run("CREATE TABLE fresh (day DATE, n INT64) PARTITION BY day AS SELECT DATE '2024-01-02' AS day, 8 AS n")
    config = bigquery.CopyJobConfig(write_disposition="WRITE_TRUNCATE")
    prefix = f"{PROJECT}.{dataset}"
    bigquery_client.copy_table(f"{prefix}.fresh$20240102", f"{prefix}.t$20240102", job_config=config).result()
    assert run("SELECT n FROM t ORDER BY n") == [(1,), (2,), (4,), (8,)]
    bigquery_client.copy_table(f"{prefix}.t$20240101", f"{prefix}.one").result()
    assert run("SELECT n FROM one ORDER BY n") == [(1,), (2,)]


def test_a_table_partitioned_by_ingestion_time_has_its_pseudo_columns(
    run: Run, bigquery_client: bigquery.Client, dataset: str
) -> None:
    run("CREATE TABLE i (n INT64) PARTITION BY _PARTITIONDATE")
    assert bigquery_client.get_table(f"{PROJECT}.{dataset}.i").time_partitioning.field is None
    run("INSERT i (n) VALUES (1)")
    run("INSERT i (_PARTITIONTIME, n) VALUES ('2024-01-02', 2)")
    load(bigquery_client, f"{dataset}.i$20240103", '{"n": 3}')
    assert bigquery_client.insert_rows_json(f"{PROJECT}.{dataset}.i", [{"n": 4}]) == []
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    assert run("SELECT *, _PARTITIONTIME AS pt FROM i ORDER BY n") == [
        (1, today), (2, datetime(2024, 1, 2, tzinfo=UTC)), (3, datetime(2024, 1, 3, tzinfo=UTC)), (4, today)
    ]  # fmt: skip
    assert run("SELECT * FROM i WHERE _PARTITIONDATE = '2024-01-03'") == [(3,)]
    run(
        "MERGE i USING (SELECT 2 AS n, TIMESTAMP '2024-01-02' AS pt UNION ALL SELECT 5, TIMESTAMP '2024-01-05') s "
        "ON i.n = s.n AND i._PARTITIONTIME = s.pt WHEN MATCHED THEN UPDATE SET n = 20 "
        "WHEN NOT MATCHED THEN INSERT (_PARTITIONTIME, n) VALUES (pt, n)"
    )
    assert run("SELECT n, _PARTITIONDATE AS d FROM i WHERE _PARTITIONTIME < '2024-02-01' ORDER BY n") == [
        (3, date(2024, 1, 3)), (5, date(2024, 1, 5)), (20, date(2024, 1, 2))
    ]  # fmt: skip
    run("DELETE i WHERE _PARTITIONDATE = '2024-01-02'")
    copy = bigquery.CopyJobConfig(write_disposition="WRITE_TRUNCATE")
    prefix = f"{PROJECT}.{dataset}"
    bigquery_client.copy_table(f"{prefix}.i", f"{prefix}.i2", job_config=copy).result()
    bigquery_client.copy_table(f"{prefix}.i$20240103", f"{prefix}.i2$20240105", job_config=copy).result()
    assert run("SELECT n FROM i2 WHERE _PARTITIONDATE = '2024-01-05'") == [(3,)]
    run("ALTER TABLE i2 RENAME COLUMN n TO m")
    assert run("SELECT m FROM i2 WHERE _PARTITIONDATE = '2024-01-03'") == [(3,)]
    with pytest.raises(BadRequest, match="AS SELECT cannot be combined with PARTITION BY _PARTITIONDATE"):
        run("CREATE TABLE j PARTITION BY _PARTITIONDATE AS SELECT 1 AS n")


def test_expired_partitions_are_gone(run: Run, bigquery_client: bigquery.Client, dataset: str) -> None:
    run("CREATE TABLE e (day DATE, n INT64) PARTITION BY day OPTIONS (partition_expiration_days = 10)")
    today = datetime.now(UTC).date()
    run(f"INSERT e VALUES ('{today - timedelta(days=30)}', 1), ('{today - timedelta(days=5)}', 2), (NULL, 3)")
    assert run("SELECT n FROM e ORDER BY n") == [(2,), (3,)]
    assert bigquery_client.get_table(f"{PROJECT}.{dataset}.e").num_rows == 2
    run("ALTER TABLE e SET OPTIONS (partition_expiration_days = 3)")
    assert run("SELECT n FROM e ORDER BY n") == [(3,)]
