"""What queries read: bytes by column and partition, filters that tables require, limits on bytes billed."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator

import pytest
from google.api_core.exceptions import BadRequest, GoogleAPICallError
from google.cloud import bigquery

PROJECT = "marketplace-analytics"
MIB = 1 << 20

#: Ten rows for each of ten days (three of them in February) and for rows without a day; 8 bytes a value, and the note
#: 2 + 3.
SETUP = """
CREATE TABLE by_day PARTITION BY day CLUSTER BY id AS
  SELECT day, id, 'abc' AS note, STRUCT(id AS a, 'de' AS b) AS s
  FROM UNNEST([DATE '2024-01-25', '2024-01-26', '2024-01-27', '2024-01-28', '2024-01-29', '2024-01-30', '2024-01-31',
               '2024-02-01', '2024-02-02', '2024-02-03', NULL]) AS day, UNNEST(GENERATE_ARRAY(0, 9)) AS id;
CREATE TABLE by_moment PARTITION BY DATE(ts) AS
  SELECT TIMESTAMP_ADD(TIMESTAMP(day), INTERVAL id HOUR) AS ts, id FROM by_day;
CREATE TABLE by_month PARTITION BY DATE_TRUNC(day, MONTH) AS SELECT day, id FROM by_day;
CREATE TABLE by_range PARTITION BY RANGE_BUCKET(key, GENERATE_ARRAY(0, 100, 10)) AS
  SELECT key, key AS id FROM UNNEST(GENERATE_ARRAY(0, 109)) AS key;
