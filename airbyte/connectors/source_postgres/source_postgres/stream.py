"""What the configured catalog asks of a stream, matched with the table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from source_postgres.catalog import CDC_FIELDS, Column, Table
from source_postgres.errors import ConnectorError


@dataclass(frozen=True)
class ConfiguredStream:
    """One stream of the configured catalog; no ``columns`` means all."""

    name: str
    namespace: str | None
    incremental: bool
    cursor_field: str | None
    columns: tuple[str, ...]

    @classmethod
    def parse(cls, raw: dict[str, Any]) -> ConfiguredStream:
        stream = raw["stream"]
        cursor = raw.get("cursor_field") or [None]
        return cls(
            stream["name"],
            stream.get("namespace"),
            raw.get("sync_mode") == "incremental",
            cursor[0],
            tuple((stream.get("json_schema") or {}).get("properties") or ()),
        )

    @property
    def key(self) -> tuple[str, str | None]:
        return self.name, self.namespace

    def __str__(self) -> str:
        return f"{self.namespace}.{self.name}" if self.namespace else self.name


def selected_columns(stream: ConfiguredStream, table: Table) -> list[Column]:
    """The table's columns that the stream selects.

    Raises:
        ConnectorError: config_error for columns that the table lacks.
    """
    names = [name for name in stream.columns if name not in CDC_FIELDS]
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise ConnectorError(
            f"Table {stream} has no readable column {', '.join(map(repr, missing))}, which the connection selects; "
            "refresh the connection's schema, or restore the column or the privilege to read it."
        )
    return [table.columns[name] for name in names or table.columns]


def cursor_column(stream: ConfiguredStream, table: Table) -> Column:
    """The column that the stream's cursor_field names.

    Raises:
        ConnectorError: config_error where there is none or it cannot be a cursor.
    """
    if stream.cursor_field is None:
        raise ConnectorError(f"Stream {stream} is incremental but has no cursor_field; choose a cursor column.")
    column = table.columns.get(stream.cursor_field)
    if column is None or (stream.columns and column.name not in stream.columns):
        raise ConnectorError(
            f"Cursor column {stream.cursor_field!r} of stream {stream} is not among its columns; choose another cursor."
        )
    if not column.type.orderable:
        raise ConnectorError(
            f"Column {column.name!r} of stream {stream} is of type {column.sql_type}, which cannot be a cursor; "
            "choose a number, text, date or time column."
        )
    return column
