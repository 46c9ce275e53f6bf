"""Reading by change data capture: a snapshot of each new stream, then the changes of all from the log.

A snapshot has a position in the log, and says which transactions it has seen: the log's changes by those are left out
for its stream. ``_ab_cdc_lsn`` of a change is where its transaction was committed, and in billionths its number within
the transaction, and always more than its stream's snapshot: of two changes of a row the greater is the later.

The slot is read from the given state's position and moved on to it first, for whatever gave us the state has committed
what lay before. What is read now stays in the slot until the next read: a read that is killed, or whose states are
lost, is repeated.
"""

from __future__ import annotations

import functools
import time
from dataclasses import replace
from typing import Any

import orjson
import psycopg

from source_postgres import slot
from source_postgres.changes import StreamChanges
from source_postgres.checkpoints import GlobalCheckpoints
from source_postgres.config import Cdc
from source_postgres.connection import connect, explained
from source_postgres.errors import ConnectorError
from source_postgres.follow import FollowedStream, Follower
from source_postgres.replication import LogReader
from source_postgres.rows import RowReader
from source_postgres.slot import Slot
from source_postgres.snapshot import snapshot_of
from source_postgres.state import SavedStates, StreamKey, StreamState
from source_postgres.stream import ConfiguredStream
from source_postgres.sync import Sync

#: How long to wait for the log to be flushed up to where it ends now: transactions that do not wait for it themselves
#: (synchronous_commit off) are flushed within three times wal_writer_delay.
_FLUSH_SECONDS = 1.0
_FLUSH_POLL_SECONDS = 0.02
_SECONDS_AN_HOUR = 3600
_SNAPSHOT = """
SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::int8, pg_current_snapshot()::text,
       to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
"""


def read(sync: Sync, cdc: Cdc, streams: list[ConfiguredStream], states: SavedStates) -> bool:
    """Read every stream to its end; whether that was done for all.

    Raises:
        ConnectorError: for what concerns all streams: the server, the slot, the publication, the saved position.
    """
    if cdc.heartbeat_query:
        _beat(sync, cdc.heartbeat_query)
    connection = sync.session.connection
    found = slot.find(connection, sync.config, cdc, wait=slot.IN_USE_SECONDS)
    left_out = slot.unpublished_operations(connection, cdc)
    if left_out:
        sync.output.log("WARN", f"Publication {cdc.publication!r} leaves out every {', '.join(left_out)}.")
    start, saved = _start(sync, cdc, found, states)
    wanted = {stream.key for stream in streams}
    usable = {key: state for key, state in saved.items() if key in wanted}
    checkpoints = GlobalCheckpoints(
        sync.output, sync.config.checkpoint_seconds, _shared(sync, found.system, start), usable
    )
    reading = _Reading(sync, cdc, found, checkpoints)
    succeeded = True
    for stream in streams:
        if stream.incremental:
            succeeded &= reading.begin(stream, usable.get(stream.key))
        else:
            succeeded &= sync.read_stream(stream, usable.get(stream.key), checkpoints)
    return reading.follow(start) and succeeded


def _beat(sync: Sync, statement: str) -> None:
    """Run heartbeat_action_query, which writes: it is in no transaction of those that only read."""
    with connect(sync.config) as connection:
        try:
            connection.execute(statement.encode())
        except psycopg.Error as error:
            raise ConnectorError(
                f"heartbeat_action_query failed; correct it, or grant what it needs. Postgres said: {error}"
            ) from error


def _start(sync: Sync, cdc: Cdc, found: Slot, states: SavedStates) -> tuple[int, dict[StreamKey, StreamState]]:
    """Where reading the log begins, and the states that still hold.

    Raises:
        ConnectorError: config_error where the slot or the server cannot give the changes since the saved position.
    """
    if found.lost:
        raise slot.lost(cdc, found.lost)
    if states.shared is None:
        return found.confirmed, {key: state for key, state in states.streams.items() if state.kind != "cdc_based"}
    position, listed = _saved_position(states.shared), states.shared.get("streams")
    reason, resync = slot.invalid_position(
        sync.session.connection, found, position, states.shared.get("system_identifier")
    )
    if reason and resync and cdc.resync:
        sync.output.log("WARN", f"All tables are read anew, for {reason}.")
        return found.confirmed, {}
    if reason:
        cure = " or set invalid_cdc_cursor_position_behavior to 'Re-sync data'" if resync else ""
        raise ConnectorError(
            f"The changes since the last sync cannot be read from replication slot {cdc.slot!r}, for {reason}. "
            f"Refresh the connection's data, removing the old{cure}."
        )
    # A stream that was not read for a while has missed changes.
    current = {
        key: state
        for key, state in states.streams.items()
        if state.kind != "cdc_based" or listed is None or list(key) in listed
    }
    return position, current


def _saved_position(shared: dict[str, Any]) -> int:
    """The log position in the shared part of a GLOBAL state, which has the shape of Debezium's offsets."""
    try:
        offset = orjson.loads(next(iter(shared["state"].values())))
        position = next(offset[key] for key in ("lsn_commit", "lsn_proc", "lsn") if offset.get(key) is not None)
        return int(position)
    except (KeyError, ValueError, TypeError, AttributeError, StopIteration) as error:
        raise ConnectorError(
            f"The saved state holds no position in the log but {shared!r}; clear the connection's state."
        ) from error