CREATE TABLE by_arrival (id INT64) PARTITION BY _PARTITIONDATE;
INSERT INTO by_arrival (_PARTITIONTIME, id) SELECT TIMESTAMP(day), id FROM by_day WHERE day IS NOT NULL;
CREATE TABLE plain AS SELECT * FROM by_day;
CREATE VIEW recent AS SELECT id AS number, day AS d, UPPER(note) AS loud FROM by_day WHERE id >= 0;
CREATE VIEW numbered AS SELECT *, ROW_NUMBER() OVER (PARTITION BY day ORDER BY id) AS place FROM by_day;
CREATE VIEW ranked AS SELECT *, ROW_NUMBER() OVER (ORDER BY id) AS place FROM by_day;
CREATE TABLE guarded PARTITION BY day OPTIONS (require_partition_filter = TRUE) AS SELECT * FROM by_day;
CREATE VIEW over_guarded AS SELECT id, day AS d FROM guarded;
CREATE TABLE guarded_arrival (id INT64) PARTITION BY _PARTITIONDATE OPTIONS (require_partition_filter = TRUE);
"""


@pytest.fixture(scope="module")
def tables(bigquery_client: bigquery.Client) -> Iterator[str]:
    name = f"scans_{uuid.uuid4().hex[:12]}"
    bigquery_client.create_dataset(name)
    query(bigquery_client, name, SETUP)
    yield name
    bigquery_client.delete_dataset(name, delete_contents=True)


def query(client: bigquery.Client, dataset: str, sql: str, **options: object) -> bigquery.QueryJob:
    config = bigquery.QueryJobConfig(default_dataset=f"{PROJECT}.{dataset}", use_query_cache=False, **options)
    job = client.query(sql, config)
    if not options.get("dry_run"):
        job.result()
    return job


def dry(client: bigquery.Client, dataset: str, sql: str, **options: object) -> int:
    return int(query(client, dataset, sql, dry_run=True, **options).total_bytes_processed)


#: A value of each of two columns in ten rows.
TWO = 160


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        # Columns
        ("SELECT COUNT(*) FROM plain", 0),
        ("SELECT id FROM plain", 110 * 8),
        ("SELECT note FROM plain", 110 * 5),
        ("SELECT day FROM plain", 100 * 8),
        ("SELECT s FROM plain", 110 * 12),
        ("SELECT s.b FROM plain", 110 * 4),
        ("SELECT s.b, s FROM plain", 110 * 12),
        ("SELECT a.id FROM plain AS a JOIN plain AS b USING (id) WHERE b.note = 'abc'", 110 * 13),
        ("SELECT number FROM recent", 110 * 8),
        ("SELECT number, loud FROM recent", 110 * 13),
        ("WITH unused AS (SELECT * FROM plain) SELECT 1", 0),
        ("WITH all_columns AS (SELECT * FROM plain) SELECT id FROM all_columns", 110 * 8),
        ("SELECT 1 FROM plain WHERE id IN (SELECT id FROM by_month)", 220 * 8),
        ("SELECT * FROM plain WHERE FALSE", 0),
        # Partitions, by constant conditions
        ("SELECT id FROM by_day WHERE day = '2024-01-25'", TWO),
        ("SELECT id FROM by_day WHERE '2024-02-02' <= day", 2 * TWO),
        ("SELECT id FROM by_day WHERE day BETWEEN '2024-01-25' AND '2024-01-27' AND id > 3", 3 * TWO),
        ("SELECT id FROM by_day WHERE day IN ('2024-01-25', '2024-02-01', '2030-01-01')", 2 * TWO),
        ("SELECT id FROM by_day WHERE day IN UNNEST([DATE '2024-01-25'])", TWO),
        ("SELECT id FROM by_day WHERE day IS NULL", 10 * 8),
        ("SELECT id FROM by_day WHERE day IS NOT NULL", 10 * TWO),
        ("SELECT id FROM by_day WHERE day = DATE_ADD(DATE '2024-01-24', INTERVAL 1 DAY)", TWO),
        ("SELECT id FROM by_day WHERE day > CURRENT_DATE()", 0),
        ("SELECT id FROM by_day WHERE FORMAT_DATE('%m', day) = '02'", 3 * TWO),
        ("SELECT id FROM by_day WHERE day = '2024-01-25' OR day = '2024-01-26'", 2 * TWO),
        ("SELECT id FROM by_day WHERE day = '2024-01-25' OR id = 3", 10 * TWO + 80),
        ("SELECT id FROM by_day WHERE day = (SELECT MAX(day) FROM by_day)", 10 * TWO + 80),
        ("SELECT id FROM by_day WHERE day = DATE_ADD('2024-01-25', INTERVAL id DAY)", 10 * TWO + 80),
        # where a partition holds several values of its column
        ("SELECT id FROM by_moment WHERE ts >= '2024-02-03 05:00:00'", TWO),
        ("SELECT id FROM by_moment WHERE ts < '2024-01-26'", TWO),
        ("SELECT id FROM by_moment WHERE ts < '2024-01-26 00:00:01'", 2 * TWO),
        ("SELECT id FROM by_moment WHERE DATE(ts) = '2024-01-26'", TWO),
        ("SELECT id FROM by_moment WHERE CAST(ts AS DATE) <> '2024-01-26'", 9 * TWO),
        ("SELECT id FROM by_moment WHERE TIMESTAMP_TRUNC(ts, MONTH) = '2024-02-01'", 3 * TWO),
        ("SELECT id FROM by_moment WHERE NOT ts < '2024-02-03'", TWO),
        ("SELECT id FROM by_moment WHERE EXTRACT(YEAR FROM ts) = 2023", 0),
        ("SELECT id FROM by_moment WHERE EXTRACT(DAY FROM ts) = 25", 10 * TWO + 80),
        ("SELECT id FROM by_month WHERE day = '2024-01-25'", 7 * TWO),
        ("SELECT id FROM by_month WHERE day > '2024-01-31'", 3 * TWO),
        ("SELECT id FROM by_range WHERE key BETWEEN 30 AND 50", 3 * TWO),
        ("SELECT id FROM by_range WHERE key = 104", TWO),
        ("SELECT id FROM by_range WHERE key + 1 BETWEEN 30 AND 50", 11 * TWO),
        ("SELECT id FROM by_arrival WHERE _PARTITIONTIME >= '2024-02-02'", 2 * 80),
        ("SELECT id FROM by_arrival WHERE _PARTITIONDATE = '2024-01-25'", 80),
        # where the condition stands elsewhere than beside the table
        ("SELECT number FROM recent WHERE d = '2024-01-25'", TWO),
        ("SELECT id FROM (SELECT id, DATE_TRUNC(day, MONTH) AS m FROM by_day) WHERE m = '2024-02-01'", 3 * TWO),
        ("WITH a AS (SELECT * FROM by_day), b AS (SELECT * FROM a) SELECT id FROM b WHERE day = '2024-01-25'", TWO),
        ("SELECT id FROM numbered WHERE place = 1 AND day = '2024-01-25'", TWO),
        ("SELECT id FROM ranked WHERE place = 1 AND day = '2024-01-25'", 10 * TWO + 80),
        ("SELECT day, SUM(id) FROM by_day GROUP BY day HAVING day = '2024-01-25'", TWO),
        ("SELECT id FROM (SELECT * FROM by_day LIMIT 5) WHERE day = '2024-01-25'", 10 * TWO + 80),
        (
            "SELECT id FROM (SELECT day, id FROM by_day UNION ALL SELECT DATE(ts), id FROM by_moment) "
            "WHERE day = '2024-01-25'",
            2 * TWO,
        ),
        ("SELECT a.id FROM by_day AS a JOIN by_month AS b ON a.id = b.id AND a.day = '2024-01-25'", TWO + 880),
        ("SELECT a.id FROM by_day AS a LEFT JOIN by_month AS b ON a.day = '2024-01-25'", 10 * TWO + 80),
        ("SELECT b.id FROM by_month AS a LEFT JOIN by_day AS b ON b.day = '2024-01-25'", TWO),
        ("SELECT b.id FROM by_month AS a LEFT JOIN by_day AS b ON TRUE WHERE b.day = '2024-01-25'", TWO),
        ("SELECT b.id FROM by_month AS a LEFT JOIN by_day AS b ON TRUE WHERE b.day IS NULL", 10 * TWO + 80),
        (
            "WITH a AS (SELECT * FROM by_day) SELECT x.id FROM a AS x, a AS y "
            "WHERE x.day = '2024-01-25' AND y.day = '2024-01-26'",
            TWO + 80,
        ),
        # Statements that change rows count all columns of the partitions they may change.
        ("INSERT INTO plain SELECT * FROM by_day WHERE day = '2024-01-25'", 10 * 33),
        ("UPDATE by_day SET note = '' WHERE day = '2024-01-25'", 10 * 33),
        ("DELETE FROM by_day WHERE day = '2024-01-25' AND id = 1", 10 * 33),
        ("DELETE FROM by_day WHERE day = '2024-01-25'", 0),
        ("DELETE FROM plain WHERE TRUE", 0),
        ("TRUNCATE TABLE plain", 0),
        (
            "MERGE by_day AS t USING (SELECT * FROM by_moment WHERE DATE(ts) = '2024-01-26') AS s "
            "ON t.id = s.id AND t.day = '2024-01-25' WHEN MATCHED THEN UPDATE SET id = 1",
            10 * 33 + TWO,
        ),
        (
            "MERGE by_day AS t USING plain AS s ON t.id = s.id AND t.day = '2024-01-25' "
            "WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)",
            TWO + 880,
        ),
        (
            "MERGE by_day AS t USING plain AS s ON FALSE WHEN NOT MATCHED BY SOURCE AND t.day IN ('2024-01-25') "
            "THEN DELETE WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)",
            10 * 33 + 880,
        ),
        ("CREATE TABLE other AS SELECT id FROM by_day WHERE day = '2024-01-25'", TWO),
        ("CREATE VIEW other AS SELECT id FROM by_day", 0),
    ],
)
def test_a_query_processes_the_columns_and_partitions_it_needs(
    bigquery_client: bigquery.Client, tables: str, sql: str, expected: int
) -> None:
    assert dry(bigquery_client, tables, sql) == expected


def test_parameters_and_variables_are_constants(bigquery_client: bigquery.Client, tables: str) -> None:
    parameter = bigquery.ScalarQueryParameter("day", "DATE", "2024-01-25")
    sql = "SELECT id FROM by_day WHERE day >= @day AND day < DATE_ADD(@day, INTERVAL 2 DAY)"
    assert dry(bigquery_client, tables, sql, query_parameters=[parameter]) == 2 * TWO
    script = (
        "DECLARE days ARRAY<DATE> DEFAULT ['2024-01-25', '2024-02-01'];"
        "DECLARE latest DATE DEFAULT (SELECT MAX(day) FROM by_day WHERE day IS NOT NULL);"
        "SELECT id FROM by_day WHERE day IN UNNEST(days); SELECT id FROM by_day WHERE day >= latest;"
    )
    job = query(bigquery_client, tables, script)
    assert job.total_bytes_processed == 100 * 8 + 2 * TWO + TWO
    assert job.total_bytes_billed == 3 * 10 * MIB


def test_what_ran_tells_the_same_as_its_dry_run(bigquery_client: bigquery.Client, tables: str) -> None:
    sql = "SELECT a.id FROM by_day AS a, by_month AS b WHERE a.day = '2024-01-25' AND b.day = '2024-02-02'"
    estimate = query(bigquery_client, tables, sql, dry_run=True)
    job = query(bigquery_client, tables, sql)
    assert job.total_bytes_processed == estimate.total_bytes_processed == TWO + 30 * 8
    statistics = job._properties["statistics"]["query"]
    assert (job.total_bytes_billed, statistics["totalPartitionsProcessed"]) == (20 * MIB, "2")
    assert (job.cache_hit, estimate.total_bytes_billed) == (False, 0)
    accuracy = [
        query(bigquery_client, tables, f"SELECT id FROM {table}", dry_run=True)._properties["statistics"]["query"]
        for table in ("plain", "by_day")
    ]
    assert [each["totalBytesProcessedAccuracy"] for each in accuracy] == ["PRECISE", "UPPER_BOUND"]


MERGE = "MERGE t USING changes AS s ON t.id = s.id WHEN MATCHED THEN UPDATE SET note = s.note"
#: All columns of one of two partitions and the ids of the other; changes of two rows.
HALF, IDS, NOTES = 10 * 24 + 10 * 8, 2 * 8, 2 * 8


@pytest.mark.parametrize(
    ("sql", "expected", "source"),
    [
        ("UPDATE t SET note = 'x' WHERE id = 3", HALF, 0),
        ("UPDATE t SET note = 'x' FROM changes WHERE changes.id = t.id", HALF, IDS),
        ("DELETE FROM t WHERE id = 13", HALF, 0),
        (MERGE, HALF, IDS + NOTES),
        (f"{MERGE} WHEN NOT MATCHED THEN INSERT VALUES (s.day, s.id, s.note)", HALF, IDS + NOTES + 2 * 8),
        ("UPDATE t SET note = 'x' WHERE id = 99", 20 * 8, 0),
    ],
)
def test_changing_rows_counts_the_partitions_they_are_in(
    bigquery_client: bigquery.Client, dataset: str, sql: str, expected: int, source: int
) -> None:
    rows = "DATE_ADD(DATE '2024-01-01', INTERVAL DIV(id, 10) DAY) AS day, id, 'abcdef' AS note"
    setup = f"CREATE TABLE t PARTITION BY day AS SELECT {rows} FROM UNNEST(GENERATE_ARRAY(0, 19)) AS id;"
    query(bigquery_client, dataset, f"{setup} CREATE TABLE changes AS SELECT {rows} FROM UNNEST([5, 6]) AS id")
    assert dry(bigquery_client, dataset, sql) == 20 * 24 + source
    assert query(bigquery_client, dataset, sql).total_bytes_processed == expected + source


def test_an_incremental_run_reads_what_changed_and_not_the_history(
    bigquery_client: bigquery.Client, dataset: str
) -> None:
    """The script of dbt's insert_overwrite."""
    query(
        bigquery_client,
        dataset,
        "CREATE TABLE raw (day DATE, id INT64) PARTITION BY day; CREATE TABLE model LIKE raw;"
        "CREATE VIEW staged AS SELECT day, id FROM raw",
    )
    add = (
        "INSERT INTO raw SELECT day, id FROM UNNEST(GENERATE_ARRAY(1, 10)) AS id, "
        "UNNEST(GENERATE_DATE_ARRAY(@first, DATE_ADD(@first, INTERVAL 9 DAY))) AS day"
    )
    build = """
        DECLARE latest DATE DEFAULT (SELECT DATE_SUB(MAX(day), INTERVAL 1 DAY) FROM staged WHERE day > @first);
        DECLARE replaced ARRAY<DATE>;
        CREATE TEMP TABLE fresh AS SELECT * FROM staged WHERE day >= latest;
        SET replaced = (SELECT ARRAY_AGG(DISTINCT day IGNORE NULLS) FROM fresh);
        MERGE model AS t USING (SELECT * FROM fresh) AS s ON FALSE
        WHEN NOT MATCHED BY SOURCE AND t.day IN UNNEST(replaced) THEN DELETE
        WHEN NOT MATCHED THEN INSERT (day, id) VALUES (day, id)"""
    processed = []
    for first in ("2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01"):
        parameters = [bigquery.ScalarQueryParameter("first", "DATE", first)]
        query(bigquery_client, dataset, add, query_parameters=parameters)
        for _ in range(2):
            job = query(bigquery_client, dataset, build, query_parameters=parameters)
        processed.append(job.total_bytes_processed)
    # Nine days to find the latest; the last two days read, looked at for their dates, read again, and replaced.
    assert processed == [90 * 8 + 20 * 16 + 20 * 8 + 20 * 16 + 20 * 16] * 4


