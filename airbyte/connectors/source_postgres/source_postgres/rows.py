"""Copying a table's rows to the channel: any selection of them, or all of them in passes that can be resumed."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from source_postgres import native, query
from source_postgres.batches import Batch, Field, from_binary, from_csv
from source_postgres.catalog import Table
from source_postgres.channel import Channel
from source_postgres.checkpoints import CHECKPOINT_BYTES, CHECKPOINT_ROWS, Checkpoints
from source_postgres.copying import Block, blocks
from source_postgres.errors import ConnectorError
from source_postgres.pipeline import Pipeline
from source_postgres.protocol import Output
from source_postgres.state import StreamState
from source_postgres.stream import ConfiguredStream

#: Bytes of rows that are decoded and written at a time.
_BLOCK_BYTES = 4 << 20
#: Pages between checkpoints where Postgres has no statistics on the table yet (8 MB).
_PAGES_WITHOUT_STATISTICS = 1024
#: Since this version a range of ctid is read by its pages alone; before, each range would scan the whole table.
_TID_RANGE_SCAN_VERSION = 140000
#: Transactions are compared by 32 of their 64 bits: half of that range lies before, half after.
_COMPARABLE = 2**31


@dataclass(frozen=True)
class Session:
    """What reading any stream needs."""

    connection: psycopg.Connection[Any]
    output: Output
    channel: Channel
    pipeline: Pipeline


class RowReader:
    """Copies rows of one stream's table to the channel; ``decorate`` adds fields to each batch.

    Records and states are written by the pipeline's thread, in the order in which they are put there.
    """

    def __init__(
        self,
        session: Session,
        stream: ConfiguredStream,
        table: Table,
        fields: Iterable[Field],
        checkpoints: Checkpoints,
        decorate: Callable[[Batch], Batch] | None = None,
    ) -> None:
        self._session = session
        self._connection = session.connection
        self._stream = stream
        self._table = table
        self._fields = tuple(fields)
        self._checkpoints = checkpoints
        self._decorate = decorate
        self._library = native.library()

    def copy(self, where: str = "", order: str = "", after: Callable[[Batch], None] | None = None) -> None:
        """Rows under the SQL condition ``where``; ``after`` is called with each batch that has been written."""
        names = [field.name for field in self._fields]
        statement = query.copy_rows(self._table, names, where, order, binary=self._library is not None)
        with contextlib.closing(blocks(self._connection, statement, _BLOCK_BYTES)) as copied:
            for block in copied:
                self._put(block, after)

    def _put(self, rows: Block, after: Callable[[Batch], None] | None) -> None:
        def write() -> None:
            batch = from_binary(self._library, self._fields, rows) if self._library else from_csv(self._fields, rows)
            self._write(batch if self._decorate is None else self._decorate(batch), len(rows))
            if after:
                after(batch)

        self._session.pipeline.put(write)

    def _write(self, batch: Batch, size: int) -> None:
        # First the count: it announces the stream's first records.
        self._checkpoints.add(self._stream, batch.rows, size)
        self._session.channel.write(self._stream.name, self._stream.namespace, batch)

    def emit(self, state: StreamState | None) -> None:
        """Write a state that covers everything put before."""
        self._session.pipeline.put(lambda: self._checkpoints.emit(self._stream, state))

    def read_pass(self, start: StreamState, condition: str = "", pause: Callable[[], None] | None = None) -> None:
        """All rows (under ``condition``) in physical order past ``start.ctid``, with a state after each range of pages,
        after which ``pause`` is called: it may raise to end the pass there.

        Where an interrupted pass goes on in a new snapshot, rows may have moved from pages not yet read to pages read
        before: what was written since the first snapshot is read there, too.
        """
        state = replace(start, filenode=self.filenode())
        if start.ctid and start.xmin is not None:
            moved = f"t.ctid <= '{_checked(start.ctid, self._stream)}' AND {query.changed_since(start.xmin)}"
            self.copy(_both(condition, moved))
        for pages, end in self._page_ranges(start.ctid):
            self.copy(_both(condition, pages))
            if end:
                self.emit(replace(state, ctid=end))
                if pause:
                    pause()

    def usable_pass(self, saved: StreamState) -> bool:
        """Whether the pass that ``saved`` interrupted can go on; says in the log why not."""
        if saved.filenode != self.filenode():
            self.warn("the table was rewritten since the last checkpoint: reading it from the start.")
            return False
        if saved.xmin is not None and not self.comparable(saved.xmin):
            self.warn("too many transactions since the last checkpoint: reading the table from the start.")
            return False
        return True

    def comparable(self, transaction: int) -> bool:
        """Whether rows tell if they were written since ``transaction``: fewer than 2^31 have come after it."""
        return (
            0 <= self.scalar("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::int8") - transaction < _COMPARABLE
        )

    def snapshot_xmin(self) -> int:
        """The oldest transaction of which the present snapshot may lack something."""
        return self.scalar("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::int8")

    def filenode(self) -> int | None:
        return self.scalar(f"SELECT pg_relation_filenode({self._table.oid})::int8")

    def scalar(self, statement: str) -> Any:
        row = self._connection.execute(statement.encode()).fetchone()
        return row[0] if row else None

    def warn(self, text: str) -> None:
        self._session.output.log("WARN", f"Stream {self._stream}: {text}")

    def _page_ranges(self, start: str | None) -> Iterator[tuple[str, str | None]]:
        """SQL conditions that divide the table, each with the ctid at its end; the last is open and has none."""
        lower = ""
        page = 0
        if start:
            lower, page = f"t.ctid > '{_checked(start, self._stream)}'", int(start[1:].partition(",")[0])
        if self._table.has_pages and self._connection.info.server_version >= _TID_RANGE_SCAN_VERSION:
            pages, per_range = self._pages()
            left = pages - page
            ranges = -(-left // per_range)
            # All of a size: a rest of a few pages would be a load job of its own.
            for bound in (page + left * number // ranges for number in range(1, ranges)):
                # No row has number 0: the end belongs to either side.
                end = f"({bound},0)"
                yield _both(lower, f"t.ctid < '{end}'"), end
                lower = f"t.ctid > '{end}'"
        yield lower, None

    def _pages(self) -> tuple[int, int]:
        """The table's size, and how much of it lies between checkpoints, both in pages; large values count."""
        row = self._connection.execute(
            "SELECT pg_relation_size(oid) / current_setting('block_size')::int8, relpages, reltuples, "
            "pg_table_size(oid) FROM pg_class WHERE oid = %s",
            [self._table.oid],
        ).fetchone()
        pages, known_pages, known_rows, size = row or (0, 0, 0, 0)
        per_range = _PAGES_WITHOUT_STATISTICS
        if known_pages > 0 and known_rows > 0:
            per_range = round(CHECKPOINT_ROWS * known_pages / known_rows)
        return pages, max(1, min(per_range, CHECKPOINT_BYTES * pages // max(size, 1)))


def _both(*conditions: str) -> str:
    return " AND ".join(f"({condition})" for condition in conditions if condition)


def _checked(ctid: str, stream: ConfiguredStream) -> str:
    if not re.fullmatch(r"\(\d+,\d+\)", ctid):
        raise ConnectorError(f"The saved state of stream {stream} holds no ctid but {ctid!r}; clear it.")
    return ctid
