"""One stream's way into its table.

Chunks of records are loaded into a stage table, whose rows are then inserted or merged into the final table. A stream
that truncates is staged whole, in a table that outlives this process, and takes the final table's place at its end.

Jobs that add rows have ids made of what they add, so that what is sent again after a crash is not written twice.
"""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from destination_bigquery import names, sql, tables
from destination_bigquery.batch import Chunk
from destination_bigquery.catalog import GENERATION_ID, Stream
from destination_bigquery.errors import ConnectorError
from destination_bigquery.warehouse import Resource, Warehouse

#: After how many hours stage tables go by themselves. One must outlive its process, which reads a large table for the
#: first time. The other holds what a truncating stream has loaded so far, and the next sync may be long in coming: its
#: connection may be paused.
_STAGE_HOURS, _REPLACEMENT_HOURS = 14 * 24, 90 * 24

Bounds = dict[str, tuple[Any, Any] | None]


def key_bounds(rows: pa.Table, stream: Stream) -> Bounds:
    """The range of each key column, or None where it holds NULL."""
    found: Bounds = {}
    for name in stream.primary_key:
        column = rows.column(name)
        limits = pc.min_max(column).as_py()
        found[name] = None if column.null_count else (limits["min"], limits["max"])
    return found


class StreamLoader:
    """Loads the chunks of ``stream``; not thread-safe."""

    def __init__(self, warehouse: Warehouse, stream: Stream) -> None:
        self._warehouse = warehouse
        self._stream = stream
        self._final = (stream.dataset, stream.table)
        self._internal = warehouse.config.internal_dataset
        process = uuid.uuid4().hex[:12]
        working = names.working_table(*self._final)
        self._stage_name = f"{working}_stage_{process}"
        self._replacement_name = f"{working}_generation_{stream.generation_id}"
        self._job_prefix = f"airbyte_{stream.table[:200]}_{stream.sync_id}_{process}"
        self._target: Resource | None = None
        self._stage: Resource | None = None
        self._replaces = stream.truncates
        self._resumed = False
        self._jobs = 0
        self._seen: Counter[str] = Counter()
        #: Of the staged chunks, and whether a state stands behind the last of them.
        self._digests: list[str] = []
        self._closed = False
        self._bounds: Bounds = {}
        self.uncommitted = 0

    def open(self) -> Resource:
        """Find or make the tables; the one that rows are staged in."""
        self._open()
        if self._stage is None:
            self._stage = tables.create_stage(
                self._warehouse, self._internal, self._stage_name, self._stream, _STAGE_HOURS
            )
        return self._stage

    def load(self, chunk: Chunk, parquet: memoryview, bounds: Bounds) -> None:
        """Put the chunk's rows into the stage table."""
        if not chunk.count:
            if self._digests:
                self._note(chunk)
            return
        stage = self.open()
        name = stage["tableReference"]["tableId"]
        if self._replaces:
            job_id = self._content_job_id([chunk.digest], stage) if chunk.closed else self._job_id()
            self._warehouse.load(parquet, self._internal, name, job_id, append=True)
            return
        self._warehouse.load(parquet, self._internal, name, self._job_id(), append=bool(self._digests))
        self._bounds = bounds if not self._digests else _joined(self._bounds, bounds)
        self._note(chunk)
        self.uncommitted += chunk.count

    def commit(self) -> None:
        """Bring what is staged into the final table. Rows without a state behind them stay in the stage."""
        if not self._closed:
            return
        target = self._open()
        stage = self._path(self._internal, self._stage_name)
        final = self._path(*self._final)
        if self._stream.deduplicates:
            hard_deletes = self._warehouse.config.hard_deletes
            statement = sql.merge(final, stage, self._stream, self._bounds, hard_deletes=hard_deletes)
        else:
            statement = sql.insert(final, stage, self._stream)
        doing = f"Writing {self.uncommitted} rows of stream {self._stream} to {final}"
        self._warehouse.query(statement, self._content_job_id(self._digests, target), doing)
        self._digests, self._closed, self._bounds, self.uncommitted = [], False, {}, 0

    def _note(self, chunk: Chunk) -> None:
        self._digests.append(chunk.digest)
        self._closed = chunk.closed

    def complete(self) -> None:
        """The stream has ended well: what older generations it replaces go now."""
        self._open()
        if not self._replaces:
            return
        final = self._path(*self._final)
        existing = self._warehouse.get_table(*self._final)
        in_place = existing is None or tables.laid_out(existing, self._stream)
        target = self._final if in_place else tables.rebuilding(self._warehouse, self._final)
        statement = sql.replace_table(
            self._path(*target),
            self._path(self._internal, self._replacement_name),
            self._stream,
            hard_deletes=self._warehouse.config.hard_deletes,
            resumed=self._resumed,
        )
        self._warehouse.query(statement, self._job_id(), f"Replacing the rows of {final}")
        if not in_place:
            tables.take_place(self._warehouse, target, self._final, self._job_id())
        self._warehouse.drop_table(self._internal, self._replacement_name)
        self._stage = None

    def close(self) -> None:
        """Drop this process's stage table. It would expire anyway, so a failure to drop it is not one of the sync."""
        if self._stage is not None and not self._replaces:
            with contextlib.suppress(ConnectorError):
                self._warehouse.drop_table(self._internal, self._stage_name)
            self._stage = None

    def _open(self) -> Resource:
        """The table that this process adds to: the final one, or the one that will replace it."""
        if self._target is None:
            self._warehouse.ensure_dataset(self._internal)
            self._warehouse.ensure_dataset(self._stream.dataset)
            self._finish_rebuilding()
            final = self._warehouse.get_table(*self._final)
            if final is not None:
                tables.refuse_view(final)
            self._replaces = self._replaces or self._was_replacing()
            self._target = self._open_replacement(final) if self._replaces else self._open_final(final)
        return self._target

    def _open_final(self, found: Resource | None) -> Resource:
        if found is None:
            return tables.create(self._warehouse, *self._final, self._stream)
        return tables.fit(self._warehouse, found, self._stream, self._job_id())

    def _open_replacement(self, final: Resource | None) -> Resource:
        """An empty one, unless this generation was begun by an earlier attempt whose source goes on where it was."""
        if not self._stream.resumable:
            self._warehouse.drop_table(self._internal, self._replacement_name)
        else:
            self._resumed = self._warehouse.get_table(self._internal, self._replacement_name) is not None
            if not self._resumed and final is not None and self._is_finished(final):
                self._replaces = False
                return self._open_final(final)
        self._stage = tables.create_stage(
            self._warehouse, self._internal, self._replacement_name, self._stream, _REPLACEMENT_HOURS
        )
        return self._stage

    def _was_replacing(self) -> bool:
        """Whether a sync that was given up (a refresh that was cancelled, say) has begun this generation: the source
        goes on from its last state, and what came before that is in its stage alone."""
        return self._stream.resumable and self._warehouse.get_table(self._internal, self._replacement_name) is not None

    def _is_finished(self, final: Resource) -> bool:
        """Whether the final table holds rows, all of them of this generation."""
        if GENERATION_ID not in {field["name"] for field in final["schema"].get("fields", ())}:
            return False
        generation, path = sql.quoted(GENERATION_ID), self._path(*self._final)
        statement = f"SELECT MIN({generation}), MAX({generation}) FROM {path}"
        rows = self._warehouse.rows(statement, self._job_id(), f"Looking up the generation of {path}")
        return rows == [[str(self._stream.generation_id)] * 2]

    def _finish_rebuilding(self) -> None:
        """Where an earlier process was interrupted between dropping the final table and putting the new one there."""
        rebuilt = tables.rebuilding(self._warehouse, self._final)
        if self._warehouse.get_table(*rebuilt) is None:
            return
        if self._warehouse.get_table(*self._final) is None:
            tables.take_place(self._warehouse, rebuilt, self._final, self._job_id())
        else:
            self._warehouse.drop_table(*rebuilt)

    def _path(self, dataset: str, table: str) -> str:
        return sql.quoted(self._warehouse.config.project, dataset, table)

    def _job_id(self) -> str:
        """An id for a job that may well run again in another process."""
        self._jobs += 1
        return f"{self._job_prefix}_{self._jobs}"

    def _content_job_id(self, digests: list[str], target: Resource) -> str:
        """The same id for the same rows at the same place of the same sync into the same table, and for nothing else.

        A closed chunk's digest holds its records and the state behind them, which tells apart equal records at other
        places; equal ones within one process are counted, and rows that went ahead of a state are told by a digest of
        their own, for the state may read the same another time. Not for rows that no state closes: they may be cut
        anywhere by a retry, and equal ones may come again. Writing those twice is better than not at all.
        """
        stream = self._stream
        path = tuple(target["tableReference"].values())
        parts = (path, target.get("creationTime"), stream.sync_id, stream.generation_id, digests)
        identity = hashlib.sha256(repr(parts).encode()).hexdigest()[:40]
        self._seen[identity] += 1
        return f"airbyte_{stream.table[:200]}_{stream.sync_id}_{identity}_{self._seen[identity]}"


def _joined(one: Bounds, other: Bounds) -> Bounds:
    result: Bounds = {}
    for name, bounds in one.items():
        others = other[name]
        result[name] = (
            (min(bounds[0], others[0]), max(bounds[1], others[1]))
            if bounds is not None and others is not None
            else None
        )
    return result