def test_the_tables_behind_views_are_referenced(bigquery_client: bigquery.Client, tables: str) -> None:
    query(bigquery_client, tables, "CREATE VIEW twice AS SELECT a.id FROM ranked AS a JOIN by_month AS b USING (id)")
    job = query(bigquery_client, tables, "SELECT 1 FROM twice, by_day WHERE twice.id = 1")
    assert [table.table_id for table in job.referenced_tables] == ["by_day", "by_month"]


def test_bytes_billed_are_limited(bigquery_client: bigquery.Client, tables: str) -> None:
    with pytest.raises(
        GoogleAPICallError, match=f"Query exceeded limit for bytes billed: 1000. {10 * MIB} or higher required"
    ):
        query(bigquery_client, tables, "SELECT id FROM plain", maximum_bytes_billed=1000)
    query(bigquery_client, tables, "SELECT id FROM plain", maximum_bytes_billed=10 * MIB)
    query(bigquery_client, tables, "SELECT COUNT(*) FROM plain", maximum_bytes_billed=1000)
    script = "SELECT id FROM plain; BEGIN TRANSACTION; SELECT id FROM by_month; COMMIT; SELECT IF((SELECT 1 = 1), 1, 2)"
    query(bigquery_client, tables, script, maximum_bytes_billed=20 * MIB)
    with pytest.raises(GoogleAPICallError, match=f"bytes billed: {15 * MIB}. {20 * MIB} or higher required"):
        query(bigquery_client, tables, script, maximum_bytes_billed=15 * MIB)


