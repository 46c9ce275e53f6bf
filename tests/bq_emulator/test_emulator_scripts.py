"""Scripts through the real client: variables, control flow, errors, transactions, temporary tables, child jobs."""

from __future__ import annotations

import datetime as dt
import threading
from decimal import Decimal

import pytest
from google.api_core.exceptions import BadRequest, MethodNotImplemented, NotFound
from google.cloud import bigquery


def run(client: bigquery.Client, sql: str, **options: object) -> list[tuple[object, ...]]:
    return [tuple(row) for row in client.query(sql, job_config=bigquery.QueryJobConfig(**options)).result()]


def test_variables_are_typed_scoped_and_exact(bigquery_client: bigquery.Client) -> None:
    script = """
    DECLARE a, b INT64 DEFAULT 2;
    DECLARE n NUMERIC DEFAULT 1;
    DECLARE guessed DEFAULT [DATE '2024-01-31', NULL];
    DECLARE j JSON DEFAULT JSON '{"k": [1.5, "x"]}';
    DECLARE s STRUCT<x INT64, y STRING> DEFAULT (1, 'one');
    DECLARE nothing ARRAY<STRING>;
    SET n = n / 3;
    SET (a, S) = (a + 40, (7, "it's"));
    BEGIN
      DECLARE inside INT64 DEFAULT a;
      SET B = inside + b;
    END;
    SELECT a, b, n, guessed[OFFSET(0)], ARRAY_LENGTH(guessed), j.k[0], s.y, nothing IS NULL, x IN UNNEST(guessed)
    FROM UNNEST([DATE '2024-01-31']) AS x
    """
    assert run(bigquery_client, script) == [
        (42, 44, Decimal("0.333333333"), dt.date(2024, 1, 31), 2, 1.5, "it's", True, True)
    ]


def test_a_column_hides_a_variable_of_its_name(bigquery_client: bigquery.Client) -> None:
    assert run(bigquery_client, "DECLARE x INT64 DEFAULT 1; SELECT x FROM UNNEST([5]) AS x") == [(5,)]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("DECLARE x INT64;\nSET x = 'a'", r"Query error: .*INT64.*STRING.* at \[2:9\]"),
        ("DECLARE x INT64;\nSET y = 1", r"Query error: Undeclared variable: y at \[2:1\]"),
        ("DECLARE x INT64; DECLARE X STRING", r"redeclaration.* at \[1:18\]"),
        ("BEGIN DECLARE x INT64; END;\nSELECT x", r"Unrecognized name: x at \[2:8\]"),
        ("DECLARE x STRING(2) DEFAULT 'abc'", r"maximum length 2"),
        ("SELECT 1;\n  SELECT 1/0", r"Query error: division by zero.* at \[2:3\]"),
        ("SELECT 1;\nSELECT nope FROM `a.b`.c", r"a.b"),
        ("RAISE USING MESSAGE = CONCAT('b', 'ad')", r"bad at \[1:1\]"),
        ("RAISE", r"Cannot re-raise"),
        ("SELECT 1; ASSERT 1 > 2 AS 'one is not more'", r"Assertion failed: one is not more at \[1:11\]"),
        ("ROLLBACK", r"no transaction in progress"),
        ("CREATE TEMP TABLE t AS SELECT 1 AS a", r"Use of CREATE TEMPORARY TABLE requires a script or session"),
        ("SELECT 1; DECLARE x INT64", r"(?i)variable declarations"),
        ("SELECT 1;\nSELEC 2", r"Syntax error.* at \[2:1\]"),
    ],
)
def test_errors_say_where_in_the_script(bigquery_client: bigquery.Client, script: str, message: str) -> None:
    with pytest.raises((BadRequest, NotFound), match=message):
        run(bigquery_client, script)


@pytest.mark.parametrize(
    "script",
    [
        "WHILE TRUE DO SELECT 1; END WHILE",
        "LOOP SELECT 1; END LOOP",
        "FOR r IN (SELECT 1) DO SELECT 1; END FOR",
        "REPEAT SELECT 1; UNTIL TRUE END REPEAT",
        "SELECT 1; CALL d.p()",
        "SET @@time_zone = 'Asia/Tokyo'",
    ],
)
def test_what_scripts_lack_is_refused_by_name(bigquery_client: bigquery.Client, script: str) -> None:
    with pytest.raises(MethodNotImplemented, match="not supported by this emulator"):
        run(bigquery_client, script)


