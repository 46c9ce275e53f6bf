"""CREATE TABLE … AS SELECT of a table whose rows are in files (:mod:`bq_emulator.kept`): the new one reads them, too.

A stage table is there to be made into another one, often with nothing but a few more columns, that are the same in all
rows or a new id for each. Then the new table is a query of the same files, and nothing is written: storing the rows
takes longer than anything else in replacing a table. What changes the new table stores its rows first.
"""

from __future__ import annotations

import secrets

from bq_emulator.duck import Session, identifier, literal
from bq_emulator.kept import is_kept, row_digits
from bq_emulator.metadata import TableRecord
from bq_emulator.model import GENERATED, Field, Query
from bq_emulator.partitions import by_ingestion_time
from bq_emulator.schema import duckdb_type
from bq_emulator.stored import stored_value
from bq_emulator.tables import Tables

#: Types that DuckDB gives back from their text as they were.
_FROM_TEXT = {"STRING", "JSON", "INT64", "NUMERIC", "BOOL", "DATE", "DATETIME", "TIMESTAMP"}
#: Rows that tell in most cases that a column does not hold one value throughout.
_SAMPLE_ROWS = 2000
_ID = '"@id"'


def keep(db: Session, tables: Tables, record: TableRecord, query: Query) -> bool:
    """Give the new and empty table ``record`` the rows of ``query`` where they are; False if they must be stored."""
    projection = query.projection
    source = tables.metadata.find_table(db, projection.table.dataset, projection.table.table) if projection else None
    if projection is None or source is None or not source.physical or not _is_stage(source) or not _takes_any(record):
        return False
    rows = int(source.resource.get("numRows", 0))
    computed = [field for field, column in zip(record.schema, projection.columns, strict=True) if column is None]
    constants = _constants(db, query, computed, rows)
    if constants is None:
        return False
    items = []
    for field, column in zip(record.schema, projection.columns, strict=True):
        value = _id() if column == GENERATED else constants[field.name] if column is None else column
        items.append(f"{value} AS {identifier(field.name)}")
    # The file's name is told no two tables, and its rows have other ids in another table that is made of them.
    digits = f"{row_digits(secrets.token_hex(8))} AS {_ID}"
    physical = f"(SELECT {', '.join(items)} FROM (SELECT {digits}, {source.physical.removeprefix('(SELECT ')})"
    required = [
        f"count({identifier(field.name)})"
        for field, column in zip(record.schema, projection.columns, strict=True)
        if field.mode == "REQUIRED" and column != GENERATED
    ]
    if db.one(f"SELECT {', '.join(['count(*)', *required])} FROM {physical}") != (rows,) * (1 + len(required)):
        return False  # storing them says what is wrong
    tables.adopt(db, record, physical, rows)
    return True


def _is_stage(source: TableRecord) -> bool:
    """Whether its rows are in files, and it is not itself made by :func:`keep`."""
    return is_kept(source.physical) and _ID not in str(source.physical)


def _takes_any(record: TableRecord) -> bool:
    """Whether rows are stored in the table as they come."""
    expires = record.partitioning is not None and record.partitioning.expiration_ms is not None
    return (
        not expires
        and not by_ingestion_time(record.resource)
        and all(stored_value(field, "x") == "x" for field in record.schema)
    )


def _constants(db: Session, query: Query, fields: list[Field], rows: int) -> dict[str, str] | None:
    """DuckDB text of the value that each of these columns of ``query`` has in all of its rows; None if one has not."""
    if not fields:
        return {}
    if any(field.type not in _FROM_TEXT or field.mode == "REPEATED" for field in fields):
        return None
    names = [identifier(field.name) for field in fields]
    texts = ", ".join(f"CAST({name} AS VARCHAR)" for name in names)
    first = db.one(f"SELECT {texts} FROM ({query.sql}) LIMIT 1")
    if first is None:
        return None
    values = ["NULL" if text is None else literal(text) for text in first]
    others = " OR ".join(
        f"CAST({name} AS VARCHAR) IS DISTINCT FROM {value}" for name, value in zip(names, values, strict=True)
    )
    # Where they differ, they do so soon, as a rule.
    if db.one(f"SELECT 1 FROM ({query.sql}) WHERE {others} LIMIT 1") is not None:
        return None
    return {field.name: f"CAST({value} AS {duckdb_type(field)})" for field, value in zip(fields, values, strict=True)}


def _id() -> str:
    """A random UUID's text (version 4) of the digits in :data:`_ID`."""
    parts = [f"{_ID}[{first}:{last}]" for first, last in ((1, 8), (9, 12), (14, 16), (18, 20), (21, 32))]
    first, second, third, fourth, fifth = parts
    return f"concat({first}, '-', {second}, '-4', {third}, '-a', {fourth}, '-', {fifth})"
