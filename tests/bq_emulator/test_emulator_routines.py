"""SQL functions through the real client."""

from __future__ import annotations

from decimal import Decimal

import pytest
from google.api_core.exceptions import BadRequest, Conflict, MethodNotImplemented, NotFound, PreconditionFailed
from google.cloud import bigquery
from google.cloud.bigquery.enums import StandardSqlTypeNames
from google.cloud.bigquery.standard_sql import StandardSqlDataType


def run(client: bigquery.Client, sql: str, **options: object) -> bigquery.QueryJob:
    job = client.query(sql, job_config=bigquery.QueryJobConfig(**options))
    job.result()
    return job


FUNCTIONS = """CREATE TEMP FUNCTION half(x INT64) RETURNS NUMERIC AS (x / NUMERIC '2');
CREATE TEMP FUNCTION twice(x ANY TYPE) AS (x + x);
CREATE TEMP FUNCTION both(x INT64) AS (STRUCT(half(x) AS h, twice(x) AS t));
"""


def test_temporary_functions_before_one_query_make_no_script(bigquery_client: bigquery.Client, dataset: str) -> None:
    target = f"{bigquery_client.project}.{dataset}.t"
    query = FUNCTIONS + "SELECT both(x).h AS h, twice(0.5) AS t FROM UNNEST([3]) AS x"
    dry = bigquery_client.query(query, job_config=bigquery.QueryJobConfig(dry_run=True))
    assert [field.field_type for field in dry.schema] == ["NUMERIC", "FLOAT"]
    job = run(bigquery_client, query, destination=target)
    assert job.statement_type == "SELECT"
    assert [tuple(row) for row in bigquery_client.list_rows(target)] == [(Decimal("1.5"), 1.0)]


def test_temporary_functions_read_tables_and_end_with_their_script(
    bigquery_client: bigquery.Client, dataset: str
) -> None:
    script = f"""CREATE TABLE {dataset}.t AS SELECT 7 AS a;
    CREATE TEMP FUNCTION most() AS ((SELECT MAX(a) FROM {dataset}.t));
    SELECT most() AS m"""
    assert [tuple(row) for row in bigquery_client.query(script).result()] == [(7,)]
    with pytest.raises(BadRequest, match="Function not found: most"):
        run(bigquery_client, "SELECT most()")
    with pytest.raises(BadRequest, match="A view cannot refer to the temporary function"):
        run(bigquery_client, FUNCTIONS + f"CREATE VIEW {dataset}.v AS SELECT half(1) AS h")


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TEMP FUNCTION f(x INT64) RETURNS INT64 LANGUAGE js AS 'return x'; SELECT f(1)",
        "CREATE FUNCTION d.f(x FLOAT64) RETURNS FLOAT64 LANGUAGE python OPTIONS(entry_point='f') AS 'return x'",
        "CREATE TABLE FUNCTION d.f(x TABLE<a INT64>) AS (SELECT a FROM x)",
        "CREATE PROCEDURE d.p() BEGIN SELECT 1; END",
    ],
)
def test_other_functions_are_refused_by_name(bigquery_client: bigquery.Client, sql: str) -> None:
    with pytest.raises(MethodNotImplemented, match="not supported by this emulator"):
        run(bigquery_client, sql)


#: What an update must send: the API replaces the whole routine.
WHOLE = ["type_", "language", "body", "arguments", "return_type", "description"]


def rows(client: bigquery.Client, sql: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in client.query(sql).result()]