def test_if_and_case_choose_a_branch(bigquery_client: bigquery.Client) -> None:
    script = """
    DECLARE found ARRAY<STRING> DEFAULT [];
    IF NULL THEN SET found = ['null']; ELSEIF EXISTS(SELECT 1) THEN SET found = ['elseif']; ELSE SELECT 1/0; END IF;
    CASE ARRAY_LENGTH(found) WHEN 0 THEN SELECT 1/0; WHEN 1 THEN SET found = ARRAY_CONCAT(found, ['value']); END CASE;
    CASE WHEN found IS NULL THEN SELECT 1/0; ELSE SET found = ARRAY_CONCAT(found, ['else']); END CASE;
    IF FALSE THEN SELECT 1/0; END IF;
    SELECT found;
    RETURN;
    SELECT 1/0
    """
    assert run(bigquery_client, script) == [(["elseif", "value", "else"],)]


def test_an_exception_is_caught_told_and_raised_again(bigquery_client: bigquery.Client) -> None:
    script = """BEGIN
  SELECT 1 AS fine;
  SELECT 1 / 0;
EXCEPTION WHEN ERROR THEN
  SELECT @@error.message, @@error.statement_text, @@error.stack_trace[OFFSET(0)].line;
END"""
    ((message, text, line),) = run(bigquery_client, script)
    assert (str(message).startswith("Query error: division by zero"), text, line) == (True, "SELECT 1 / 0", 3)
    with pytest.raises(BadRequest, match="division by zero"):
        run(bigquery_client, script.replace("SELECT @@error", "RAISE; SELECT @@error"))
    own = "BEGIN RAISE USING MESSAGE = 'mine'; EXCEPTION WHEN ERROR THEN SELECT @@error.message; END"
    assert run(bigquery_client, own) == [("mine",)]


def test_execute_immediate_takes_and_gives_variables(bigquery_client: bigquery.Client, dataset: str) -> None:
    script = f"""
    DECLARE total NUMERIC;
    DECLARE day DATE;
    EXECUTE IMMEDIATE FORMAT('CREATE TABLE {dataset}.%s (id INT64, d DATE)', 'made');
    EXECUTE IMMEDIATE 'INSERT INTO {dataset}.made (id, d) VALUES (?, ?), (4, NULL)' USING 3, DATE '2024-02-29';
    EXECUTE IMMEDIATE 'SELECT SUM(id) + @more, MAX(d) FROM {dataset}.made' INTO total, day USING 4 AS more;
    SELECT total, day
    """
    assert run(bigquery_client, script) == [(Decimal(11), dt.date(2024, 2, 29))]
    with pytest.raises(BadRequest, match="cannot mix named and positional parameters"):
        run(bigquery_client, "EXECUTE IMMEDIATE 'SELECT ? + @b' USING 1, 2 AS b")


def test_system_variables(bigquery_client: bigquery.Client, dataset: str) -> None:
    ids = "@@project_id, @@dataset_id, @@time_zone, @@location"
    (plain,) = run(bigquery_client, f"SELECT {ids}", default_dataset=f"{bigquery_client.project}.{dataset}")
    assert plain == (bigquery_client.project, dataset, "UTC", "US")
    script = f"""
    SET @@dataset_id = '{dataset}';
    CREATE TABLE t AS SELECT 1 AS a;
    INSERT INTO t (a) SELECT * FROM UNNEST([1, 2]);
    SELECT @@row_count, @@script.num_child_jobs, @@script.job_id, @@error.message
    """
    job = bigquery_client.query(script)
    assert [tuple(row) for row in job.result()] == [(2, 3, job.job_id, None)]


def test_statements_become_child_jobs(bigquery_client: bigquery.Client, dataset: str) -> None:
    script = f"""DECLARE most INT64;
    CREATE TABLE {dataset}.t AS SELECT 1 AS a UNION ALL SELECT 2;
    SET most = (SELECT MAX(a) FROM {dataset}.t);
    DELETE FROM {dataset}.t WHERE a = most;
    SELECT a FROM {dataset}.t"""
    job = bigquery_client.query(script)
    assert [tuple(row) for row in job.result()] == [(1,)]
    job = bigquery_client.get_job(job.job_id)
    children = list(bigquery_client.list_jobs(parent_job=job))
    assert (job.statement_type, job.num_child_jobs, len(children)) == ("SCRIPT", 4, 4)
    told = [(c.statement_type, c.script_statistics.evaluation_kind) for c in reversed(children)]
    assert told == [
        ("CREATE_TABLE_AS_SELECT", "STATEMENT"),
        ("SELECT", "EXPRESSION"),
        ("DELETE", "STATEMENT"),
        ("SELECT", "STATEMENT"),
    ]
    last, delete = children[0], children[1]
    assert last.parent_job_id == job.job_id
    assert [tuple(row) for row in last.result()] == [(1,)]
    assert delete.num_dml_affected_rows == 1
    frame = delete.script_statistics.stack_frames[0]
    assert (frame.start_line, frame.start_column) == (4, 5)
    assert frame.text == f"DELETE FROM {dataset}.t WHERE a = most"
    assert job.job_id in [each.job_id for each in bigquery_client.list_jobs(max_results=20)]
    assert last.job_id not in [each.job_id for each in bigquery_client.list_jobs(max_results=20)]


