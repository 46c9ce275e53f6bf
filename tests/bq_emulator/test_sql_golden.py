"""The golden corpus: SQL with what comes of it, translated and run on a small database in memory.

The cases of a file run in order, on tables that are fresh for the file.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import fields
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from golden import CORPUS, cases

from bq_emulator.model import (
    AlterTable,
    Assertion,
    BigQueryError,
    CreateTable,
    CreateView,
    Dml,
    Field,
    Query,
    RoutineRef,
    Statement,
    Table,
    TableRef,
)
from bq_emulator.sql import bignumeric, python_functions, types
from bq_emulator.sql.errors import from_duckdb
from bq_emulator.sql.frontend import GoogleSqlFrontend
from bq_emulator.sql.macros import SETUP_SQL

ORDERS = (Field("id", "INT64"), Field("amount", "NUMERIC"), Field("note", "STRING"), Field("created", "TIMESTAMP"))
ITEMS = (Field("id", "INT64"), Field("name", "STRING"), Field("price", "NUMERIC"), Field("tags", "STRING", "REPEATED"))
NAMES = (Field("table_name", "STRING"),)


def table(name: str, schema: tuple[Field, ...], kind: str = "TABLE", query: str | None = None) -> Table:
    return Table(TableRef("p", "shop", name), kind, schema, types.quote(name), query)


class Shop:
    """A dataset ``shop`` of project ``p``."""

    TABLES = (
        table("orders", ORDERS),
        table("items", ITEMS),
        table("cheap", ORDERS[:1], "VIEW", "SELECT id FROM `p.shop.orders` WHERE amount < 10"),
        table("renamed", (Field("id", "INT64"), Field("half", "NUMERIC")), "VIEW", "SELECT id, amount / 2 FROM orders"),
        table("loop", ORDERS[:1], "VIEW", "SELECT id FROM shop.loop"),
        Table(TableRef("p", "shop", "INFORMATION_SCHEMA.TABLES"), "VIEW", NAMES, "(SELECT 'orders' AS table_name)"),
    )

    def __init__(self) -> None:
        self.by_ref = {each.ref: each for each in self.TABLES}
        self.database = duckdb.connect()
        python_functions.register(self.database)
        for statement in SETUP_SQL:
            self.database.execute(statement)
        for each in (self.TABLES[0], self.TABLES[1]):
            columns = ", ".join(f'"{field.name}" {types.from_field(field).duckdb()}' for field in each.schema)
            self.database.execute(f"CREATE TABLE {each.physical} ({columns})")
        self.database.execute(
            "INSERT INTO orders VALUES (1, 1.5, 'first', '2020-01-01 10:00:00+00'), "
            "(2, 20.25, 'second', '2020-01-02 10:00:00+00')"
        )
        self.database.execute("ALTER TABLE items ALTER tags SET DEFAULT []")

    def expect(self, refs: Collection[TableRef]) -> None:
        pass

    def get_table(self, ref: TableRef) -> Table | None:
        return self.by_ref.get(ref)

    def has_dataset(self, project: str, dataset: str) -> bool:
        return (project, dataset) == ("p", "shop")

    def get_routine(self, ref: RoutineRef) -> None:
        return None


def shown(field: Field) -> str:
    """A column as the corpus writes it."""
    text = f"{field.name} {field.type}"
    if field.max_length is not None:
        text += f"({field.max_length})"
    if field.precision is not None:
        text += f"({field.precision},{field.scale})"
    if field.fields:
        text += f"<{', '.join(shown(each) for each in field.fields)}>"
    text += "" if field.mode == "NULLABLE" else f" {field.mode}"
    return f'{text} "{field.description}"' if field.description is not None else text


def rows(shop: Shop, query: Query) -> list[str]:
    found = shop.database.execute(query.sql).fetchall()
    return [" | ".join(printed(*pair) for pair in zip(row, query.schema, strict=True)) for row in found]


def printed(cell: Any, field: Field) -> str:
    if cell is None:
        return "NULL"
    if field.type == "BIGNUMERIC" and field.mode != "REPEATED":
        return bignumeric.text(cell)
    return f"{cell:f}" if isinstance(cell, Decimal) else str(cell)


def change(shop: Shop, statement: Dml) -> str:
    """Carry out the steps as the engine does: in one transaction, checks first to fail."""
    counts: dict[str, int] = {}
    shop.database.begin()
    try:
        for role, sql, *_ in statement.steps:
            answer = shop.database.execute(sql).fetchall()
            if role == "check" and answer:
                raise BigQueryError("invalidQuery", answer[0][0])
            if role in ("insert", "update", "delete"):
                name = {"insert": "inserted", "update": "updated", "delete": "deleted"}[role]
                counts[name] = counts.get(name, 0) + answer[0][0]
    except Exception:
        shop.database.rollback()
        raise
    shop.database.commit()
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count)


def described(shop: Shop, statement: Statement) -> str:
    """A DDL statement's fields that are not empty, one a line; flags beside the name."""
    values = {field.name: getattr(statement, field.name) for field in fields(statement)}
    name = values.pop("target", None) or f"{values.pop('project')}.{values.pop('dataset')}"
    flags = [key for key, value in values.items() if value is True]
    lines = [" ".join([str(values.pop("statement_type")), str(name), *flags])]
    if values.get("schema"):
        lines.append(" | ".join(shown(field) for field in values.pop("schema")))
    query = values.pop("query", None)
    if isinstance(statement, AlterTable):
        lines += [_action(dict(action)) for action in values.pop("actions")]
    unsaid = ("referenced_tables", "referenced_routines", "scans")
    lines += [f"{key} {value}" for key, value in values.items() if value and value is not True and key not in unsaid]
    return "\n".join(lines + ([f"rows {line}" for line in rows(shop, query)] if query is not None else []))


