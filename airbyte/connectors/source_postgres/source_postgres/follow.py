"""Following the log: each stream's changes are collected, decoded and written, with states between transactions."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg

from source_postgres import pgoutput
from source_postgres.catalog import Table
from source_postgres.changes import StreamChanges
from source_postgres.checkpoints import CHECKPOINT_BYTES, CHECKPOINT_ROWS, GlobalCheckpoints
from source_postgres.config import Cdc
from source_postgres.pgoutput import Relation, Transaction
from source_postgres.replication import DATA_HEADER, LogReader, lsn_text
from source_postgres.state import StreamState
from source_postgres.stream import ConfiguredStream
from source_postgres.sync import Sync

#: Bytes of changes that are held before they are decoded and written.
_HELD_BYTES = 4 << 20
#: pg_stat_activity's wait event of a sender that has sent all there is; versions write it in different cases.
_SENDER_WAITS = "walsenderwaitforwal"


@dataclass
class FollowedStream:
    """A stream whose changes are read; ``relations`` are the oids under which they stand in the log.

    Of transactions that its snapshot has seen, the keys that were left are records all the same, at their own place in
    the log and so before the snapshot's rows: an earlier snapshot, whose state was lost, may have written those.
    """

    configured: ConfiguredStream
    table: Table
    changes: StreamChanges
    relations: list[int]
    state: StreamState
    #: The transaction being read; what its changes are numbered behind, the last number, whether it has been read
    #: before, and whether the snapshot has seen it.
    transaction: Transaction | None = None
    position: int = 0
    number: int = 0
    read: bool = False
    seen: bool = False

    def begin(self, transaction: Transaction) -> None:
        self.transaction = transaction
        snapshot_at = self.state.lsn or 0
        snapshot = self.state.snapshot if transaction.lsn < snapshot_at else None
        self.read = transaction.lsn < snapshot_at and snapshot is None
        self.seen = snapshot is not None and _saw(snapshot, transaction.xid)
        if transaction.lsn >= snapshot_at:
            self.position, self.number = transaction.lsn, 0
        elif self.position != snapshot_at:
            self.position, self.number = snapshot_at, self.state.sequence or 0

    def state_at(self, position: int, *, read_again: bool) -> StreamState:
        """The stream's state once everything committed before ``position`` has been read. ``read_again``: the
        next read begins before that all the same."""
        if position >= (self.state.lsn or 0) and not self.state.ctid:
            return replace(self.state, lsn=position if read_again else self.state.lsn, snapshot=None, sequence=None)
        return replace(self.state, sequence=self.number) if self.position == self.state.lsn else self.state


def _saw(snapshot: str, xid: int) -> bool:
    """Whether a snapshot (``xmin:xmax:xid,xid,…``) has seen the committed transaction of which 32 bits are given."""
    oldest, next_one, running = _parsed(snapshot)
    xid += next_one >> 32 << 32
    if xid - next_one > 2**31:
        xid -= 2**32
    elif next_one - xid > 2**31:
        xid += 2**32
    return xid < oldest or (xid < next_one and xid not in running)


@functools.lru_cache(64)
def _parsed(snapshot: str) -> tuple[int, int, frozenset[int]]:
    oldest, next_one, running = snapshot.split(":")
    return int(oldest), int(next_one), frozenset(map(int, filter(None, running.split(","))))


@dataclass
class _Held:
    """Changes of one relation that wait to be decoded."""

    stream: FollowedStream
    relation: Relation
    messages: list[memoryview] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    seen: list[bool] = field(default_factory=list)


class Follower:
    """Reads the log until everything committed before a target has been read. With ``next_start`` the position that
    the streams share stays there, for one that is not among them; each keeps its own."""

    def __init__(
        self,
        sync: Sync,
        cdc: Cdc,
        log: LogReader,
        streams: list[FollowedStream],
        checkpoints: GlobalCheckpoints,
        shared: Callable[[int], dict[str, Any]],
        next_start: int | None = None,
    ) -> None:
        self._sync = sync
        self._session = sync.session
        self._cdc = cdc
        self._log = log
        self._streams = streams
        self._checkpoints = checkpoints
        self._shared = shared
        self._next_start = next_start
        #: A partition may be a stream of its own beside its table's.
        self._by_oid: dict[int, list[FollowedStream]] = {}
        for stream in streams:
            for oid in stream.relations:
                self._by_oid.setdefault(oid, []).append(stream)
        self._by_name = {(stream.table.namespace, stream.table.name): [stream] for stream in streams}
        self._relations: dict[int, list[_Held]] = {}
        self._held = self._held_bytes = self._since_state = self._bytes_since_state = 0
        self._last_state = time.monotonic()

    def read(self, target: int) -> None:
        """Raises: ConnectorError, psycopg.Error: where the log or a table cannot be read."""
        position = self._log.position
        transaction: Transaction | None = None
        for message in self._log.messages():
            if message is None:
                if transaction is None:
                    position = max(position, self._log.position)
                    if position >= target or (self._log.quiet and self._sender_waits()):
                        break
                    self._checkpoint(position)
                continue
            kind = message[DATA_HEADER]
            if kind in (pgoutput.INSERT, pgoutput.UPDATE, pgoutput.DELETE):
                if transaction is not None:
                    for held in self._relations[pgoutput.relation_oid(message)]:
                        self._hold(held, message, transaction)
                    if self._held >= self._cdc.queue_size or self._held_bytes >= _HELD_BYTES:
                        self._write()
            elif kind == pgoutput.BEGIN:
                transaction = pgoutput.begin(message)
                if transaction.lsn >= target:
                    position = max(position, transaction.lsn)
                    break
            elif kind == pgoutput.COMMIT:
                transaction = None
                position = pgoutput.commit_end(message)
                self._checkpoint(position)
            elif kind == pgoutput.RELATION:
                self._relation(pgoutput.relation(message))
            elif kind == pgoutput.TRUNCATE and transaction is not None:
                self._truncated(pgoutput.truncated(message), transaction)
        self._emit(position)
        self._session.pipeline.drain()
        for stream in self._streams:
            if stream.changes.superseded:
                self._session.output.log(
                    "INFO",
                    f"Stream {stream.configured}: {stream.changes.superseded} changes were left out, for their rows "
                    "were deleted before values that the log does not hold could be read; the deletions follow.",
                )

    @property
    def _connection(self) -> psycopg.Connection[Any]:
        """The session's, once the pipeline has done with it: it reads values there that the log does not hold."""
        self._session.pipeline.drain()
        return self._session.connection

    def _hold(self, held: _Held, message: memoryview, transaction: Transaction) -> None:
        stream = held.stream
        if stream.transaction is not transaction:
            stream.begin(transaction)
        if stream.read or (stream.seen and not pgoutput.may_leave_a_key(message)):
            return
        if not stream.seen:
            stream.number += 1
        held.messages.append(message)
        held.positions.append(transaction.lsn if stream.seen else stream.position)
        held.numbers.append(0 if stream.seen else stream.number)
        held.times.append(transaction.at)
        held.seen.append(stream.seen)
        self._held += 1
        self._held_bytes += len(message)

    def _relation(self, relation: Relation) -> None:
        """A table's columns, told before its first change and after they have changed."""
        before = self._relations.get(relation.oid)
        if before and before[0].relation == relation:
            return
        self._write()
        streams = self._by_oid.get(relation.oid) or self._by_name.get((relation.namespace, relation.name), [])
        if not streams and before is None:
            streams = self._partitioned(relation.oid)
        self._relations[relation.oid] = [_Held(stream, relation) for stream in streams]

    def _partitioned(self, oid: int) -> list[FollowedStream]:
        """The streams of a partition that was made after reading began."""
        rows = self._connection.execute("SELECT relid::oid::int8 FROM pg_partition_ancestors(%s)", [oid]).fetchall()
        # Its columns may be told again: it is theirs from now on.
        self._by_oid[oid] = [stream for row in rows for stream in self._by_oid.get(row[0], [])]
        return self._by_oid[oid]

    def _truncated(self, oids: tuple[int, ...], transaction: Transaction) -> None:
        for held in itertools.chain.from_iterable(self._relations.get(oid, []) for oid in oids):
            stream = held.stream
            if stream.transaction is not transaction:
                stream.begin(transaction)
            if not stream.read:
                # An earlier snapshot, whose state was lost, may have written rows all the same.
                what = "rows of an interrupted one stay" if stream.seen else "refresh the stream to remove its rows"
                self._session.output.log(
                    "WARN",
                    f"Stream {stream.configured}: TRUNCATE of {held.relation.namespace}.{held.relation.name} at "
                    f"{lsn_text(transaction.lsn)}{', before this snapshot,' if stream.seen else ''} is not replicated; "
                    f"{what}.",
                )

    def _write(self) -> None:
        """Have what is held decoded and written."""
        waiting = [held for relation in self._relations.values() for held in relation if held.messages]
        if not waiting:
            return
        for oid in {held.relation.oid for held in waiting}:
            self._relations[oid] = [_Held(held.stream, held.relation) for held in self._relations[oid]]
        self._since_state += self._held
        self._bytes_since_state += self._held_bytes
        self._held = self._held_bytes = 0

        def write() -> None:
            for held in waiting:
                stream = held.stream
                batch = stream.changes.records(
                    held.relation, held.messages, held.positions, held.numbers, held.times, held.seen
                )
                if batch.rows:
                    self._checkpoints.add(stream.configured, batch.rows, sum(map(len, held.messages)))
                    self._session.channel.write(stream.configured.name, stream.configured.namespace, batch)

        self._session.pipeline.put(write)

    def _checkpoint(self, position: int) -> None:
        """Between transactions: a state, if one is due."""
        overdue = time.monotonic() - self._last_state > self._sync.config.checkpoint_seconds
        many = self._since_state + self._held >= CHECKPOINT_ROWS
        if overdue or many or self._bytes_since_state + self._held_bytes >= CHECKPOINT_BYTES:
            self._emit(position)

    def _emit(self, position: int) -> None:
        self._write()
        start = position if self._next_start is None else self._next_start
        shared, read_again = self._shared(start), start < position
        states = {stream.configured.key: stream.state_at(position, read_again=read_again) for stream in self._streams}
        self._session.pipeline.put(lambda: self._checkpoints.advance(shared, states))
        self._since_state = self._bytes_since_state = 0
        self._last_state = time.monotonic()
        if self._cdc.confirm_while_reading:
            self._log.confirm(start)

    def _sender_waits(self) -> bool:
        """Whether the server has sent everything that is flushed: a target amid an unfinished transaction's log may
        stay unflushed as long as nothing else happens."""
        row = self._connection.execute(
            "SELECT wait_event FROM pg_stat_activity WHERE pid = %s", [self._log.backend_pid]
        ).fetchone()
        return row is not None and str(row[0]).lower() == _SENDER_WAITS
