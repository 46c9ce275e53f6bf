"""Reading one stream: a snapshot of the whole table, or the rows at and past a cursor value."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import orjson
import psycopg

from source_postgres import query
from source_postgres.catalog import Column, Table
from source_postgres.errors import ConnectorError
from source_postgres.protocol import Output, now_ms
from source_postgres.state import StreamState

#: A checkpoint comes after about as many rows.
CHECKPOINT_ROWS = 50_000
#: Bytes of rows that are encoded and written at a time.
_BLOCK_BYTES = 1 << 19
#: Pages between checkpoints where Postgres has no statistics on the table yet (8 MB).
_PAGES_WITHOUT_STATISTICS = 1024
#: Since this version a range of ctid is read by its pages alone; before, each range would scan the whole table.
_TID_RANGE_SCAN_VERSION = 140000
#: A RECORD line is head + row + tail; a row of COPY ends with the only line feed it holds.
_TAIL = b"}}\n"


@dataclass(frozen=True)
class ConfiguredStream:
    """What the configured catalog asks of one stream; no ``columns`` means all."""

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

    def __str__(self) -> str:
        return f"{self.namespace}.{self.name}" if self.namespace else self.name


class StreamReader:
    """Reads ``stream`` from ``table`` and writes its records and states to ``output``.

    Raises:
        ConnectorError: config_error for a column that the table lacks, or that cannot be a cursor.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        output: Output,
        stream: ConfiguredStream,
        table: Table,
        checkpoint_seconds: int,
    ) -> None:
        self._connection = connection
        self._output = output
        self._stream = stream
        self._table = table
        self._columns = _selected_columns(stream, table)
        self._cursor = _cursor_column(stream, table) if stream.incremental else None
        self._checkpoint_seconds = checkpoint_seconds
        self._records = 0  # since the last state
        self._last_state = time.monotonic()
        self._running = False

    def read(self, saved: StreamState | None) -> None:
        """Everything the stream owes after ``saved``, in one snapshot, ending with a state.

        A full refresh does not continue from a state: rows that moved in between would be lost or doubled.
        """
        with self._connection.transaction():
            if self._cursor is None:
                self._read_table(StreamState())
                self._emit_state(StreamState())
            else:
                self._read_incremental(self._cursor, self._usable(self._cursor, saved))

    def _read_incremental(self, cursor: Column, saved: StreamState | None) -> None:
        if saved and not saved.ctid:
            self._read_past(cursor, saved)
            return
        start = saved or StreamState(cursor.name, self._maximum(cursor))
        self._read_table(start)
        self._emit_state(replace(start, ctid=None, filenode=None) if start.cursor is not None else None)

    def _usable(self, cursor: Column, saved: StreamState | None) -> StreamState | None:
        """``saved`` unless it is of another cursor or of a table that was rewritten since."""
        if saved is None or saved.cursor is None:
            return None
        if saved.cursor_field != cursor.name:
            self._log(f"cursor {cursor.name!r} replaces {saved.cursor_field!r}: reading the table from the start.")
            return None
        if saved.ctid and saved.filenode != self._filenode():
            self._log("the table was rewritten since the last checkpoint: reading it from the start.")
            return None
        return saved

    def _read_table(self, start: StreamState) -> None:
        """The whole table in physical order, past ``start.ctid``, with a checkpoint after each range of pages."""
        filenode = self._filenode()
        for condition, end in self._page_ranges(start.ctid):
            for _ in self._copy(query.copy_rows(self._table, self._columns, condition)):
                pass
            if end:
                self._emit_state(replace(start, ctid=end, filenode=filenode))

    def _read_past(self, cursor: Column, saved: StreamState) -> None:
        """Rows from the saved value to the present maximum, in the cursor's order.

        The lower bound is inclusive, because rows may have come since that share the saved value.
        """
        self._warn_of_rows_without_cursor(cursor)
        maximum = self._maximum(cursor)
        position = saved
        if maximum is not None and str(maximum) != str(saved.cursor):
            name = query.column(cursor.name)
            low, high = (query.literal(str(value), cursor.sql_type) for value in (saved.cursor, maximum))
            rows = query.copy_rows(self._table, self._columns, f"{name} >= {low} AND {name} <= {high}", order=name)
            for last in self._copy(rows):
                position = StreamState(cursor.name, _data(last)[cursor.name])
                overdue = time.monotonic() - self._last_state > self._checkpoint_seconds
                if self._records >= CHECKPOINT_ROWS or overdue:
                    self._emit_state(position)
        self._emit_state(position)

    def _copy(self, statement: str) -> Iterator[bytes]:
        """Write the rows of a COPY as records, block by block; yields the last row of each block."""
        with self._connection.cursor().copy(statement) as rows:
            pending: list[Any] = []
            size = 0
            for row in rows:
                pending.append(row)
                size += len(row)
                if size >= _BLOCK_BYTES:
                    yield self._write(b"".join(pending))
                    pending.clear()
                    size = 0
            if pending:
                yield self._write(b"".join(pending))

    def _write(self, block: bytes) -> bytes:
        if not self._running:
            self._running = True
            self._output.status(self._stream.name, self._stream.namespace, "RUNNING")
        # JSON escapes every control character itself, so the backslash is all that COPY has escaped once more.
        if b"\\" in block:
            block = block.replace(b"\\\\", b"\\")
        head = b'{"type":"RECORD","record":{"namespace":%s,"stream":%s,"emitted_at":%d,"data":' % (
            orjson.dumps(self._stream.namespace),
            orjson.dumps(self._stream.name),
            now_ms(),
        )
        self._records += block.count(b"\n")
        self._output.records(head + block[:-1].replace(b"\n", _TAIL + head) + _TAIL)
        return block[block.rfind(b"\n", 0, -1) + 1 : -1]

    def _page_ranges(self, start: str | None) -> Iterator[tuple[str, str | None]]:
        """SQL conditions that divide the table, each with the ctid at its end; the last is open and has none."""
        lower = ""
        page = 0
        if start:
            address = re.fullmatch(r"\((\d+),(\d+)\)", start)
            if not address:
                raise ConnectorError(f"The saved state of stream {self._stream} holds no ctid but {start!r}; clear it.")
            lower, page = f"t.ctid > '{start}'", int(address[1])
        if self._table.kind in "rm" and self._connection.info.server_version >= _TID_RANGE_SCAN_VERSION:
            pages, per_range = self._pages()
            for bound in range(page + per_range, pages, per_range):
                end = f"({bound},0)"
                yield " AND ".join(filter(None, [lower, f"t.ctid < '{end}'"])), end
                lower = f"t.ctid >= '{end}'"
        yield lower, None

    def _pages(self) -> tuple[int, int]:
        """The table's size, and how much of it holds about CHECKPOINT_ROWS rows, both in pages."""
        row = self._connection.execute(
            "SELECT pg_relation_size(oid) / current_setting('block_size')::int8, relpages, reltuples "
            "FROM pg_class WHERE oid = %s",
            [self._table.oid],
        ).fetchone()
        pages, known_pages, known_rows = row or (0, 0, 0)
        if known_pages <= 0 or known_rows <= 0:
            return pages, _PAGES_WITHOUT_STATISTICS
        return pages, max(1, round(CHECKPOINT_ROWS * known_pages / known_rows))

    def _filenode(self) -> int | None:
        row = self._connection.execute("SELECT pg_relation_filenode(%s)::int8", [self._table.oid]).fetchone()
        return row[0] if row else None

    def _maximum(self, cursor: Column) -> Any:
        """The cursor's largest finite value as in a record; None where there is none."""
        name = query.column(cursor.name)
        usable = cursor.rendering.is_cursor(name) if cursor.rendering.is_cursor else f"{name} IS NOT NULL"
        row = self._connection.execute(
            f"SELECT to_json({cursor.rendering.careful(name)})::text FROM {self._relation} WHERE {usable} "
            f"ORDER BY {name} DESC LIMIT 1".encode()
        ).fetchone()
        return json.loads(row[0], parse_float=Decimal) if row and row[0] else None

    def _warn_of_rows_without_cursor(self, cursor: Column) -> None:
        """NULL and infinite values lie on neither side of a saved value: an incremental read never meets them."""
        name = query.column(cursor.name)
        outside = [] if cursor.not_null else [f"{name} IS NULL"]
        if cursor.rendering.is_cursor:
            outside.append(f"NOT ({cursor.rendering.is_cursor(name)})")
        if not outside:
            return
        statement = f"SELECT count(*) FROM {self._relation} WHERE {' OR '.join(outside)}"
        row = self._connection.execute(statement.encode()).fetchone()
        if row and row[0]:
            self._log(
                f"{row[0]} rows have no usable value in cursor column {cursor.name!r} (NULL, NaN or infinity) and are "
                "not read incrementally; give them one, or use full refresh."
            )

    @property
    def _relation(self) -> str:
        return f"{query.identifier(self._table.namespace, self._table.name)} AS t"

    def _emit_state(self, state: StreamState | None) -> None:
        name, namespace = self._stream.name, self._stream.namespace
        self._output.state(name, namespace, state.as_json(name, namespace) if state else None, self._records)
        self._records = 0
        self._last_state = time.monotonic()

    def _log(self, text: str) -> None:
        self._output.log("WARN", f"Stream {self._stream}: {text}")


