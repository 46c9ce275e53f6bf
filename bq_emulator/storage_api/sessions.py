"""Read sessions: what a table held at one moment, for as long as somebody reads it."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pyarrow as pa

from bq_emulator.duck import Session, identifier
from bq_emulator.emulator import Emulator
from bq_emulator.model import BigQueryError
from bq_emulator.partitions import split_decorator
from bq_emulator.schema import Schema, find
from bq_emulator.storage_api.arrow import arrow_field, messages, select_list
from bq_emulator.tables import STORED_KINDS

#: A session nobody reads is forgotten after so long; Google's live for six hours.
IDLE_SECONDS = 600
#: Each holds a cursor and keeps dropped tables' space; the one idle longest makes room.
MAX_SESSIONS = 100
_BATCH_ROWS = 20_000


@dataclass
class ReadSession:
    """``sql`` is DuckDB text to be run in ``db``, whose transaction holds the moment the session was created."""

    name: str
    db: Session
    sql: str
    schema: pa.Schema
    row_count: int
    size: int
    resources: ExitStack
    used: float = field(default_factory=time.monotonic)
    mutex: threading.Lock = field(default_factory=threading.Lock)

    @property
    def stream(self) -> str:
        """The name of its one stream."""
        return f"{self.name}/streams/0"

    def read(self, offset: int) -> Iterator[pa.RecordBatch]:
        """The rows from ``offset`` on. Raises BigQueryError invalid for an offset behind the end."""
        if offset > self.row_count or offset < 0:
            raise BigQueryError("invalid", f"Offset {offset} is out of range: the stream has {self.row_count} rows.")
        with self.mutex:
            cursor = self.db.execute(f"SELECT * FROM ({self.sql}) OFFSET {offset}")
            for batch in messages(cursor.to_arrow_reader(_BATCH_ROWS), self.schema):
                self.used = time.monotonic()
                yield batch


class ReadSessions:
    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._sessions: dict[str, ReadSession] = {}
        self._mutex = threading.Lock()
        emulator.sweeper.add(lambda: self._forget(MAX_SESSIONS))

    def create(self, dataset: str, table: str, selected: list[str], restriction: str) -> ReadSession:
        """Raises BigQueryError notFound, or invalid for a view, an unknown column or a restriction that is no
        condition."""
        self._forget(MAX_SESSIONS - 1)
        with ExitStack() as resources:
            db = resources.enter_context(self._emulator.database.transaction())
            session = self._open(db, dataset, table, selected, restriction)
            session.resources = resources.pop_all()
        with self._mutex:
            self._sessions[session.stream] = session
        return session

    def _open(self, db: Session, dataset: str, table: str, selected: list[str], restriction: str) -> ReadSession:
        emulator = self._emulator
        name, partition = split_decorator(table)
        record = emulator.metadata.table(db, dataset, name)
        if record.kind not in STORED_KINDS:
            raise BigQueryError("invalid", f"non-table entities cannot be read with the storage API: {record}")
        schema = _selected(str(record), record.schema, selected)
        rows = "(SELECT 1 LIMIT 0)"
        if restriction:
            rows = f"({self._restricted(db, dataset, table, restriction)})"
        elif record.physical:
            rows = f"{record.physical} WHERE {emulator.tables.partition_condition(record, partition)}"
        sql = f"SELECT {select_list(schema)} FROM {rows}"
        count = int(db.scalar(f"SELECT count(*) FROM {rows}"))
        name = f"projects/{emulator.project}/locations/{emulator.location.lower()}/sessions/{secrets.token_urlsafe(24)}"
        arrow = pa.schema([arrow_field(each) for each in schema])
        return ReadSession(name, db, sql, arrow, count, emulator.tables.sizes.total(db, record), ExitStack())

    def _restricted(self, db: Session, dataset: str, table: str, restriction: str) -> str:
        emulator = self._emulator
        text = f"SELECT * FROM `{emulator.project}.{dataset}.{table}` WHERE (\n{restriction}\n)"
        query = emulator.query_runner.select(db, text)
        if query is None:
            raise BigQueryError("invalid", f"request failed: Query error: not a row restriction: {restriction}")
        names = ", ".join(identifier(each.name) for each in query.schema)
        return f"SELECT * FROM ({query.sql}) AS restricted({names})"

    def find(self, stream: str) -> ReadSession:
        """Raises BigQueryError notFound."""
        session = self._sessions.get(stream)
        if session is None:
            raise BigQueryError("notFound", f"Not found: read stream {stream}; it may have expired.")
        session.used = time.monotonic()
        return session

    def _forget(self, keep: int) -> None:
        """End the sessions that are idle, and the oldest beyond ``keep``."""
        with self._mutex:
            by_age = sorted(self._sessions.values(), key=lambda session: session.used)
            ended = [
                session
                for number, session in enumerate(by_age)
                if session.used < time.monotonic() - IDLE_SECONDS or number < len(by_age) - keep
            ]
            ended = [session for session in ended if not session.mutex.locked()]
            for session in ended:
                del self._sessions[session.stream]
        for session in ended:
            session.resources.close()

    def close(self) -> None:
        self._forget(0)


def _selected(table: str, schema: Schema, names: list[str]) -> Schema:
    """The columns named, in the table's order; all for no name."""
    for name in names:
        if "." in name:
            raise BigQueryError("notImplemented", f"selected_fields cannot name a subfield in this emulator: {name}")
        if find(schema, name) is None:
            raise BigQueryError(
                "invalid", f"request failed: The following selected fields do not exist in {table}: {name}"
            )
    wanted = {name.lower() for name in names}
    return tuple(each for each in schema if not wanted or each.name.lower() in wanted)
