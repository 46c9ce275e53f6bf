"""The round trip: what Postgres stores, by either channel, against what BigQuery must hold of it."""

from __future__ import annotations

import json
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

import psycopg
import pytest
from connectors_joined import through
from every_type import SETUP, TYPES
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

CHANNELS = ["JSON", "ARROW"]
CHANGES = "JSON_QUERY_ARRAY(_airbyte_meta.changes)"
#: How BigQuery's API names some types.
API_NAMES = {"INTEGER": "INT64", "BOOLEAN": "BOOL"}


@pytest.fixture
def source(source: Any, dataset: str) -> Any:
    """Reads the schema that is named as the dataset, so that streams keep their namespace."""
    source.config["schemas"] = [dataset]
    return source


@pytest.fixture
def postgres(database: Any, dataset: str) -> Any:
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {dataset}")
        yield connection


@pytest.mark.parametrize(
    ("channel", "mode"), [("JSON", "overwrite"), ("ARROW", "overwrite"), ("ARROW", "append_dedup")]
)
def test_every_value_of_every_type(
    source: Any,
    destination: Any,
    configured: Any,
    postgres: Any,
    bigquery_client: Any,
    dataset: str,
    channel: str,
    mode: str,
) -> None:
    """A column for each type and a row for each value, NULL in all other columns."""
    postgres.execute(SETUP)
    columns = ", ".join(f"c{number} {column.sql}" for number, column in enumerate(TYPES))
    postgres.execute(f"CREATE TABLE {dataset}.t (row int PRIMARY KEY, {columns})")
    postgres.execute(f"INSERT INTO {dataset}.t (row) VALUES (-1)")
    cases = [(number, column, value) for number, column in enumerate(TYPES) for value in column.values]
    for row, (number, _, value) in enumerate(cases):
        postgres.execute(f"INSERT INTO {dataset}.t (row, c{number}) VALUES ({row}, {value.literal})")

    truncates = {} if mode == "overwrite" else {"minimum_generation_id": 0}
    catalog = configured(t={"destination_sync_mode": mode, **truncates})
    read, written = through(source, destination, catalog, channel)
    assert (read.status, written.status) == (0, 0), read.errors + written.errors

    texts = ", ".join(
        f"STRUCT(IF(c{number} IS NULL, NULL, TO_JSON_STRING(c{number})) AS v)"
        if column.bigquery == "JSON"
        else f"STRUCT(CAST(c{number} AS STRING) AS v)"
        for number, column in enumerate(TYPES)
    )
    statement = f"SELECT row, {CHANGES} AS changes, [{texts}] AS cells FROM {dataset}.t"
    rows = {row["row"]: row for row in bigquery_client.query(statement).result()}
    assert rows[-1]["changes"] == []
    assert not any(cell["v"] for cell in rows[-1]["cells"])
    wrong = {}
    for row, (number, column, value) in enumerate(cases):
        cells = [cell["v"] for cell in rows[row]["cells"]]
        change = "; ".join(f"{c['field']} {c['change']} {c['reason']}" for c in rows[row]["changes"])
        expected = value.expected, f"c{number} {value.change}" if value.change else ""
        if (cells[number], change) != expected or any(cells[:number] + cells[number + 1 :]):
            wrong[column.sql, value.literal[:80]] = f"{cells[number]!r}, {change!r} instead of {expected}"
    assert not wrong
    schema = [field.field_type for field in bigquery_client.get_table(f"{dataset}.t").schema[5:]]
    assert [API_NAMES.get(name, name) for name in schema] == [column.bigquery for column in TYPES]


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
#: By column: its type in Postgres, and its values.
GENERATED: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    "s": ("text", TEXT),
    "a": ("text[]", st.lists(st.none() | TEXT, max_size=4)),
    "aa": ("text[]", st.lists(st.tuples(TEXT, st.none() | TEXT).map(list), min_size=1, max_size=3)),
    "i": ("bigint", st.integers(-(2**63), 2**63 - 1)),
    "n": ("numeric", st.decimals(-(10**31), 10**31, places=11)),
    "m": ("numeric(20,4)", st.decimals(-(10**15), 10**15, places=4)),
    "f": ("float8", st.floats(allow_nan=False, allow_infinity=False)),
    "d": ("date", st.dates()),
    "naive": ("timestamp", st.datetimes()),
    "aware": ("timestamptz", st.datetimes(timezones=st.timezones())),
    "h": ("time", st.times()),
    "j": ("jsonb", JSON.map(json.dumps)),
    "b": ("bytea", st.binary(max_size=6)),
}
NUMERICS = Context(prec=400, rounding=ROUND_HALF_UP)


