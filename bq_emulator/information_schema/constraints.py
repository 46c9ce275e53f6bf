"""TABLE_CONSTRAINTS, KEY_COLUMN_USAGE and CONSTRAINT_COLUMN_USAGE."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from bq_emulator.information_schema.source import TABLE_KEY, Row, Source, table_key, view
from bq_emulator.metadata import TableRecord


class _Key(NamedTuple):
    """``used`` is the table and the columns that the constraint relies on: another table's for a foreign key."""

    name: str
    columns: list[str]
    used: tuple[Row, list[str]]
    is_foreign: bool


def _keys(table: TableRecord) -> Iterator[_Key]:
    constraints = table.resource.get("tableConstraints") or {}
    if primary := constraints.get("primaryKey"):
        columns = primary["columns"]
        yield _Key(f"{table.ref.table}.pk$", columns, (table_key(table), columns), False)
    for number, key in enumerate(constraints.get("foreignKeys", ()), 1):
        pairs = key["columnReferences"]
        columns, referenced = ([each[side] for each in pairs] for side in ("referencingColumn", "referencedColumn"))
        name = f"{table.ref.table}.{key.get('name') or f'fk${number}'}"
        yield _Key(name, columns, (_named(key["referencedTable"]), referenced), True)


def _named(reference: dict[str, Any]) -> Row:
    parts = (("catalog", "projectId"), ("schema", "datasetId"), ("name", "tableId"))
    return {f"table_{part}": reference[key] for part, key in parts}


def _table_constraints(source: Source) -> Iterator[Row]:
    for table in source.tables():
        for key in _keys(table):
            yield {
                **table_key(table, "constraint"),
                **table_key(table),
                "constraint_name": key.name,
                "constraint_type": "FOREIGN KEY" if key.is_foreign else "PRIMARY KEY",
                "is_deferrable": "NO",
                "initially_deferred": "NO",
                "enforced": "NO",
            }


def _key_columns(source: Source) -> Iterator[Row]:
    for table in source.tables():
        for key in _keys(table):
            for position, column in enumerate(key.columns, 1):
                yield {
                    **table_key(table, "constraint"),
                    **table_key(table),
                    "constraint_name": key.name,
                    "column_name": column,
                    "ordinal_position": position,
                    "position_in_unique_constraint": position if key.is_foreign else None,
                }


def _used_columns(source: Source) -> Iterator[Row]:
    for table in source.tables():
        for key in _keys(table):
            named, columns = key.used
            for column in columns:
                constraint = {**table_key(table, "constraint"), "constraint_name": key.name}
                yield {**named, "column_name": column, **constraint}


_CONSTRAINT_KEY = "constraint_catalog STRING, constraint_schema STRING, constraint_name STRING"
VIEWS = {
    "TABLE_CONSTRAINTS": view(
        f"{_CONSTRAINT_KEY}, {TABLE_KEY}, constraint_type STRING, is_deferrable STRING, initially_deferred STRING, "
        "enforced STRING",
        _table_constraints,
    ),
    "KEY_COLUMN_USAGE": view(
        f"{_CONSTRAINT_KEY}, {TABLE_KEY}, column_name STRING, ordinal_position INT64, "
        "position_in_unique_constraint INT64",
        _key_columns,
    ),
    "CONSTRAINT_COLUMN_USAGE": view(f"{TABLE_KEY}, column_name STRING, {_CONSTRAINT_KEY}", _used_columns),
}
