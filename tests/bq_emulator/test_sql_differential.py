"""Every line of the differential corpus by the translation and by Google's reference evaluator: the same types, the
same values, or an error from both."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from bq_emulator.model import BigQueryError, Query, Table, TableRef
from bq_emulator.sql import reference, types
from bq_emulator.sql.analyzer import Analyzer
from bq_emulator.sql.errors import from_duckdb
from bq_emulator.sql.frontend import GoogleSqlFrontend
from bq_emulator.sql.macros import SETUP_SQL

CORPUS = Path(__file__).parent / "sql_golden" / "differential"

Result = tuple[list[types.Type], list[tuple[Any, ...]]]


class NoTables:
    def get_table(self, ref: TableRef) -> Table | None:
        return None

    def has_dataset(self, project: str, dataset: str) -> bool:
        return False


def queries(path: Path) -> Iterator[str]:
    """The corpus: one expression list, or (queries.sql) one query a line."""
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            yield line if path.stem == "queries" else f"SELECT {line}"


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return Analyzer()


@pytest.fixture(scope="module")
def frontend() -> GoogleSqlFrontend:
    return GoogleSqlFrontend(threads=1)


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        for statement in SETUP_SQL:
            connection.execute(statement)
        yield connection


def by_google(analyzer: Analyzer, sql: str) -> Result | None:
    """None for an error."""
    try:
        kinds, rows = reference.evaluate(analyzer, sql)
    except BigQueryError:
        return None
    if sql.startswith("SELECT AS STRUCT"):
        return [kind for _, kind in kinds[0].fields], [row[0] for row in rows]
    return kinds, rows


def by_translation(frontend: GoogleSqlFrontend, database: duckdb.DuckDBPyConnection, sql: str) -> Result | None:
    """None for an error that a user would have caused; a refusal or a fault in the translated SQL fails the test."""
    try:
        compiled = frontend.compile(sql, catalog=NoTables(), project="p")
    except BigQueryError as error:
        if error.reason == "notImplemented":
            raise
        return None
    assert isinstance(compiled, Query)
    kinds = [types.from_field(field) for field in compiled.schema]
    try:
        rows = database.execute(compiled.sql).fetchall()
    except (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException):
        raise
    except duckdb.Error as error:
        assert from_duckdb(error).message
        return None
    return kinds, [tuple(_plain(cell, kind) for cell, kind in zip(row, kinds, strict=True)) for row in rows]


PYTHON = {"INT64": int, "FLOAT64": float, "NUMERIC": Decimal, "BOOL": bool, "DATE": dt.date, "STRING": str}


def _plain(cell: Any, kind: types.Type) -> Any:
    """A cell of DuckDB's as the evaluator's."""
    if cell is None:
        return None
    if kind.name == "ARRAY":
        return [_plain(item, kind.item) for item in cell]
    if kind.name == "STRUCT":
        items = cell.values() if isinstance(cell, dict) else cell
        return tuple(_plain(item, member) for item, (_, member) in zip(items, kind.fields, strict=True))
    wanted = PYTHON.get(kind.name)
    assert wanted is None or type(cell) is wanted, f"{cell!r} is no {kind}"
    return cell


def anonymous(kind: types.Type) -> types.Type:
    """``kind`` without the names that BigQuery gives to anonymous fields."""
    element = anonymous(kind.element) if kind.element else None
    fields = tuple(("" if name.startswith("_field_") else name, anonymous(member)) for name, member in kind.fields)
    return types.Type(kind.name, element, fields, kind.enum)


def same(left: Any, right: Any) -> bool:
    """Equality of values; floats may differ in the last bits."""
    if isinstance(left, float) and isinstance(right, float):
        return (math.isnan(left) and math.isnan(right)) or math.isclose(left, right, rel_tol=1e-14)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(same(one, other) for one, other in zip(left, right, strict=True))
    return bool(left == right)


@pytest.mark.parametrize("topic", sorted(path.stem for path in CORPUS.glob("*.sql")))
def test_agrees_with_googles_evaluator(
    topic: str, analyzer: Analyzer, frontend: GoogleSqlFrontend, database: duckdb.DuckDBPyConnection
) -> None:
    differences = []
    for sql in queries(CORPUS / f"{topic}.sql"):
        expected = by_google(analyzer, sql)
        found = by_translation(frontend, database, sql)
        if expected is None or found is None:
            agree = expected is None and found is None
        else:
            rows = expected[1], found[1]
            if "ORDER BY" not in sql:
                rows = sorted(rows[0], key=repr), sorted(rows[1], key=repr)
            agree = [anonymous(kind) for kind in expected[0]] == [anonymous(kind) for kind in found[0]]
            agree = agree and same(*rows)
        if not agree:
            differences.append(f"{sql}\n  Google:   {expected}\n  emulator: {found}")
    assert not differences, "\n".join(differences)
