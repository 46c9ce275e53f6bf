"""One query by the emulator's translation and by Google's reference evaluator, compared value by value."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

import duckdb

from bq_emulator.model import BigQueryError, Query, RoutineRef, Table, TableRef
from bq_emulator.sql import bignumeric, python_functions, reference, types
from bq_emulator.sql.analyzer import Analyzer
from bq_emulator.sql.errors import from_duckdb
from bq_emulator.sql.frontend import GoogleSqlFrontend
from bq_emulator.sql.macros import SETUP_SQL

PYTHON = {"INT64": int, "FLOAT64": float, "NUMERIC": Decimal, "BOOL": bool, "DATE": dt.date, "STRING": str}


@dataclass(frozen=True)
class Answer:
    """Types and rows, or an error's text."""

    kinds: list[types.Type]
    rows: list[tuple[Any, ...]]
    error: str | None = None

    def __str__(self) -> str:
        return f"error: {self.error}" if self.error else f"{', '.join(map(str, self.kinds))} {self.rows}"


class NoTables:
    def expect(self, refs: Collection[TableRef]) -> None:
        pass

    def get_table(self, ref: TableRef) -> Table | None:
        return None

    def has_dataset(self, project: str, dataset: str) -> bool:
        return False

    def get_routine(self, ref: RoutineRef) -> None:
        return None


class Comparison:
    """``values`` counts the values compared so far, ``errors`` the queries that failed on both sides."""

    def __init__(self) -> None:
        self.analyzer = Analyzer()
        self.frontend = GoogleSqlFrontend(threads=1)
        self.database = duckdb.connect()
        python_functions.register(self.database)
        for statement in SETUP_SQL:
            self.database.execute(statement)
        self.queries = self.values = self.errors = 0

    def close(self) -> None:
        self.database.close()

    def by_google(self, sql: str) -> Answer:
        try:
            kinds, rows = reference.evaluate(self.analyzer, sql)
        except BigQueryError as error:
            return Answer([], [], error.message)
        return Answer(kinds, rows)

    def by_emulator(self, sql: str) -> Answer:
        """A refusal, and a fault in the translated SQL, is raised: neither is an answer."""
        try:
            compiled = self.frontend.compile(sql, catalog=NoTables(), project="p")
        except BigQueryError as error:
            if error.reason == "notImplemented":
                raise
            return Answer([], [], error.message)
        assert isinstance(compiled, Query)
        kinds = [types.from_field(field) for field in compiled.schema]
        try:
            rows = self.database.execute(_with_whole_intervals(compiled)).fetchall()
        except (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException, duckdb.InternalException):
            raise
        except duckdb.Error as error:
            return Answer([], [], from_duckdb(error).message)
        return Answer(kinds, [tuple(_plain(*pair) for pair in zip(row, kinds, strict=True)) for row in rows])

    def difference(self, sql: str, google: Answer | None = None) -> str | None:
        """None where both agree, else both answers in words."""
        expected = google or self.by_google(sql)
        try:
            found = self.by_emulator(sql)
        except (BigQueryError, duckdb.Error, AssertionError) as error:
            found = Answer([], [], f"{type(error).__name__}: {error}")
            return f"{sql}\n  Google:   {expected}\n  emulator: {found}"
        self.queries += 1
        if not expected.error and len(expected.kinds) == 1 and len(found.kinds) == len(expected.kinds[0].fields) > 0:
            # The rows of a value table, which BigQuery shows as columns
            members = [kind for _, kind in expected.kinds[0].fields]
            if [anonymous(kind) for kind in found.kinds] == [anonymous(kind) for kind in members]:
                expected = Answer(members, [row[0] for row in expected.rows])
        if expected.error or found.error:
            agree = bool(expected.error and found.error)
            self.errors += agree
        else:
            rows = expected.rows, found.rows
            if not re.search(r"ORDER BY [^()]*$", sql):
                rows = sorted(rows[0], key=_place), sorted(rows[1], key=_place)
            agree = [anonymous(kind) for kind in expected.kinds] == [anonymous(kind) for kind in found.kinds]
            agree = agree and same(*rows)
            self.values += sum(len(row) for row in expected.rows)
        return None if agree else f"{sql}\n  Google:   {expected}\n  emulator: {found}"


def _with_whole_intervals(query: Query) -> str:
    """The client makes a month of an INTERVAL 30 days, so these columns leave as their three parts."""
    if all(field.type != "INTERVAL" or field.mode == "REPEATED" for field in query.schema):
        return query.sql
    parts = (
        "CASE WHEN {0} IS NOT NULL THEN [bq_interval_months({0}), datepart('day', {0}), bq_interval_micros({0})] END"
    )
    names = [(types.quote(field.name), field.type) for field in query.schema]
    items = [parts.replace("{0}", name) + f" AS {name}" if kind == "INTERVAL" else name for name, kind in names]
    return f"SELECT {', '.join(items)} FROM ({query.sql})"


def _plain(cell: Any, kind: types.Type) -> Any:
    """A cell of DuckDB's as the evaluator's."""
    if cell is None:
        return None
    if kind.name == "ARRAY":
        return [_plain(item, kind.item) for item in cell]
    if kind.name == "STRUCT":
        items = cell.values() if isinstance(cell, dict) else cell
        return tuple(_plain(item, member) for item, (_, member) in zip(items, kind.fields, strict=True))
    if kind.name == "BIGNUMERIC":
        return Decimal(bignumeric.decode(cell)).scaleb(-38, Context(prec=80))
    if kind.name == "INTERVAL" and isinstance(cell, list):
        return tuple(cell)
    wanted = PYTHON.get(kind.name)
    assert wanted is None or type(cell) is wanted, f"{cell!r} is no {kind}"
    return cell


def anonymous(kind: types.Type) -> types.Type:
    """``kind`` without the names that BigQuery gives to anonymous fields."""
    element = anonymous(kind.element) if kind.element else None
    fields = tuple(("" if name.startswith("_field_") else name, anonymous(member)) for name, member in kind.fields)
    return types.Type(kind.name, element, fields, kind.enum)


def _place(value: Any) -> str:
    """What rows are sorted by to be compared: alike for floats that are."""
    if isinstance(value, float):
        return f"{value + 0.0:.9g}"
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_place, value))})"
    return repr(value)


def same(left: Any, right: Any) -> bool:
    """Equality of values; floats may differ in the last bits."""
    if isinstance(left, float) and isinstance(right, float):
        return (math.isnan(left) and math.isnan(right)) or math.isclose(left, right, rel_tol=1e-14)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(same(one, other) for one, other in zip(left, right, strict=True))
    if isinstance(left, tuple) and isinstance(right, dt.timedelta):  # an INTERVAL without months
        return left == (0, right.days, right.seconds * 10**6 + right.microseconds)
    return bool(left == right)