def in_bigquery(column: str, value: Any) -> Any:
    """What the column holds of a generated value; a JSON text is compared by what it says."""
    if value is None:
        return None
    match column:
        case "n" | "m" | "f":
            exact = Decimal(repr(value)) if isinstance(value, float) else value
            rounded = exact.quantize(Decimal("1e-9"), context=NUMERICS)
            return rounded if NUMERICS.abs(rounded) < 10**29 else None
        case "b":
            return "\\x" + value.hex()
        case "j":
            return json.loads(value)
        case _:
            return value


@pytest.mark.parametrize("channel", CHANNELS)
def test_generated_values(
    source: Any, destination: Any, configured: Any, postgres: Any, bigquery_client: Any, dataset: str, channel: str
) -> None:
    columns = ", ".join(f"{name} {sql_type}" for name, (sql_type, _) in GENERATED.items())
    values = ", ".join(f"%s::{sql_type}" for sql_type, _ in GENERATED.values())
    postgres.execute(f"CREATE TABLE {dataset}.t (row int PRIMARY KEY, {columns})")
    catalog = configured()
    stream = catalog["streams"][0]

    # Shrinking a failure would sync hundreds of times.
    @settings(
        max_examples=3,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(rows=st.lists(st.tuples(*(st.none() | values for _, values in GENERATED.values())), min_size=9))
    def check(rows: list[tuple[Any, ...]]) -> None:
        stream["sync_id"] += 1
        stream["generation_id"] = stream["minimum_generation_id"] = stream["sync_id"]
        postgres.execute(f"TRUNCATE {dataset}.t")
        with postgres.cursor() as cursor:
            numbered = [(number, *row) for number, row in enumerate(rows)]
            cursor.executemany(f"INSERT INTO {dataset}.t VALUES (%s, {values})", numbered)
        read, written = through(source, destination, catalog, channel)
        assert (read.status, written.status) == (0, 0), read.errors + written.errors
        found = list(bigquery_client.query(f"SELECT * FROM {dataset}.t ORDER BY row").result())
        assert len(found) == len(rows)
        for row, given_values in zip(found, rows, strict=True):
            for name, value in zip(GENERATED, given_values, strict=True):
                actual = json.loads(row[name]) if name == "j" and row[name] is not None else row[name]
                assert actual == in_bigquery(name, value), (name, value)

    check()


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_lone_column_of_texts(
    source: Any, destination: Any, configured: Any, postgres: Any, bigquery_client: Any, dataset: str, channel: str
) -> None:
    """Where a row is nothing but its text, which may look like the end of data, a NULL or a byte order mark."""
    texts = ["\ufeffa", "", None, "\\.", "\\N", " ", "\n", "#", '"', ",", "\ufeff", None]
    postgres.execute(f"CREATE TABLE {dataset}.t (s text)")
    with postgres.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {dataset}.t VALUES (%s)", [[text] for text in texts])
    read, written = through(source, destination, configured(), channel)
    assert (read.status, written.status) == (0, 0), read.errors + written.errors
    found = [row["s"] for row in bigquery_client.query(f"SELECT s FROM {dataset}.t").result()]
    assert sorted(found, key=repr) == sorted(texts, key=repr)