def test_a_failing_script_keeps_what_it_had_done(bigquery_client: bigquery.Client, dataset: str) -> None:
    job = bigquery_client.query(f"CREATE TABLE {dataset}.t AS SELECT 1 AS a; SELECT 1/0; DROP TABLE {dataset}.t")
    with pytest.raises(BadRequest, match="division by zero"):
        job.result()
    assert run(bigquery_client, f"SELECT a FROM {dataset}.t") == [(1,)]
    children = list(bigquery_client.list_jobs(parent_job=job.job_id))
    assert [bool(child.error_result) for child in children] == [True, False]


def test_a_script_has_no_destination_and_runs_dry(bigquery_client: bigquery.Client, dataset: str) -> None:
    with pytest.raises(BadRequest, match="Cannot set destination table in jobs with scripts"):
        run(bigquery_client, "SELECT 1; SELECT 2", destination=f"{bigquery_client.project}.{dataset}.t")
    config = bigquery.QueryJobConfig(dry_run=True)
    job = bigquery_client.query(f"CREATE TABLE {dataset}.t (a INT64); SELECT a FROM {dataset}.t", job_config=config)
    assert (job.statement_type, job.total_bytes_processed) == ("SCRIPT", 0)
    assert list(bigquery_client.list_tables(dataset)) == []
    with pytest.raises(BadRequest, match="Syntax error"):
        bigquery_client.query("SELECT 1; SELEC 2", job_config=config)


def test_temporary_tables_live_as_long_as_their_script(bigquery_client: bigquery.Client, dataset: str) -> None:
    project = bigquery_client.project
    script = f"""
    CREATE OR REPLACE TABLE {dataset}.t AS SELECT 'kept' AS a;
    CREATE TEMP TABLE t (a STRING, n INT64);
    INSERT INTO t (a, n) VALUES ('temporary', 1);
    UPDATE _SESSION.t SET n = 2 WHERE TRUE;
    CREATE TEMP TABLE gone AS SELECT 1 AS x;
    DROP TABLE gone;
    SELECT t.a, t.n, kept.a AS b FROM t, {dataset}.t AS kept
    """
    options = {"default_dataset": f"{project}.{dataset}"}
    assert run(bigquery_client, script, **options) == [("temporary", 2, "kept")]
    assert run(bigquery_client, "SELECT * FROM t", **options) == [("kept",)]
    with pytest.raises(NotFound):
        run(bigquery_client, script + "; SELECT * FROM gone", **options)
    listed = "SELECT table_name FROM `region-us`.INFORMATION_SCHEMA.TABLES WHERE STARTS_WITH(table_name, 'script')"
    assert run(bigquery_client, listed) == []
    with pytest.raises(BadRequest, match="A view cannot refer to the temporary table"):
        run(bigquery_client, f"CREATE TEMP TABLE x AS SELECT 1 AS a; CREATE VIEW {dataset}.v AS SELECT a FROM x")
    with pytest.raises(BadRequest, match="A view cannot refer to the variable"):
        run(bigquery_client, f"DECLARE x INT64; CREATE VIEW {dataset}.v AS SELECT x AS a")


