"""What columns take, however a value gets there, and which types a column may be given."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from google.api_core.exceptions import BadRequest, Conflict
from google.cloud import bigquery

Run = Callable[[str], list[tuple[object, ...]]]

COLUMNS = (
    "k INT64 NOT NULL, s STRING(3), b BYTES(2), n NUMERIC(4, 2), g BIGNUMERIC(5, 1), "
    "st STRUCT<x INT64 NOT NULL, y STRING(2)>, ar ARRAY<STRUCT<z STRING(1), w NUMERIC(3) NOT NULL>>, "
    "al ARRAY<STRING(2)>"
)
#: Column, a value in SQL, the same in JSON, what is wrong with it.
WRONG = [
    ("k", "NULL", None, r"Required field k cannot be null|Field: k; Value: NULL"),
    ("s", "'abcd'", "abcd", r"Field s: STRING\(3\) has maximum length 3 but got a value with length 4"),
    ("b", "b'abc'", "YWJj", r"Field b: BYTES\(2\) has maximum length 2 but got a value with length 3"),
    (
        "n",
        "NUMERIC '123.456'",
        "123.456",
        r"Field n: NUMERIC\(4, 2\) has precision 4 and scale 2 but got a value that is not in range of \[-99.99, 99.9",
    ),
    ("g", "BIGNUMERIC '12345.6'", "12345.6", r"Field g: BIGNUMERIC\(5, 1\) has precision 5 and scale 1"),
    ("st", "STRUCT(NULL, 'a')", {"y": "a"}, r"Required field st.x cannot be null"),
    ("st", "STRUCT(1, 'abc')", {"x": 1, "y": "abc"}, r"Field st.y: STRING\(2\) has maximum length 2"),
    ("ar", "[STRUCT('ab', 1)]", [{"z": "ab", "w": 1}], r"Field ar.z: STRING\(1\) has maximum length 1"),
    ("ar", "[STRUCT('a', 1234)]", [{"z": "a", "w": "1234"}], r"Field ar.w: NUMERIC\(3, 0\) has precision 3"),
    ("al", "['abc']", ["abc"], r"Field al: STRING\(2\) has maximum length 2"),
]


@pytest.fixture
def run(bigquery_client: bigquery.Client, dataset: str) -> Run:
    """Run a statement in the test's dataset; the rows of its result."""
    config = bigquery.QueryJobConfig(default_dataset=f"{bigquery_client.project}.{dataset}")
    return lambda sql: [tuple(row) for row in bigquery_client.query_and_wait(sql, job_config=config)]


def test_limits_hold_however_a_value_is_written(run: Run, bigquery_client: bigquery.Client, dataset: str) -> None:
    run(f"CREATE TABLE t ({COLUMNS}); INSERT INTO t (k, n) VALUES (1, 12.345)")
    table = bigquery_client.get_table(f"{dataset}.t")
    load = bigquery.LoadJobConfig(schema=table.schema)
    for column, value, json, message in WRONG:
        key = "" if column == "k" else "k, "
        one = "" if column == "k" else "1, "
        statements = [
            f"INSERT INTO t ({key}{column}) VALUES ({one}{value})",
            f"UPDATE t SET {column} = {value} WHERE true",
            f"MERGE t USING (SELECT 1 AS j) ON k = j WHEN MATCHED THEN UPDATE SET {column} = {value}",
            f"MERGE t USING (SELECT 2 AS j) ON k = j "
            f"WHEN NOT MATCHED THEN INSERT ({key}{column}) VALUES ({one}{value})",
        ]
        for statement in statements:
            with pytest.raises(BadRequest, match=message):
                run(statement)
        row = {"k": 1, column: json}
        with pytest.raises(BadRequest, match=message):
            bigquery_client.load_table_from_json([row], table, job_config=load).result()
        assert bigquery_client.insert_rows_json(table, [row])[0]["errors"][0]["reason"] == "invalid"
    with pytest.raises(BadRequest, match=r"Field s: STRING\(3\)"):
        run("CREATE TABLE u (s STRING(3)) AS SELECT 'abcd' AS s")
    assert run("SELECT k, n, s FROM t") == [(1, Decimal("12.35"), None)]