def _action(action: dict[str, object]) -> str:
    parts = [str(action.pop("action"))]
    field = action.pop("field", None)
    if isinstance(field, Field):
        parts.append(shown(field))
    return " ".join(parts + [f"{key}={value}" for key, value in action.items()])


def outcome(frontend: GoogleSqlFrontend, shop: Shop, sql: str) -> str:
    try:
        statement = frontend.compile(sql, catalog=shop, project="p", default_dataset="shop")
        if isinstance(statement, Query):
            return "\n".join([" | ".join(shown(field) for field in statement.schema), *rows(shop, statement)])
        if isinstance(statement, Dml):
            return change(shop, statement)
        if isinstance(statement, Assertion):
            holds = shop.database.execute(f"SELECT {statement.sql}").fetchone()
            return f"ASSERT {holds}: {statement.description}"
        assert isinstance(statement, CreateTable | CreateView) or not isinstance(statement, Query | Dml)
        return described(shop, statement)
    except BigQueryError as error:
        return f"error {error.reason}: {error.message}"
    except (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException):
        raise
    except duckdb.Error as error:
        return f"error invalidQuery: {from_duckdb(error).message}"


TOPICS = sorted(path.stem for path in CORPUS.glob("*.txt"))


def test_every_case_names_its_documentation() -> None:
    every = [case for topic in TOPICS for case in cases(CORPUS / f"{topic}.txt")]
    page = re.compile(r"# https://cloud\.google\.com/bigquery/docs/[\w/.-]+(#[\w-]+)?")
    assert not [case.sql for case in every if not page.fullmatch(case.address)]
    assert len(every) > 250


@pytest.mark.parametrize("topic", TOPICS)
def test_golden(topic: str, frontend: GoogleSqlFrontend) -> None:
    shop = Shop()
    differences = []
    for case in cases(CORPUS / f"{topic}.txt"):
        found, expected = outcome(frontend, shop, case.sql), case.expected
        agree = found.startswith(expected[:-1].rstrip()) if expected.endswith("…") else found == expected
        if not agree:
            differences.append(f"{case.sql}\n  expected:\n{expected}\n  found:\n{found}\n")
    assert not differences, "\n".join(differences)
