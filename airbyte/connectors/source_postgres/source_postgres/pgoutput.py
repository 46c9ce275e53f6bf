"""The messages of Postgres's output plugin pgoutput (version 1), many at a time.

https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html

Changes of one relation are decoded column by column with numpy: where each value begins in the joined messages, how
long it is and of which kind.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from source_postgres.replication import DATA_HEADER

BEGIN, COMMIT, RELATION, TRUNCATE = b"BCRT"
INSERT, UPDATE, DELETE = b"IUD"
#: Kinds of values in a tuple: a text, NULL, and a large value that an update has left as it was and that is not sent.
TEXT, NULL, UNCHANGED = b"tnu"
#: What precedes a tuple: an old one's key, an old one whole, a new one.
_OLD_KEY, _OLD_ROW = _OLD_KEY_OR_ROW = b"KO"
#: Bytes of values above which slices are joined rather than gathered one by one.
_LONG = 64

_BEGIN = struct.Struct("!QqI")
_COMMIT = struct.Struct("!BQQq")
_UINT32 = struct.Struct("!I")
_TYPE = struct.Struct("!Ii")

Positions = npt.NDArray[np.int64]
Kinds = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Transaction:
    """``lsn``: where its commit is in the log; ``at``: when, in microseconds since 2000; ``xid``: 32 bits."""

    lsn: int
    at: int
    xid: int


@dataclass(frozen=True)
class Relation:
    """A table as it was when it was changed. ``identity``: which of its columns are in an old row's key; ``types``:
    their oids and modifiers."""

    oid: int
    namespace: str
    name: str
    columns: tuple[str, ...]
    identity: tuple[bool, ...]
    types: tuple[tuple[int, int], ...]


def begin(message: memoryview) -> Transaction:
    return Transaction(*_BEGIN.unpack_from(message, DATA_HEADER + 1))


def commit_end(message: memoryview) -> int:
    """The position behind a commit."""
    return int(_COMMIT.unpack_from(message, DATA_HEADER + 1)[2])


def relation_oid(message: memoryview) -> int:
    """Of a change."""
    return int(_UINT32.unpack_from(message, DATA_HEADER + 1)[0])


def may_leave_a_key(message: memoryview) -> bool:
    """Whether a change is a deletion, or an update that comes with its old row, as those do that change the key."""
    return message[DATA_HEADER + 5] in _OLD_KEY_OR_ROW


def truncated(message: memoryview) -> tuple[int, ...]:
    """The relations that a TRUNCATE has emptied."""
    count = _UINT32.unpack_from(message, DATA_HEADER + 1)[0]
    return struct.unpack_from(f"!{count}I", message, DATA_HEADER + 6)


def relation(message: memoryview) -> Relation:
    body = bytes(message[DATA_HEADER + 1 :])
    oid = _UINT32.unpack_from(body)[0]
    namespace, _, rest = body[4:].partition(b"\0")
    name, _, rest = rest.partition(b"\0")
    count = struct.unpack_from("!H", rest, 1)[0]
    rest = rest[3:]
    columns, identity, types = [], [], []
    for _ in range(count):
        column, _, tail = rest[1:].partition(b"\0")
        columns.append(column.decode())
        identity.append(bool(rest[0] & 1))
        types.append(_TYPE.unpack_from(tail))
        rest = tail[8:]
    # The namespace pg_catalog is sent as nothing.
    return Relation(
        oid, namespace.decode() or "pg_catalog", name.decode(), tuple(columns), tuple(identity), tuple(types)
    )


@dataclass(frozen=True)
class Values:
    """One column's values of some rows: of which kind, where in the joined messages, how long."""

    kinds: Kinds
    starts: Positions
    lengths: Positions

    def take(self, rows: Positions) -> Values:
        return Values(self.kinds[rows], self.starts[rows], self.lengths[rows])

    def replaced(self, where: npt.NDArray[np.bool_], other: Values) -> Values:
        return Values(
            np.where(where, other.kinds, self.kinds),
            np.where(where, other.starts, self.starts),
            np.where(where, other.lengths, self.lengths),
        )

    @classmethod
    def of_kind(cls, kind: int, rows: int) -> Values:
        zeros = np.zeros(rows, np.int64)
        return cls(np.full(rows, kind, np.uint8), zeros, zeros)


class Changes:
    """Insertions, updates and deletions of ``relation``, in order.

    ``operations``: INSERT, UPDATE or DELETE; ``old`` and ``new`` by column: the row before and after. An old row may be
    missing (``has_old``) or its key only; its other values are then NULL, as a deletion's new ones.
    """

    def __init__(self, relation: Relation, messages: Sequence[memoryview]) -> None:
        self.relation = relation
        self.rows = len(messages)
        sizes = np.fromiter(map(len, messages), np.int64, self.rows)
        starts = np.cumsum(sizes) - sizes
        # Four bytes more: a length may be looked for behind the last value.
        self._joined = b"".join([*messages, bytes(4)])
        self._data = np.frombuffer(self._joined, np.uint8)
        self.operations: Kinds = self._data[starts + DATA_HEADER]
        tuples = starts + DATA_HEADER + 5
        before = self._data[tuples]
        self.has_old = (before == _OLD_KEY) | (before == _OLD_ROW)
        self.old, ends = self._tuples(tuples, self.has_old)
        self.new, _ = self._tuples(np.where(self.has_old, ends, tuples), self.operations != DELETE)

    def _tuples(self, at: Positions, present: npt.NDArray[np.bool_]) -> tuple[list[Values], Positions]:
        """The values of the tuples that begin at ``at`` (with the byte before them), and where each tuple ends."""
        data = self._data
        columns = []
        positions = at[present] + 3
        for _ in self.relation.columns:
            kinds = data[positions]
            texts = kinds == TEXT
            lengths = np.zeros(len(positions), np.int64)
            for byte in range(1, 5):
                lengths = lengths << 8 | data[np.minimum(positions + byte, len(data) - 1)]
            lengths[~texts] = 0
            values = Values.of_kind(NULL, self.rows)
            values.kinds[present] = kinds
            spread = np.zeros(self.rows, np.int64), np.zeros(self.rows, np.int64)
            spread[0][present], spread[1][present] = positions + 5, lengths
            columns.append(Values(values.kinds, *spread))
            positions = positions + np.where(texts, 5 + lengths, 1)
        ends = at.copy()
        ends[present] = positions
        return columns, ends

    def texts(self, values: Values) -> pa.StringArray:
        """The values themselves; NULL and unchanged ones are null.

        Raises:
            pyarrow.ArrowInvalid: for a text that is no UTF-8, which a database of encoding SQL_ASCII may hold.
        """
        ends = np.cumsum(values.lengths)
        total = int(ends[-1]) if len(ends) else 0
        offsets = np.zeros(len(ends) + 1, np.int32)
        offsets[1:] = ends
        buffer: pa.Buffer
        if total > _LONG * len(ends):
            whole = memoryview(self._joined)
            slices = zip(values.starts.tolist(), values.lengths.tolist(), strict=True)
            buffer = pa.py_buffer(b"".join([whole[start : start + length] for start, length in slices]))
        else:
            gathered = np.repeat(values.starts - offsets[:-1], values.lengths) + np.arange(total)
            buffer = pa.py_buffer(self._data[gathered])
        valid = pa.py_buffer(np.packbits(values.kinds == TEXT, bitorder="little"))
        array = pa.BinaryArray.from_buffers(pa.binary(), len(ends), [valid, pa.py_buffer(offsets), buffer])
        return array.cast(pa.string())
