"""One stream's way into its table.

A chunk of records is loaded into a stage table and from there inserted or merged into the target: the final table, or,
for a stream that truncates, a replacement that takes the final table's place when the stream is complete. The job that
writes to the target has an id made of what it writes, so that a chunk sent again after a crash is not written twice.
"""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections import Counter

from google.cloud import bigquery

from destination_bigquery import sql, tables
from destination_bigquery.batch import Chunk
from destination_bigquery.catalog import GENERATION_ID, Stream
from destination_bigquery.convert import to_arrow
from destination_bigquery.errors import ConnectorError
from destination_bigquery.warehouse import Warehouse


class StreamLoader:
    """Loads the chunks of ``stream``; not thread-safe."""

    def __init__(self, warehouse: Warehouse, stream: Stream) -> None:
        self._warehouse = warehouse
        self._stream = stream
        self._process = uuid.uuid4().hex[:12]
        digest = hashlib.sha256(f"{stream.dataset}.{stream.table}".encode()).hexdigest()[:8]
        scratch = f"{stream.dataset}_{stream.table}"[:900]
        self._internal = warehouse.config.internal_dataset
        self._stage = f"{scratch}_{digest}_stage_{self._process}"
        self._replacement = f"{scratch}_{digest}_replacement"
        self._job_prefix = f"airbyte_{stream.table[:200]}_{stream.sync_id}_{self._process}"
        self._target: bigquery.Table | None = None
        self._staged = False
        self._jobs = 0
        self._seen: Counter[str] = Counter()

    def load(self, chunk: Chunk) -> None:
        """Commit the chunk's records to the target."""
        target = self._open()
        rows = to_arrow(chunk.lines, self._stream)
        if not self._staged:
            tables.create_stage(self._warehouse, self._internal, self._stage, self._stream)
            self._staged = True
        self._warehouse.load(rows, tables.stage_schema(self._stream), self._internal, self._stage, self._job_id())
        paths = (_path(target), sql.quoted(target.project, self._internal, self._stage))
        if self._stream.primary_key:
            hard_deletes = self._warehouse.config.hard_deletes
            statement = sql.merge(*paths, self._stream, hard_deletes=hard_deletes)
        else:
            statement = sql.insert(*paths, self._stream)
        doing = f"Writing {rows.num_rows} rows of stream {self._stream} to {paths[0]}"
        self._warehouse.query(statement, self._chunk_job_id(chunk, target), doing)

    def complete(self) -> None:
        """The stream has ended well: what older generations it replaces go now."""
        target = self._open()
        if target.dataset_id == self._internal and target.table_id == self._replacement:
            self._warehouse.ensure_dataset(self._stream.dataset)
            source = (self._internal, self._replacement)
            self._warehouse.copy(source, (self._stream.dataset, self._stream.table), self._job_id())
            self._warehouse.drop_table(*source)
        self._target = None

    def close(self) -> None:
        """Drop the stage table. It would expire anyway, so a failure to drop it is not one of the sync."""
        if self._staged:
            with contextlib.suppress(ConnectorError):
                self._warehouse.drop_table(self._internal, self._stage)
            self._staged = False

    def _open(self) -> bigquery.Table:
        if self._target is None:
            self._warehouse.ensure_dataset(self._internal)
            self._target = self._open_replacement() if self._stream.truncates else self._open_final()
        return self._target

    def _open_final(self) -> bigquery.Table:
        self._warehouse.ensure_dataset(self._stream.dataset)
        return self._fitting(self._stream.dataset, self._stream.table)

    def _open_replacement(self) -> bigquery.Table:
        """A new table, unless this generation was begun by an earlier attempt whose source goes on where it was."""
        if self._stream.resumable:
            if self._is_current(self._internal, self._replacement):
                return self._fitting(self._internal, self._replacement)
            if self._is_current(self._stream.dataset, self._stream.table):
                return self._open_final()
        self._warehouse.drop_table(self._internal, self._replacement)
        return tables.create(self._warehouse, self._internal, self._replacement, self._stream)

    def _is_current(self, dataset: str, table: str) -> bool:
        """Whether the table holds rows, all of them of this generation."""
        found = self._warehouse.get_table(dataset, table)
        if found is None or GENERATION_ID not in {field.name for field in found.schema}:
            return False
        generation = sql.quoted(GENERATION_ID)
        statement = f"SELECT MIN({generation}), MAX({generation}) FROM {_path(found)}"
        rows = self._warehouse.query(statement, self._job_id(), f"Looking up the generation of {_path(found)}")
        return [tuple(row) for row in rows] == [(self._stream.generation_id,) * 2]

    def _fitting(self, dataset: str, name: str) -> bigquery.Table:
        table = self._warehouse.get_table(dataset, name)
        if table is None:
            return tables.create(self._warehouse, dataset, name, self._stream)
        return tables.fit(self._warehouse, table, self._stream, self._job_id())

    def _job_id(self) -> str:
        """An id for a job that may well run again in another process."""
        self._jobs += 1
        return f"{self._job_prefix}_{self._jobs}"

    def _chunk_job_id(self, chunk: Chunk, target: bigquery.Table) -> str:
        """The same id for the same rows at the same place of the same sync into the same table, and for nothing else.

        A chunk's key holds its records and the state behind them, which tells apart equal records at other places;
        equal chunks within one process are counted. A chunk that no state closes may be cut anywhere, so it gets an id
        of this process.
        """
        if chunk.key is None:
            return self._job_id()
        created = target.created.timestamp() if target.created else 0
        stream = self._stream
        parts = (_path(target), created, stream.sync_id, stream.generation_id, chunk.key, self._seen[chunk.key])
        self._seen[chunk.key] += 1
        digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:40]
        return f"airbyte_{stream.table[:200]}_{stream.sync_id}_{digest}"


def _path(table: bigquery.Table) -> str:
    return sql.quoted(table.project, table.dataset_id, table.table_id)
