"""The SQL of reading: each row of a COPY is what follows ``"data":`` in a RECORD message."""

from __future__ import annotations

import orjson
from psycopg import sql

from source_postgres.catalog import Column, Table
from source_postgres.types import Sql

_ROW = "t"


def identifier(*parts: str) -> str:
    return sql.Identifier(*parts).as_string()


def literal(value: str, sql_type: str) -> str:
    return f"{sql.quote(value)}::{sql_type}"


def column(name: str) -> str:
    """A column of the table being read."""
    return identifier(_ROW, name)


def copy_rows(table: Table, columns: list[Column], where: str = "", order: str = "") -> str:
    """COPY … TO STDOUT of one text column: ``{"a":1,…}``, and ``,"meta":{…}`` after it where a value was lost."""
    tail = (f" WHERE {where}" if where else "") + (f" ORDER BY {order}" if order else "")
    relation = identifier(table.namespace, table.name)
    return f"COPY (SELECT {_record(columns)} FROM {relation} AS {_ROW}{tail}) TO STDOUT"


def _record(columns: list[Column]) -> str:
    plain = _object(columns, [column.rendering.plain for column in columns])
    checks = [item.rendering.is_plain(column(item.name)) for item in columns if item.rendering.is_plain]
    if not checks:
        return plain
    careful = _object(columns, [column.rendering.careful for column in columns])
    return (
        f"CASE WHEN ({' AND '.join(checks)}) IS NOT FALSE THEN {plain} "
        f"ELSE {careful} || coalesce(',\"meta\":{{\"changes\":[' || {_changes(columns)} || ']}}', '') END"
    )


def _object(columns: list[Column], renderings: list[Sql]) -> str:
    """One JSON object a row; a nested row, because json_build_object takes no more than fifty pairs."""
    fields = ", ".join(
        f"{render(column(item.name))} AS {identifier(item.name)}"
        for item, render in zip(columns, renderings, strict=True)
    )
    return f"row_to_json((SELECT r FROM (SELECT {fields}) AS r))::text"


def _changes(columns: list[Column]) -> str:
    """The entries of ``meta.changes`` for values that JSON cannot hold; NULL where there are none."""
    entries = []
    for item in columns:
        if item.rendering.is_lost:
            change = {"field": item.name, "change": "NULLED", "reason": "SOURCE_RETRIEVAL_ERROR"}
            text = sql.quote(orjson.dumps(change).decode())
            entries.append(f"CASE WHEN {item.rendering.is_lost(column(item.name))} THEN {text} END")
    return f"nullif(array_to_string(ARRAY[{', '.join(entries)}]::text[], ','), '')"