def test_single_fields_of_structs_are_updated(run: Run) -> None:
    run("CREATE TABLE t (k INT64, s STRUCT<a INT64, b STRUCT<c STRING, d INT64>>)")
    run("INSERT INTO t VALUES (1, STRUCT(1, STRUCT('x', 2))), (2, STRUCT(3, NULL)), (3, NULL)")
    run("UPDATE t SET s.a = s.a + 1, s.b.c = UPPER(s.b.c), k = 10 WHERE k = 1")
    run("MERGE t USING (SELECT 2 AS j) ON k = j WHEN MATCHED THEN UPDATE SET s.a = 7")
    assert run("SELECT k, s.a, s.b.c, s.b.d FROM t WHERE k != 3 ORDER BY k") == [(2, 7, None, None), (10, 2, "X", 2)]
    for statement in ("UPDATE t SET s.b.d = 1 WHERE k = 2", "UPDATE t SET s.a = 1 WHERE k = 3"):
        with pytest.raises(BadRequest, match="Cannot set field of NULL STRUCT"):
            run(statement)


def test_a_type_gives_way_to_a_wider_one_only(run: Run, bigquery_client: bigquery.Client, dataset: str) -> None:
    run(
        "CREATE TABLE t "
        "(i INT64, j INT64, s STRING(3), n NUMERIC(5, 2), st STRUCT<a INT64, b STRING>, q INT64 NOT NULL)"
    )
    run("INSERT INTO t VALUES (1, 2, 'abc', 1.25, STRUCT(4, 'x'), 5)")
    for column, kind in (
        ("i", "NUMERIC"), ("i", "BIGNUMERIC"), ("i", "FLOAT64"), ("j", "BIGNUMERIC"), ("s", "STRING(5)"),
        ("s", "STRING"), ("n", "NUMERIC(7, 3)"), ("n", "NUMERIC"), ("n", "BIGNUMERIC"),
        ("st", "STRUCT<a NUMERIC, b STRING>"),
    ):  # fmt: skip
        run(f"ALTER TABLE t ALTER COLUMN {column} SET DATA TYPE {kind}")
    assert run("SELECT i, j, s, n, st.a, q FROM t") == [(1.0, Decimal(2), "abc", Decimal("1.25"), Decimal(4), 5)]
    types = [field.field_type for field in bigquery_client.get_table(f"{dataset}.t").schema]
    assert types == ["FLOAT", "BIGNUMERIC", "STRING", "BIGNUMERIC", "RECORD", "INTEGER"]
    run("CREATE TABLE u (s STRING(5), n NUMERIC(6, 2), m NUMERIC, i INT64)")
    for column, kind in (
        ("s", "STRING(2)"), ("n", "NUMERIC(6, 3)"), ("n", "NUMERIC(5, 2)"), ("m", "NUMERIC(37, 9)"), ("m", "INT64"),
        ("i", "NUMERIC(10, 2)"), ("i", "STRING"),
    ):  # fmt: skip
        with pytest.raises(BadRequest, match=r"requires that the existing column type .* is assignable to"):
            run(f"ALTER TABLE u ALTER COLUMN {column} SET DATA TYPE {kind}")


def test_columns_and_tables_are_renamed_relaxed_and_given_defaults(run: Run) -> None:
    run("CREATE TABLE t (q INT64 NOT NULL, r STRING); INSERT INTO t VALUES (1, 'a')")
    run("ALTER TABLE t ALTER COLUMN q DROP NOT NULL, ALTER COLUMN r SET DEFAULT 'new'")
    with pytest.raises(BadRequest, match="is not NOT NULL"):
        run("ALTER TABLE t ALTER COLUMN q DROP NOT NULL")
    with pytest.raises(BadRequest, match="has type STRING which cannot be assigned to column type INT64"):
        run("ALTER TABLE t ALTER COLUMN q SET DEFAULT 'a'")
    run("INSERT INTO t (q) VALUES (NULL); ALTER TABLE t ALTER COLUMN r DROP DEFAULT; INSERT INTO t (q) VALUES (3)")
    run(
        "ALTER TABLE t RENAME COLUMN q TO p; ALTER TABLE t ADD COLUMN IF NOT EXISTS r INT64, DROP COLUMN IF EXISTS none"
    )
    assert run("SELECT p, r FROM t ORDER BY p") == [(None, "new"), (1, "a"), (3, None)]
    for action, message in (
        ("RENAME COLUMN q TO x", "not found: q"),
        ("RENAME COLUMN p TO R", "Column already exists: R"),
        ("ADD COLUMN P STRING", "Column already exists: P"),
        ("DROP COLUMN none", "Column not found: none"),
        ("ADD COLUMN z INT64 NOT NULL", "Cannot add required columns to an existing table"),
    ):
        with pytest.raises(BadRequest, match=message):
            run(f"ALTER TABLE t {action}")
    run("CREATE TABLE u (a INT64)")
    with pytest.raises(Conflict, match="Already Exists: Table"):
        run("ALTER TABLE t RENAME TO u")
    run("ALTER TABLE t RENAME TO v")
    assert run("SELECT COUNT(*) FROM v") == [(3,)]