def test_functions_of_a_dataset_are_called_from_queries_views_scripts_and_each_other(
    bigquery_client: bigquery.Client, dataset: str
) -> None:
    project = bigquery_client.project
    run(bigquery_client, f"CREATE TABLE {dataset}.t AS SELECT a FROM UNNEST([1, 2, 3]) AS a")
    job = run(bigquery_client, f"CREATE FUNCTION {dataset}.half(x INT64) RETURNS NUMERIC AS (x / NUMERIC '2')")
    assert (job.statement_type, job.ddl_operation_performed) == ("CREATE_FUNCTION", "CREATE")
    assert job.ddl_target_routine == bigquery.RoutineReference.from_string(f"{project}.{dataset}.half")
    run(bigquery_client, f"CREATE FUNCTION {dataset}.twice(x ANY TYPE) AS (x + x)")
    run(bigquery_client, f"CREATE FUNCTION {dataset}.most() AS ((SELECT {dataset}.twice(MAX(a)) FROM {dataset}.t))")
    run(
        bigquery_client,
        f"CREATE AGGREGATE FUNCTION {dataset}.mean(x INT64) RETURNS NUMERIC AS (CAST(SUM(x) AS NUMERIC) / COUNT(*))",
    )
    run(
        bigquery_client,
        f"CREATE TABLE FUNCTION {dataset}.above(low INT64) RETURNS TABLE<a FLOAT64, h NUMERIC> AS "
        f"SELECT a, `{project}.{dataset}.half`(a) AS h FROM `{project}.{dataset}.t` WHERE a > low",
    )
    assert rows(bigquery_client, f"SELECT {dataset}.half(3), {dataset}.twice(0.5), `{project}.{dataset}`.most()") == [
        (Decimal("1.5"), 1.0, 6)
    ]
    assert rows(bigquery_client, f"SELECT {dataset}.mean(a) FROM {dataset}.t") == [(Decimal(2),)]
    found = bigquery_client.query(f"SELECT * FROM {dataset}.above(1) ORDER BY a").result()
    assert [tuple(row) for row in found] == [(2.0, Decimal(1)), (3.0, Decimal("1.5"))]
    assert [field.field_type for field in found.schema] == ["FLOAT", "NUMERIC"]
    run(
        bigquery_client,
        f"CREATE VIEW {dataset}.v AS SELECT {dataset}.twice(CAST(a AS INT64)) AS b FROM {dataset}.above(2)",
    )
    assert rows(bigquery_client, f"SELECT b FROM {dataset}.v") == [(6,)]
    replaced = run(bigquery_client, f"CREATE OR REPLACE FUNCTION {dataset}.twice(x ANY TYPE) AS (x * 20)")
    assert replaced.ddl_operation_performed == "REPLACE"
    assert rows(bigquery_client, f"SELECT b FROM {dataset}.v") == [(60,)]
    script = f"""DECLARE n INT64 DEFAULT 2;
    CREATE OR REPLACE FUNCTION {dataset}.plus(x INT64) AS (x + 1);
    SELECT {dataset}.plus(n), plus(n)"""
    in_dataset = bigquery.QueryJobConfig(default_dataset=f"{project}.{dataset}")
    assert [tuple(row) for row in bigquery_client.query(script, job_config=in_dataset).result()] == [(3, 3)]


def test_functions_that_cannot_be_made_or_called_say_why(bigquery_client: bigquery.Client, dataset: str) -> None:
    project = bigquery_client.project
    run(bigquery_client, f"CREATE FUNCTION {dataset}.f(x INT64) AS (x)")
    again = run(bigquery_client, f"CREATE FUNCTION IF NOT EXISTS {dataset}.f(x INT64) AS (x + 1)")
    assert again.ddl_operation_performed == "SKIP"
    with pytest.raises(Conflict, match=f"Already Exists: Routine {project}:{dataset}.f"):
        run(bigquery_client, f"CREATE FUNCTION {dataset}.f(x INT64) AS (x)")
    with pytest.raises(NotFound, match="Not found: Dataset"):
        run(bigquery_client, "CREATE FUNCTION no_dataset.f(x INT64) AS (x)")
    with pytest.raises(BadRequest, match="must be qualified with a dataset"):
        run(bigquery_client, "CREATE FUNCTION f(x INT64) AS (x)")
    with pytest.raises(BadRequest, match=r"Function not found: other.* at \[1:\d+\]"):
        run(bigquery_client, f"CREATE FUNCTION {dataset}.g() AS (other())")
    with pytest.raises(BadRequest, match="Unrecognized name: n at"):
        run(bigquery_client, f"DECLARE n INT64; CREATE FUNCTION {dataset}.g() AS (n)")
    with pytest.raises(BadRequest, match="declared to return STRING but the function body produces incompatible type"):
        run(bigquery_client, f"CREATE FUNCTION {dataset}.g(x INT64) RETURNS STRING AS (x)")
    with pytest.raises(BadRequest, match=f"No matching signature for function {dataset}.f"):
        run(bigquery_client, f"SELECT {dataset}.f('a')")
    with pytest.raises(BadRequest, match="CREATE_FUNCTION of a permanent entity"):
        run(bigquery_client, f"BEGIN TRANSACTION; CREATE FUNCTION {dataset}.g() AS (1); COMMIT TRANSACTION;")
    with pytest.raises(BadRequest, match="is a SCALAR_FUNCTION"):
        run(bigquery_client, f"DROP TABLE FUNCTION {dataset}.f")
    run(bigquery_client, f"CREATE OR REPLACE FUNCTION {dataset}.f(x INT64) AS ({dataset}.f(x))")
    with pytest.raises(BadRequest, match=f"The function {dataset}.f is recursive"):
        run(bigquery_client, f"SELECT {dataset}.f(1)")
    assert run(bigquery_client, f"DROP FUNCTION {dataset}.f").ddl_operation_performed == "DROP"
    assert run(bigquery_client, f"DROP FUNCTION IF EXISTS {dataset}.f").ddl_operation_performed == "SKIP"
    with pytest.raises(NotFound, match=f"Not found: Routine {project}:{dataset}.f"):
        run(bigquery_client, f"DROP FUNCTION {dataset}.f")
    with pytest.raises(BadRequest, match=f"Function not found: {dataset}.f"):
        run(bigquery_client, f"SELECT {dataset}.f(1)")