def _data(row: bytes) -> dict[str, Any]:
    """The record's data, its decimals exact."""
    return json.loads(b'{"data":' + row + b"}", parse_float=Decimal)["data"]


def _selected_columns(stream: ConfiguredStream, table: Table) -> list[Column]:
    missing = [name for name in stream.columns if name not in table.columns]
    if missing:
        raise ConnectorError(
            f"Table {stream} has no readable column {', '.join(map(repr, missing))}, which the connection selects; "
            "refresh the connection's schema, or restore the column or the privilege to read it."
        )
    return [table.columns[name] for name in stream.columns or table.columns]


def _cursor_column(stream: ConfiguredStream, table: Table) -> Column:
    if stream.cursor_field is None:
        raise ConnectorError(f"Stream {stream} is incremental but has no cursor_field; choose a cursor column.")
    column = table.columns.get(stream.cursor_field)
    if column is None or (stream.columns and column.name not in stream.columns):
        raise ConnectorError(
            f"Cursor column {stream.cursor_field!r} of stream {stream} is not among its columns; choose another cursor."
        )
    if not column.rendering.orderable:
        raise ConnectorError(
            f"Column {column.name!r} of stream {stream} is of type {column.sql_type}, which cannot be a cursor; "
            "choose a number, text, date or time column."
        )
    return column