def test_a_transaction_happens_whole_or_not_at_all(bigquery_client: bigquery.Client, dataset: str) -> None:
    run(bigquery_client, f"CREATE TABLE {dataset}.t AS SELECT 1 AS a; CREATE TABLE {dataset}.u (a INT64)")
    count = f"SELECT (SELECT COUNT(*) FROM {dataset}.t), (SELECT COUNT(*) FROM {dataset}.u)"
    work = f"BEGIN TRANSACTION; INSERT INTO {dataset}.u (a) SELECT a FROM {dataset}.t; TRUNCATE TABLE {dataset}.t;"
    assert run(bigquery_client, f"{work} {count}; ROLLBACK TRANSACTION") == [(0, 1)]
    assert run(bigquery_client, count) == [(1, 0)]
    with pytest.raises(BadRequest, match="division by zero"):
        run(bigquery_client, f"{work} SELECT 1/0; COMMIT TRANSACTION")
    run(bigquery_client, work)  # no COMMIT
    assert run(bigquery_client, count) == [(1, 0)]
    caught = f"""BEGIN {work} SELECT 1/0; COMMIT;
    EXCEPTION WHEN ERROR THEN SELECT @@error.message; ROLLBACK TRANSACTION; END"""
    ((message,),) = run(bigquery_client, caught)
    assert "division by zero" in str(message)
    assert run(bigquery_client, count) == [(1, 0)]
    run(bigquery_client, f"{work} CREATE TEMP TABLE x AS SELECT 1 AS a; DROP TABLE x; COMMIT TRANSACTION")
    assert run(bigquery_client, count) == [(0, 1)]
    with pytest.raises(BadRequest, match="not supported inside a transaction"):
        run(bigquery_client, f"BEGIN TRANSACTION; DROP TABLE {dataset}.t; COMMIT")


def test_a_transaction_gives_way_to_another(bigquery_client: bigquery.Client, dataset: str) -> None:
    run(bigquery_client, f"CREATE TABLE {dataset}.t AS SELECT 0 AS a")
    script = f"""BEGIN TRANSACTION;
    UPDATE {dataset}.t SET a = a + 1 WHERE TRUE;
    SELECT COUNT(*) FROM UNNEST(GENERATE_ARRAY(1, 4000000)) AS x WHERE MOD(x, 7) = 3;
    COMMIT TRANSACTION"""
    errors: list[str] = []

    def work() -> None:
        try:
            run(bigquery_client, script)
        except BadRequest as error:
            errors.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert run(bigquery_client, f"SELECT a FROM {dataset}.t") == [(2 - len(errors),)]
    assert all(
        f"Transaction is aborted due to concurrent update against table {bigquery_client.project}" in e for e in errors
    )


def test_dynamic_insert_overwrite_as_dbt_writes_it(bigquery_client: bigquery.Client, dataset: str) -> None:
    table = f"`{bigquery_client.project}`.`{dataset}`.`t`"
    tmp = f"`{bigquery_client.project}`.`{dataset}`.`t__dbt_tmp`"
    run(
        bigquery_client,
        f"CREATE TABLE {table} PARTITION BY day AS SELECT DATE '2024-01-01' AS day, 1 AS v "
        "UNION ALL SELECT DATE '2024-01-02', 2 UNION ALL SELECT DATE '2024-01-03', 3",
    )
    script = f"""
      -- generated script to merge partitions into {table}
      declare dbt_partitions_for_replacement array<date>;
      declare _dbt_max_partition date default (
        select max(day) from {table} where day is not null
      );
      create or replace table {tmp} partition by day
      OPTIONS(expiration_timestamp=TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 12 hour))
      as ( select date_sub(_dbt_max_partition, interval 1 day) as day, 20 as v );
      set (dbt_partitions_for_replacement) = (
          select as struct
              array_agg(distinct date(day) IGNORE NULLS)
          from {tmp}
      );
      merge into {table} as DBT_INTERNAL_DEST
        using ( select * from {tmp} ) as DBT_INTERNAL_SOURCE
        on FALSE
      when not matched by source
         and date(DBT_INTERNAL_DEST.day) in unnest(dbt_partitions_for_replacement)
        then delete
      when not matched then insert (`day`, `v`) values (`day`, `v`)
      ;
      -- 4. clean up the temp table
      drop table if exists {tmp}
    """
    run(bigquery_client, script)
    assert run(bigquery_client, f"SELECT v FROM {table} ORDER BY day") == [(1,), (20,), (3,)]
    assert [entry.table_id for entry in bigquery_client.list_tables(dataset)] == ["t"]


def test_a_cancelled_script_stops_between_statements(bigquery_client: bigquery.Client, dataset: str) -> None:
    slow = "SELECT COUNT(*) FROM UNNEST(GENERATE_ARRAY(1, 100000000)) AS x WHERE MOD(x, 7) = 3;"
    job = bigquery_client.query(
        f"CREATE TABLE {dataset}.t (a INT64); BEGIN {slow} EXCEPTION WHEN ERROR THEN SELECT 1; END; "
        f"DROP TABLE {dataset}.t"
    )
    job.cancel()
    with pytest.raises(Exception, match="cancelled"):
        job.result()