def test_sizes_follow_every_kind_of_change(bigquery_client: bigquery.Client, dataset: str) -> None:
    table = f"{PROJECT}.{dataset}.t"

    def sizes() -> tuple[int, int, int]:
        found = bigquery_client.get_table(table)
        read = dry(bigquery_client, dataset, "SELECT note FROM t WHERE day = '2024-01-01'")
        return found.num_rows, found.num_bytes, read

    query(bigquery_client, dataset, "CREATE TABLE t (day DATE, note STRING) PARTITION BY day")
    assert sizes() == (0, 0, 0)
    query(bigquery_client, dataset, "INSERT INTO t VALUES ('2024-01-01', 'a'), ('2024-01-02', 'bb')")
    assert sizes() == (2, 11 + 12, 11)
    config = bigquery.LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON")
    lines = io.BytesIO(b'{"day": "2024-01-01", "note": "ccc"}\n{"day": null, "note": "dddd"}')
    loaded = bigquery_client.load_table_from_file(lines, table, job_config=config).result()
    assert (loaded.output_bytes, sizes()) == (13 + 6, (4, 23 + 19, 24))
    query(bigquery_client, dataset, "UPDATE t SET note = 'x' WHERE day IS NOT NULL")
    assert sizes() == (4, 11 + 11 + 11 + 6, 22)
    query(bigquery_client, dataset, "DELETE FROM t WHERE day IS NULL")
    assert sizes() == (3, 33, 22)
    query(bigquery_client, dataset, "ALTER TABLE t ADD COLUMN n INT64")
    query(bigquery_client, dataset, "INSERT INTO t VALUES ('2024-01-01', 'y', 1)")
    assert sizes() == (4, 44 + 8, 33)
    query(bigquery_client, dataset, "BEGIN TRANSACTION; INSERT INTO t SELECT * FROM t; SELECT * FROM t; ROLLBACK")
    query(bigquery_client, dataset, "INSERT INTO t SELECT day, 'long', n FROM t")
    assert sizes() == (8, 52 + 4 * 14 + 8, 33 + 3 * 14)
    query(bigquery_client, dataset, "TRUNCATE TABLE t")
    assert sizes() == (0, 0, 0)


