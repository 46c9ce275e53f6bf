"""From changes in the log to records: which row each speaks of, its values, and the fields that CDC adds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg.postgres import types as postgres

from source_postgres import pgoutput, query
from source_postgres.batches import Batch, Field, from_texts
from source_postgres.catalog import CDC_FIELDS, Table
from source_postgres.errors import ConnectorError
from source_postgres.pgoutput import Changes, Positions, Relation, Values
from source_postgres.snapshot import snapshot_of
from source_postgres.stream import ConfiguredStream, selected_columns
from source_postgres.types import INTEGER_OIDS, TEXT_OIDS

LSN, UPDATED_AT, DELETED_AT = CDC_FIELDS
#: Changes that ``_ab_cdc_lsn`` tells apart at one position of the log: its decimals.
LSN_SCALE = 10**9
#: Oids of types whose values read alike.
_ALIKE = INTEGER_OIDS | {postgres["numeric"].oid}, TEXT_OIDS

Mask = npt.NDArray[np.bool_]


class StreamChanges:
    """Makes the records of one stream.

    A change of the key becomes a deletion of the old key and a row with the new one. A large value that an update has
    left alone is not in the log; it is taken from the old row where the log has that (REPLICA IDENTITY FULL), else
    read from the table by its key, and never left NULL. The same goes for columns that the log does not have, such as
    generated ones, or has as another type, from before ALTER TABLE.

    Raises:
        ConnectorError: config_error for columns that the table lacks.
    """

    def __init__(
        self, stream: ConfiguredStream, table: Table, connection: Callable[[], psycopg.Connection[Any]]
    ) -> None:
        self._table = table
        self._connection = connection
        self.columns = tuple(
            Field(column.name, column.type)
            for column in selected_columns(stream, table)
            if column.name not in CDC_FIELDS
        )
        self.added = tuple(
            Field(name, kind) for name, kind in CDC_FIELDS.items() if not stream.columns or name in stream.columns
        )
        #: Rows that were gone before their unsent values could be read: a deletion of them follows in the log.
        self.superseded = 0

    def snapshot(self, batch: Batch, position: int, at: str) -> Batch:
        """Rows of the table itself as records; ``position`` of the log and moment of the snapshot they were read in."""
        rows = batch.rows
        added = {
            LSN: _positions(np.full(rows, position, np.uint64), np.zeros(rows, np.uint64)),
            UPDATED_AT: pa.repeat(pa.scalar(at), rows),
            DELETED_AT: pa.nulls(rows, pa.string()),
        }
        columns = [added[field.name] for field in self.added]
        return Batch(batch.fields + self.added, batch.columns + tuple(columns), batch.changes)

    def records(
        self,
        relation: Relation,
        messages: Sequence[memoryview],
        positions: Sequence[int],
        numbers: Sequence[int],
        times: Sequence[int],
        seen: Sequence[bool],
    ) -> Batch:
        """The records of changes, in order: of each the position and the number at it that make ``_ab_cdc_lsn``, and
        when it was committed, in microseconds since 2000. Of those that the snapshot has ``seen``, deletions alone.

        Raises:
            ConnectorError: config_error where the snapshot has not seen a change that the log does not tell by the key.
        """
        changes, unseen = Changes(relation, messages), ~np.array(seen, bool)
        told = self._told(changes)
        if (unseen & ~told).any():
            raise ConnectorError(
                f"The log holds changes of table {relation.namespace}.{relation.name} from when its primary key or its "
                f"replica identity was another than ({', '.join(self._table.primary_key)}), and does not tell which "
                "rows they were of; refresh the stream's data."
            )
        moved = self._moved(changes, told)
        rows = np.repeat(np.arange(changes.rows), 1 + moved)
        first_of_two = np.zeros(len(rows), bool)
        first_of_two[np.flatnonzero(moved) + np.arange(moved.sum())] = True
        gone = first_of_two | (changes.operations[rows] == pgoutput.DELETE)
        wanted = told[rows] & (gone | unseen[rows])
        rows, gone = rows[wanted], gone[wanted]
        values = [self._values(changes, field.name, rows, gone) for field in self.columns]
        texts = [changes.texts(column) for column in values]
        unsent = [column.kinds == pgoutput.UNCHANGED for column in values]
        kept = self._read_unsent(changes, texts, unsent, rows)
        at = _moments(np.array(times, np.int64)[rows])
        added = {
            LSN: _positions(np.array(positions, np.uint64)[rows], np.array(numbers, np.uint64)[rows]),
            UPDATED_AT: at,
            DELETED_AT: pc.if_else(pa.array(gone), at, pa.scalar(None, pa.string())),
        }
        columns = [*texts, *(added[field.name] for field in self.added)]
        if kept is not None:
            columns = [column.filter(kept) for column in columns]
        return from_texts(self.columns + self.added, columns)

    def _told(self, changes: Changes) -> Mask:
        """Which changes the log tells by the key that the table has now: before it had that, or under another replica
        identity, rows that are gone may have been named otherwise, or not at all."""
        relation, key = changes.relation, self._table.primary_key
        if not all(name in relation.columns and self._same_texts(relation, name) for name in key):
            return np.zeros(changes.rows, bool)
        if all(relation.identity[index] for index in self._key(relation)):
            return np.ones(changes.rows, bool)
        return changes.operations == pgoutput.INSERT

    def _same_texts(self, relation: Relation, name: str) -> bool:
        """Whether a key column's values read alike in its type of then and in that of now."""
        then, now = relation.types[relation.columns.index(name)], self._table.columns[name].type_id
        return then == now or any({then[0], now[0]} <= alike for alike in _ALIKE)

    def _moved(self, changes: Changes, told: Mask) -> Mask:
        """Which updates have changed the key."""
        moved = np.zeros(changes.rows, bool)
        candidates = np.flatnonzero(told & changes.has_old & (changes.operations == pgoutput.UPDATE))
        if not len(candidates):
            return moved
        for index in self._key(changes.relation):
            old, new = changes.old[index].take(candidates), changes.new[index].take(candidates)
            differs = pc.fill_null(pc.not_equal(changes.texts(old), changes.texts(new)), False)
            moved[candidates] |= differs.to_numpy(zero_copy_only=False)
        return moved

    def _key(self, relation: Relation) -> list[int]:
        return [relation.columns.index(name) for name in self._table.primary_key]

    def _holds(self, relation: Relation, name: str) -> bool:
        """Whether the log has the column as it is now: not from before it was added, or of another type."""
        if name not in relation.columns:
            return False
        # A key's value must be taken as it is, for it says which row to read.
        same = relation.types[relation.columns.index(name)] == self._table.columns[name].type_id
        return same or name in self._table.primary_key

    def _values(self, changes: Changes, name: str, rows: Positions, gone: Mask) -> Values:
        """A column of the records: old values where the row is gone, else new ones."""
        relation = changes.relation
        if not self._holds(relation, name):
            values = Values.of_kind(pgoutput.UNCHANGED, len(rows))
            values.kinds[gone] = pgoutput.NULL
            return values
        index = relation.columns.index(name)
        old, new = changes.old[index].take(rows), changes.new[index].take(rows)
        values = new.replaced(gone, old)
        # What is unsent is not NULL. Of a partition whose old rows are keys alone, the log may call them whole, for the
        # partitioned table's replica identity is FULL.
        return values.replaced((values.kinds == pgoutput.UNCHANGED) & (old.kinds == pgoutput.TEXT), old)

    def _read_unsent(
        self, changes: Changes, texts: list[pa.StringArray], unsent: list[Mask], rows: Positions
    ) -> pa.BooleanArray | None:
        """Fill in what the log has not sent, from the table; which records are left, None for all."""
        lacking = np.logical_or.reduce(unsent) if unsent else np.zeros(0, bool)
        if not lacking.any():
            return None
        wanted = np.flatnonzero(lacking)
        columns = [index for index, mask in enumerate(unsent) if mask.any()]
        found = self._by_key(changes, rows[wanted], [self.columns[index].name for index in columns])
        for place, index in enumerate(columns):
            mask = unsent[index]
            replacements = pa.array(
                [found[number][place] if number in found else None for number in np.flatnonzero(mask[wanted]).tolist()],
                pa.string(),
            )
            texts[index] = pc.replace_with_mask(texts[index], pa.array(mask), replacements)
        if len(found) == len(wanted):
            return None
        self.superseded += len(wanted) - len(found)
        kept = ~lacking
        kept[wanted[list(found)]] = True
        return pa.array(kept)

    def _by_key(self, changes: Changes, rows: Positions, names: list[str]) -> dict[int, tuple[str | None, ...]]:
        """The named columns as they are now, of the rows that changes ``rows`` left, by number in ``rows``."""
        keys = []
        for index in self._key(changes.relation):
            new, old = changes.new[index].take(rows), changes.old[index].take(rows)
            keys.append(changes.texts(new.replaced(new.kinds == pgoutput.UNCHANGED, old)).to_pylist())
        statement = query.copy_by_key(self._table, names, keys)
        connection = self._connection()
        with (
            snapshot_of(connection, self._table),
            connection.cursor() as cursor,
            cursor.copy(statement.encode()) as copy,
        ):
            return {int(row[0]) - 1: row[1:] for row in copy.rows()}


def _positions(positions: npt.NDArray[np.uint64], numbers: npt.NDArray[np.uint64]) -> pa.Decimal128Array:
    """``position + number·10⁻⁹`` exactly: 128-bit integers made of 64-bit ones."""
    scale, half, low_half = np.uint64(LSN_SCALE), np.uint64(32), np.uint64(0xFFFFFFFF)
    upper = (positions >> half) * scale
    lower = (positions & low_half) * scale + numbers
    low = (upper << half) + lower
    high = (upper >> half) + (low < lower)
    buffer = pa.py_buffer(np.column_stack((low, high)).astype("<u8").tobytes())
    kind = CDC_FIELDS[LSN]
    return pa.Decimal128Array.from_buffers(pa.decimal128(kind.precision, kind.scale), len(positions), [None, buffer])


def _moments(times: npt.NDArray[np.int64]) -> pa.StringArray:
    """Microseconds since 2000 as in a record. Changes come in few transactions: each moment is written once."""
    moments, places = np.unique(times, return_inverse=True)
    texts = np.datetime_as_string(np.datetime64("2000-01-01", "us") + moments, unit="us")
    return pa.array([f"{text}Z" for text in texts.tolist()], pa.string()).take(pa.array(places))
