"""Generated values: what Postgres stores is what a record holds."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
ROW = st.tuples(
    st.none() | TEXT,
    st.none() | st.lists(st.none() | TEXT, max_size=4),
    st.none() | st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**15), max_value=10**15),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.datetimes(),
    st.none() | st.dates(),
    st.none() | st.integers(-(2**63), 2**63 - 1),
)


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROW, min_size=1, max_size=20))
def test_generated_values_arrive_as_stored(source: Any, execute: Any, database: Any, rows: list[Any]) -> None:
    execute("DROP TABLE IF EXISTS t")
    execute("CREATE TABLE t (i int, s text, a text[], n numeric, f float8, at timestamp, d date, big bigint)")
    with psycopg.connect(database.conninfo) as connection:
        statement = "INSERT INTO t VALUES (%s, %s, %s::text[], %s, %s, %s, %s, %s)"
        connection.cursor().executemany(statement, [(index, *row) for index, row in enumerate(rows)])
    stream = {"name": "t", "namespace": "public", "json_schema": {}}
    catalog = {"streams": [{"stream": stream, "sync_mode": "full_refresh", "destination_sync_mode": "append"}]}
    run = source("read", catalog=catalog)
    assert run.status == 0, run.errors
    records = run.records("t")
    for (text, array, number, real, at, day, big), record in zip(rows, records, strict=True):
        assert (record["s"], record["a"], record["n"], record["big"]) == (text, array, number, big)
        assert (None if record["f"] is None else float(record["f"])) == real
        assert record["at"] == (at and at.isoformat(timespec="microseconds"))
        assert record["d"] == (day and day.isoformat())


def test_arrays_of_awkward_shapes(source: Any, execute: Any, configured: Any) -> None:
    cases: list[tuple[str, str, Any]] = [
        ("text[]", "'[2:3]={a,b}'", ["a", "b"]),
        ("text[][]", '\'{{"NULL",NULL},{"{}","a,b"}}\'', [["NULL", None], ["{}", "a,b"]]),
        ("box[]", "'{(2,2),(1,1);(4,4),(3,3)}'", ["(2,2),(1,1)", "(4,4),(3,3)"]),
        ("point[]", '\'{"(1,2)","(3,4)"}\'', ["(1,2)", "(3,4)"]),
        ("timestamptz[]", "'{2024-01-01 10:00:00+02,NULL}'", ["2024-01-01T08:00:00.000000Z", None]),
        ("bool[]", "'{t,f,NULL}'", [True, False, None]),
        ("money[]", "'{\"$1,234.50\"}'", [Decimal("1234.50")]),
        ("int2vector", "'1 2'", "1 2"),
        ("bytea[]", "ARRAY['\\x00ff'::bytea]", ["\\x00ff"]),
    ]
    execute(f"CREATE TABLE t ({', '.join(f'c{i} {name}' for i, (name, _, _) in enumerate(cases))})")
    execute(f"INSERT INTO t VALUES ({', '.join(literal for _, literal, _ in cases)})")
    run = source("read", catalog=configured())
    assert run.status == 0, run.errors
    record = json.loads(json.dumps(run.records("t")[0], default=str))
    for i, (name, _, expected) in enumerate(cases):
        assert record[f"c{i}"] == json.loads(json.dumps(expected, default=str)), name