FILTER = "without a filter over column\\(s\\) 'day' that can be used for partition elimination"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM guarded",
        "SELECT COUNT(*) FROM guarded",
        "SELECT * FROM guarded WHERE id = 1",
        "SELECT * FROM guarded WHERE FALSE",
        "SELECT * FROM guarded WHERE day = '2024-01-25' OR id = 1",
        "SELECT * FROM guarded WHERE day = (SELECT MAX(day) FROM by_day)",
        "SELECT a.id FROM guarded AS a JOIN by_day AS b ON a.day = b.day",
        "SELECT * FROM over_guarded WHERE id = 1",
        "SELECT * FROM guarded WHERE day = '2024-01-25' UNION ALL SELECT * FROM guarded",
        "UPDATE guarded SET note = '' WHERE id = 1",
        "DELETE FROM guarded WHERE TRUE",
        "MERGE guarded AS t USING by_day AS s ON t.id = s.id WHEN MATCHED THEN DELETE",
        "MERGE guarded AS t USING by_day AS s ON t.id = s.id AND t.day = '2024-01-25' "
        "WHEN NOT MATCHED BY SOURCE THEN DELETE",
        "CREATE TABLE other AS SELECT * FROM guarded",
        "INSERT INTO plain SELECT * FROM guarded",
        "ASSERT (SELECT COUNT(*) FROM guarded) > 0",
        "DECLARE n INT64 DEFAULT (SELECT COUNT(*) FROM guarded)",
    ],
)
def test_a_required_partition_filter_is_required(bigquery_client: bigquery.Client, tables: str, sql: str) -> None:
    with pytest.raises(BadRequest, match=f"Cannot query over table '{PROJECT}.{tables}.guarded' {FILTER}") as caught:
        query(bigquery_client, tables, sql)
    assert caught.value.errors[0]["reason"] == "invalidQuery"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM guarded WHERE day >= '2024-01-25' AND id = 1",
        "SELECT * FROM guarded WHERE day IS NOT NULL",
        "SELECT * FROM guarded WHERE EXTRACT(MONTH FROM day) = 1",
        "SELECT a.id FROM by_day AS b JOIN guarded AS a ON a.day = b.day AND a.day < '2024-01-26'",
        "SELECT * FROM over_guarded WHERE d = '2024-01-25'",
        "SELECT id FROM by_day WHERE EXISTS (SELECT 1 FROM guarded WHERE day = '2024-01-25')",
        "UPDATE guarded SET note = '' WHERE day = '2030-01-25'",
        "MERGE guarded AS t USING by_day AS s ON t.id = s.id AND (t.day IS NULL OR t.day IS NOT NULL) "
        "WHEN MATCHED AND FALSE THEN DELETE WHEN NOT MATCHED AND FALSE THEN INSERT (id) VALUES (1)",
        "MERGE guarded AS t USING by_day AS s ON FALSE "
        "WHEN NOT MATCHED BY SOURCE AND t.day IN UNNEST([DATE '2030-01-01']) THEN DELETE",
        "INSERT INTO guarded (id) VALUES (1)",
        "CREATE OR REPLACE VIEW over_guarded AS SELECT id, day AS d FROM guarded",
        "CREATE TABLE the_clone CLONE guarded",
    ],
)
def test_a_filter_on_the_partition_column_is_enough(bigquery_client: bigquery.Client, tables: str, sql: str) -> None:
    query(bigquery_client, tables, sql)


def test_the_filter_of_a_table_partitioned_by_arrival(bigquery_client: bigquery.Client, tables: str) -> None:
    columns = "'_PARTITION_LOAD_TIME', '_PARTITIONDATE', '_PARTITIONTIME'"
    with pytest.raises(BadRequest, match=f"guarded_arrival' without a filter over column\\(s\\) {columns} that"):
        query(bigquery_client, tables, "SELECT * FROM guarded_arrival")
    query(bigquery_client, tables, "SELECT * FROM guarded_arrival WHERE _PARTITIONDATE = CURRENT_DATE()")
    query(bigquery_client, tables, "ALTER TABLE guarded_arrival SET OPTIONS (require_partition_filter = FALSE)")
    query(bigquery_client, tables, "SELECT * FROM guarded_arrival")