def _shared(sync: Sync, system: str, position: int) -> dict[str, Any]:
    """The shared part of a GLOBAL state; of the keys, ``system_identifier`` and ``streams`` (added later) are ours."""
    database = sync.config.database
    key = orjson.dumps([database, {"server": database}]).decode()
    offset = {"lsn_proc": position, "lsn_commit": position, "lsn": position, "ts_usec": time.time_ns() // 1000}
    return {"state": {key: orjson.dumps(offset).decode()}, "system_identifier": system}


class _Reading:
    """One run: which streams' changes will be followed, and whether their reading may be called complete then."""

    def __init__(self, sync: Sync, cdc: Cdc, found: Slot, checkpoints: GlobalCheckpoints) -> None:
        self._sync = sync
        self._cdc = cdc
        self._slot = found
        self._checkpoints = checkpoints
        self._load_until = time.monotonic() + cdc.load_timeout_hours * _SECONDS_AN_HOUR
        self._followed: list[FollowedStream] = []
        self._complete: list[ConfiguredStream] = []
        #: Whether the position stays where it is, for a stream that needs what comes after it.
        self._held_back = False

    def begin(self, stream: ConfiguredStream, saved: StreamState | None) -> bool:
        """Take the stream's snapshot, or what is left of it, unless it has one; whether it has now.

        Where that is interrupted after a part, changes are followed for that part and for the rest alike.
        """
        prepared: list[FollowedStream] = []

        def prepare() -> None:
            table = self._sync.table(stream)
            changes = StreamChanges(stream, table, lambda: self._sync.session.connection)
            names = [field.name for field in changes.columns]
            connection = self._sync.session.connection
            # As it is now: partitions may have come since the first stream's snapshot began.
            slot.require(connection, self._cdc, slot.published(connection, self._cdc), table, names)
            relations = slot.relations(connection, table)
            prepared.append(FollowedStream(stream, table, changes, relations, saved or StreamState("cdc_based")))
            if saved is None or saved.kind != "cdc_based" or saved.ctid or saved.lsn is None:
                self._snapshot(prepared[0], saved)

        taken = self._sync.attempt(stream, prepare, ends=False)
        state = self._checkpoints.state(stream)
        if prepared and state is not None and state.kind == "cdc_based":
            prepared[0].state = state
            self._followed += prepared
            if taken:
                self._complete.append(stream)
        elif saved is not None and saved.kind == "cdc_based":
            self._held_back = True
            self._sync.output.log(
                "WARN",
                f"The changes of stream {stream} are kept in replication slot {self._cdc.slot!r} until it can be read "
                "again. If it will not be, take it out of the connection: until then the slot keeps the whole log.",
            )
        else:
            self._checkpoints.forget(stream)
        return taken

    def _snapshot(self, stream: FollowedStream, saved: StreamState | None) -> None:
        session = self._sync.session
        with snapshot_of(session.connection, stream.table):
            row = session.connection.execute(_SNAPSHOT).fetchone()
            assert row is not None  # noqa: S101 (a SELECT without FROM)
            position, snapshot, at = row
            rows = RowReader(
                session,
                stream.configured,
                stream.table,
                stream.changes.columns,
                self._checkpoints,
                lambda batch: stream.changes.snapshot(batch, position, at),
            )
            start = StreamState("cdc_based", lsn=position, snapshot=snapshot)
            if saved and saved.kind == "cdc_based" and saved.ctid and saved.snapshot and rows.usable_pass(saved):
                # What was changed since the first snapshot is in the log, whichever part has seen it.
                start = replace(saved, lsn=position, sequence=None)
            rows.read_pass(start, pause=self._pause)
            rows.emit(replace(start, ctid=None, filenode=None))

    def _pause(self) -> None:
        if time.monotonic() > self._load_until:
            raise ConnectorError(
                f"Reading the tables was interrupted after {self._cdc.load_timeout_hours} h "
                "(initial_load_timeout_hours), to read the log before it grows too large; the next attempt goes on.",
                "transient_error",
            )

    def follow(self, start: int) -> bool:
        """Read the changes of all streams up to the present, and end them."""
        if not self._followed:
            return True
        output = self._sync.output
        try:
            self._follow(start)
        except (ConnectorError, psycopg.Error) as error:
            failure = error if isinstance(error, ConnectorError) else explained(error, "Reading the log")
            output.error(failure)
            for stream in self._complete:
                output.status(stream.name, stream.namespace, "INCOMPLETE")
            return False
        for stream in self._complete:
            output.status(stream.name, stream.namespace, "COMPLETE")
        return True

    def _follow(self, start: int) -> None:
        target = self._target()
        shared = functools.partial(_shared, self._sync, self._slot.system)
        next_start = start if self._held_back else None
        log = LogReader(self._sync.config, self._cdc, start)
        try:
            Follower(self._sync, self._cdc, log, self._followed, self._checkpoints, shared, next_start).read(target)
        finally:
            log.close()

    def _target(self) -> int:
        """The end of the log now: changes are read up to here. What is not flushed is not sent."""
        connection = self._sync.session.connection
        target = slot.wal_position(connection)
        until = time.monotonic() + _FLUSH_SECONDS
        while slot.wal_flushed(connection) < target and time.monotonic() < until:
            time.sleep(_FLUSH_POLL_SECONDS)
        return target