def test_routines_by_the_client(bigquery_client: bigquery.Client, dataset: str) -> None:
    reference = f"{bigquery_client.project}.{dataset}.add"
    integer = StandardSqlDataType(StandardSqlTypeNames.INT64)
    routine = bigquery.Routine(
        reference,
        type_="SCALAR_FUNCTION",
        language="SQL",
        body="x + y",
        arguments=[
            bigquery.RoutineArgument(name="x", data_type=integer),
            bigquery.RoutineArgument(name="y", kind="ANY_TYPE"),
        ],
        description="A sum",
    )
    made = bigquery_client.create_routine(routine)
    assert [(each.name, each.kind) for each in made.arguments] == [("x", "FIXED_TYPE"), ("y", "ANY_TYPE")]
    assert made.return_type is None and made.description == "A sum"
    assert rows(bigquery_client, f"SELECT {dataset}.add(1, 2)") == [(3,)]
    with pytest.raises(Conflict):
        bigquery_client.create_routine(routine)
    assert bigquery_client.create_routine(routine, exists_ok=True).reference == made.reference
    stale = bigquery_client.get_routine(reference)
    made.body, made.return_type = "x - y", StandardSqlDataType(StandardSqlTypeNames.FLOAT64)
    updated = bigquery_client.update_routine(made, WHOLE)
    assert (updated.body, updated.created) == ("x - y", made.created)
    assert rows(bigquery_client, f"SELECT {dataset}.add(1, 2)") == [(-1.0,)]
    stale.body = "y"
    with pytest.raises(PreconditionFailed):
        bigquery_client.update_routine(stale, WHOLE)
    with pytest.raises(BadRequest, match="Unrecognized name: z"):
        bigquery_client.create_routine(bigquery.Routine(f"{reference}2", type_="SCALAR_FUNCTION", body="z"))
    assert [each.routine_id for each in bigquery_client.list_routines(dataset)] == ["add"]
    schema = f"{dataset}.INFORMATION_SCHEMA"
    columns = "routine_name, routine_type, data_type, routine_definition"
    assert rows(bigquery_client, f"SELECT {columns} FROM {schema}.ROUTINES") == [
        ("add", "FUNCTION", "FLOAT64", "x - y")
    ]
    columns = "ordinal_position, parameter_name, data_type, is_result"
    assert rows(bigquery_client, f"SELECT {columns} FROM {schema}.PARAMETERS ORDER BY 1") == [
        (0, None, "FLOAT64", "YES"),
        (1, "x", "INT64", "NO"),
        (2, "y", "ANY TYPE", "NO"),
    ]
    assert rows(bigquery_client, f"SELECT option_value FROM {schema}.ROUTINE_OPTIONS") == [('"A sum"',)]
    ddl = rows(bigquery_client, f"SELECT ddl FROM {schema}.ROUTINES")[0][0]
    run(bigquery_client, f"DROP FUNCTION {dataset}.add; {ddl}")
    assert rows(bigquery_client, f"SELECT {dataset}.add(1, 2)") == [(-1.0,)]
    bigquery_client.delete_routine(reference)
    with pytest.raises(NotFound):
        bigquery_client.delete_routine(reference)


def test_a_dataset_takes_its_functions_along(bigquery_client: bigquery.Client, dataset: str) -> None:
    run(bigquery_client, f"CREATE SCHEMA {dataset}_2; CREATE FUNCTION {dataset}_2.f() AS (1)")
    with pytest.raises(BadRequest, match="is still in use"):
        run(bigquery_client, f"DROP SCHEMA {dataset}_2")
    run(bigquery_client, f"DROP SCHEMA {dataset}_2 CASCADE; CREATE SCHEMA {dataset}_2")
    assert list(bigquery_client.list_routines(f"{dataset}_2")) == []
    bigquery_client.delete_dataset(f"{dataset}_2")
