"""Reading one stream without the log: whole, by a cursor column, or by the transactions that wrote its rows (xmin)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg

from source_postgres import query
from source_postgres.batches import Batch, Field, cursor_value, json_of
from source_postgres.catalog import Column, Table
from source_postgres.checkpoints import Checkpoints
from source_postgres.config import Replication
from source_postgres.errors import ConnectorError
from source_postgres.rows import RowReader, Session
from source_postgres.snapshot import snapshot_of
from source_postgres.state import StreamState
from source_postgres.stream import ConfiguredStream, cursor_column, selected_columns


class StreamReader:
    """Reads ``stream`` from ``table`` and writes its records and states.

    Raises:
        ConnectorError: config_error for a column that the table lacks, or that cannot be a cursor.
    """

    def __init__(
        self,
        session: Session,
        stream: ConfiguredStream,
        table: Table,
        replication: Replication,
        checkpoints: Checkpoints,
    ) -> None:
        self._connection = session.connection
        self._checkpoints = checkpoints
        self._stream = stream
        self._table = table
        columns = selected_columns(stream, table)
        by_xmin = stream.incremental and replication == "Xmin"
        if by_xmin and not table.has_xmin:
            raise ConnectorError(
                f"Stream {stream} has no xmin that could be read: views, foreign tables and tables with foreign "
                "partitions have none, and of a table it takes SELECT on the whole of it, not on single columns. Grant "
                "that, or read the stream by full refresh."
            )
        self._by_xmin = by_xmin
        self._cursor = cursor_column(stream, table) if stream.incremental and not by_xmin else None
        fields = [Field(column.name, column.type) for column in columns]
        self._rows = RowReader(session, stream, table, fields, checkpoints)

    def read(self, saved: StreamState | None) -> None:
        """Everything the stream owes after ``saved``, in one snapshot, ending with a state."""
        with snapshot_of(self._connection, self._table):
            if self._cursor is not None:
                self._read_by_cursor(self._cursor, saved)
            elif self._by_xmin:
                self._read_by_xmin(saved)
            else:
                self._read_whole(saved)

    def _read_whole(self, saved: StreamState | None) -> None:
        """A full refresh. Only a table with a primary key goes on where it stopped, for rows may come twice then."""
        done = StreamState("ctid_based", complete=True)
        if saved is None or saved.kind != "ctid_based" or not saved.complete:
            resumable = self._stream.resumable and bool(self._table.primary_key)
            # Without the first snapshot's xmin, nothing tells which rows have moved to pages that were read before.
            going_on = resumable and saved and saved.ctid and saved.kind == "ctid_based" and saved.xmin is not None
            if saved is not None and going_on and self._rows.usable_pass(saved):
                self._rows.read_pass(saved)
            elif resumable and self._table.has_xmin:
                self._rows.read_pass(StreamState("ctid_based", xmin=self._rows.snapshot_xmin()))
            else:
                self._rows.copy()
        self._rows.emit(done)

    # ------------------------------------------------------------------ by cursor

    def _read_by_cursor(self, cursor: Column, saved: StreamState | None) -> None:
        state = self._usable(cursor, saved)
        if state and not state.ctid:
            self._read_past(cursor, state)
            return
        resumed = state is not None
        if state is None:
            xmin = self._rows.snapshot_xmin() if self._table.has_xmin else None
            state = StreamState("cursor_based", cursor.name, self._maximum(cursor), xmin=xmin)
        self._rows.read_pass(state)
        if state.cursor is None:
            self._rows.emit(None)
            return
        # A pass in several snapshots may have missed late rows that share the maximum: how many is not known.
        known = (None, None) if resumed else self._rows_at(cursor, state.cursor)
        self._rows.emit(StreamState("cursor_based", cursor.name, state.cursor, *known))

    def _usable(self, cursor: Column, saved: StreamState | None) -> StreamState | None:
        """``saved`` unless it is of another method or cursor, or of a table that was rewritten since."""
        if saved is None or saved.kind != "cursor_based" or saved.cursor is None:
            return None
        if saved.cursor_field != cursor.name:
            self._rows.warn(
                f"cursor {cursor.name!r} replaces {saved.cursor_field!r}: reading the table from the start."
            )
            return None
        if not self._castable(cursor, saved.cursor):
            self._rows.warn(
                f"the saved value {saved.cursor!r} is none of cursor {cursor.name!r}, which is of type "
                f"{cursor.sql_type} now: reading the table from the start."
            )
            return None
        return saved if not saved.ctid or self._rows.usable_pass(saved) else None

    def _castable(self, cursor: Column, value: Any) -> bool:
        """Whether a value saved before the column may have changed its type can be compared with it. Numbers are no
        texts: as such they are in another order."""
        if cursor.type.schema["type"] == "string" and not isinstance(value, str):
            return False
        try:
            with self._connection.transaction():
                self._rows.scalar(f"SELECT {query.literal(value, cursor.sql_type)} IS NULL")
        except psycopg.DataError:
            return False
        return True

    def _read_past(self, cursor: Column, saved: StreamState) -> None:
        """Rows from the saved value to the present maximum, in the cursor's order.

        The saved value's own rows come again if one of them has been written since they were read, or deleted.
        """
        self._warn_of_rows_without_cursor(cursor)
        maximum = self._maximum(cursor)
        count, xmins = self._rows_at(cursor, saved.cursor)
        again = saved.cursor_count != count or saved.cursor_xmins not in (None, xmins)
        if maximum is None or (maximum == saved.cursor and not again):
            self._rows.emit(saved)
            return
        name = query.column(cursor.name)
        low, high = (query.literal(value, cursor.sql_type) for value in (saved.cursor, maximum))

        def after(batch: Batch) -> None:
            if self._checkpoints.due:
                position = StreamState("cursor_based", cursor.name, batch.last(cursor.name))
                self._checkpoints.emit(self._stream, position)

        self._rows.copy(f"{name} {'>=' if again else '>'} {low} AND {name} <= {high}", order=name, after=after)
        # Rows may have been deleted: a cursor never goes back.
        if self._rows.scalar(f"SELECT {high} < {low}"):
            self._rows.emit(saved)
        else:
            self._rows.emit(StreamState("cursor_based", cursor.name, maximum, *self._rows_at(cursor, maximum)))

    def _maximum(self, cursor: Column) -> Any:
        """The cursor's largest finite value as in a record; None where there is none."""
        name = query.column(cursor.name)
        usable = f"{name} < {cursor.type.beyond}" if cursor.type.beyond else f"{name} IS NOT NULL"
        text = self._rows.scalar(
            f"SELECT {name}::text FROM {query.relation(self._table)} WHERE {usable} ORDER BY {name} DESC LIMIT 1"
        )
        json = json_of(cursor.type, text) if text is not None else None
        return None if json is None else cursor_value(json)

    def _rows_at(self, cursor: Column, value: Any) -> tuple[int, int | None]:
        """The number of rows with that value, and the sum of their xmin, if they have one: as the number is the same
        it grows with each write, also where a row is updated again in the same second, or takes another's place."""
        condition = f"{query.column(cursor.name)} = {query.literal(value, cursor.sql_type)}"
        xmins = "coalesce(sum(t.xmin::text::int8), 0)::int8" if self._table.has_xmin else "NULL"
        count, total = self._rows.scalar(
            f"SELECT ARRAY[count(*), {xmins}] FROM {query.relation(self._table)} WHERE {condition}"
        )
        return count, total

    def _warn_of_rows_without_cursor(self, cursor: Column) -> None:
        """NULL and infinite values lie on neither side of a saved value: an incremental read never meets them."""
        name = query.column(cursor.name)
        outside = [] if cursor.not_null else [f"{name} IS NULL"]
        if cursor.type.beyond:
            outside.append(f"NOT ({name} < {cursor.type.beyond})")
        if not outside:
            return
        count = self._rows.scalar(f"SELECT count(*) FROM {query.relation(self._table)} WHERE {' OR '.join(outside)}")
        if count:
            self._rows.warn(
                f"{count} rows have no usable value in cursor column {cursor.name!r} (NULL, NaN or infinity) and are "
                "not read incrementally; give them one, or use full refresh."
            )

    # ------------------------------------------------------------------ by xmin

    def _read_by_xmin(self, saved: StreamState | None) -> None:
        """Rows written since the last read's snapshot. The next read begins at the oldest transaction that this one's
        snapshot did not see whole; deletions are never seen."""
        state = self._usable_xmin(saved)
        if state is None or not state.ctid:
            since = state.xmin if state else None
            state = StreamState("xmin_based", xmin=self._rows.snapshot_xmin(), xmin_from=since)
        since = state.xmin_from
        self._rows.read_pass(state, query.changed_since(since) if since is not None else "")
        self._rows.emit(replace(state, ctid=None, filenode=None, xmin_from=None))

    def _usable_xmin(self, saved: StreamState | None) -> StreamState | None:
        if saved is None or saved.kind != "xmin_based" or saved.xmin is None:
            return None
        if saved.ctid:
            oldest = saved.xmin if saved.xmin_from is None else saved.xmin_from
            return saved if self._rows.usable_pass(saved) and self._rows.comparable(oldest) else None
        if not self._rows.comparable(saved.xmin):
            self._rows.warn(
                f"transaction ids have wrapped around since the last read (xmin {saved.xmin}): reading the whole table."
            )
            return None
        return saved
