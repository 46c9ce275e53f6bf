"""What the configured catalog asks of a stream, matched with the table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from source_postgres.catalog import CDC_FIELDS, Column, Table
from source_postgres.errors import ConnectorError


@dataclass(frozen=True)
class ConfiguredStream:
    """One stream of the configured catalog; ``columns`` are its fields' JSON schemas, and none means all.
    ``resumable``: whether the platform wants a full refresh that was interrupted to go on, if it can."""

    name: str
    namespace: str | None
    incremental: bool
    cursor_field: str | None
    columns: dict[str, Any]
    resumable: bool

    @classmethod
    def parse(cls, raw: dict[str, Any]) -> ConfiguredStream:
        stream = raw["stream"]
        cursor = raw.get("cursor_field") or [None]
        return cls(
            stream["name"],
            stream.get("namespace"),
            raw.get("sync_mode") == "incremental",
            cursor[0],
            (stream.get("json_schema") or {}).get("properties") or {},
            stream.get("is_resumable") is not False,
        )

    @property
    def key(self) -> tuple[str, str | None]:
        return self.name, self.namespace

    def __str__(self) -> str:
        return f"{self.namespace}.{self.name}" if self.namespace else self.name


def selected_columns(stream: ConfiguredStream, table: Table) -> list[Column]:
    """The table's columns that the stream selects.

    Raises:
        ConnectorError: config_error for columns that the table lacks, or whose type is another by now.
    """
    # A table that Airbyte has filled may have them, too.
    names = [name for name in stream.columns if name in table.columns or name not in CDC_FIELDS]
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise ConnectorError(
            f"Table {stream} has no readable column {', '.join(map(repr, missing))}, which the connection selects; "
            "refresh the connection's schema, or restore the column or the privilege to read it."
        )
    changed = [
        f"{name!r} (now {table.columns[name].sql_type})"
        for name in names
        if _meaning(stream.columns[name]) not in (None, _meaning(table.columns[name].type.schema))
    ]
    if changed:
        raise ConnectorError(
            f"Table {stream} has columns that have changed their type since the connection's schema was discovered: "
            f"{', '.join(changed)}; refresh the connection's schema."
        )
    return [table.columns[name] for name in names or table.columns]


def _meaning(schema: dict[str, Any]) -> tuple[Any, ...] | None:
    """What a field's JSON schema says of its values, however it is put; None where it leaves that open."""
    given = schema.get("type")
    kinds = [kind for kind in (given if isinstance(given, list) else [given]) if kind not in (None, "null")]
    if len(kinds) != 1:
        return None
    kind, airbyte_type = kinds[0], schema.get("airbyte_type")
    if kind == "integer" or airbyte_type in ("integer", "big_integer"):
        return ("integer",)
    if kind == "array":
        return "array", _meaning(schema.get("items") or {})
    naive = airbyte_type in ("timestamp_without_timezone", "time_without_timezone")
    return kind, schema.get("format"), naive


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
