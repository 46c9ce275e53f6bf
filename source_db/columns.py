"""Columns: numpy arrays in, Arrow arrays out, in the shapes that ``COPY`` takes.

Instants are int64 microseconds since 1970 in UTC, money is int64 hundredths of its currency, identifiers are
``(n, 16)`` uint8. :data:`NEVER` stands for an instant that does not come and becomes NULL.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

NEVER = int(np.iinfo(np.int64).max)
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_HEX = np.frombuffer(b"".join(b"%02x" % byte for byte in range(256)), dtype=np.uint8).reshape(256, 2)
_UUID_HEX_POSITIONS = np.array([i for i in range(36) if i not in (8, 13, 18, 23)])


def day_start(day: date) -> int:
    """The instant at which ``day`` begins in UTC."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * SECOND


def make_ids(seed: int, scope: str, count: int, start: int = 0) -> Bytes:
    """UUIDs (version 4 layout) of rows ``start`` to ``start + count`` of ``scope``: equal for equal arguments.

    Both halves are SplitMix64 (https://prng.di.unimi.it/splitmix64.c), a bijection of the row number, so ids of one
    scope never repeat but for the six bits that the layout takes.
    """
    keys = np.frombuffer(hashlib.blake2b(f"{seed}:{scope}".encode(), digest_size=16).digest(), dtype=np.uint64)
    rows = np.arange(start, start + count, dtype=np.uint64)[:, None]
    x = keys[None, :] + (rows + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    ids = (x ^ (x >> np.uint64(31))).view(np.uint8).reshape(count, 16).copy()
    ids[:, 6] = (ids[:, 6] & 0x0F) | 0x40
    ids[:, 8] = (ids[:, 8] & 0x3F) | 0x80
    return ids


def ids_from(values: Iterable[uuid.UUID]) -> Bytes:
    """Identifiers read from the database, as an ``(n, 16)`` array."""
    return np.frombuffer(b"".join(value.bytes for value in values), dtype=np.uint8).reshape(-1, 16)


def _fixed_width(characters: Bytes, null: Bools | None) -> pa.Array:
    count, width = characters.shape
    offsets = pa.py_buffer(np.arange(0, (count + 1) * width, width, dtype=np.int32))
    text = pa.StringArray.from_buffers(count, offsets, pa.py_buffer(np.ascontiguousarray(characters)))
    return blank(text, null)


def uuids(ids: Bytes, null: Bools | None = None) -> pa.Array:
    """Identifiers as text, NULL where ``null``."""
    characters = np.full((len(ids), 36), ord("-"), dtype=np.uint8)
    characters[:, _UUID_HEX_POSITIONS] = _HEX[ids].reshape(len(ids), 32)
    return _fixed_width(characters, null)


def tokens(prefix: str, ids: Bytes, null: Bools | None = None) -> pa.Array:
    """``prefix`` and 24 hexadecimal digits, as payment providers write their references."""
    head = np.tile(np.frombuffer(prefix.encode(), dtype=np.uint8), (len(ids), 1))
    return _fixed_width(np.hstack([head, _HEX[ids[:, 4:]].reshape(len(ids), 24)]), null)


def blank(column: pa.Array, null: Bools | None) -> pa.Array:
    """``column`` with NULL where ``null``."""
    if null is None:
        return column
    return pc.if_else(pa.array(null), pa.scalar(None, column.type), column)


def pick(pool: pa.Array, index: npt.NDArray[np.integer[Any]], null: Bools | None = None) -> pa.Array:
    """``pool[index]``, NULL where ``null``; ``index`` may be -1 there."""
    return pool.take(pa.array(index, mask=null))


def spread(pool: pa.Array, chosen: Bools, others: pa.Array) -> pa.Array:
    """``pool``'s values in turn where ``chosen``, so that each occurs once there are enough; elsewhere ``others``."""
    return pc.if_else(pa.array(chosen), pool.take(pa.array(np.cumsum(chosen) % len(pool))), others)


def integers(values: npt.NDArray[np.integer[Any]], null: Bools | None = None) -> pa.Array:
    return pa.array(values, mask=null)


def flags(values: Bools) -> pa.Array:
    return pa.array(values)


def instants(values: Ints, null: Bools | None = None) -> pa.Array:
    """timestamptz; NULL where ``null`` or NEVER."""
    missing = values == NEVER
    return pa.array(values, mask=missing if null is None else missing | null).cast(pa.timestamp("us", "UTC"))


def wall_times(values: Ints) -> pa.Array:
    """timestamp without a zone, in UTC; NULL where NEVER."""
    return pa.array(values, mask=values == NEVER).cast(pa.timestamp("us"))


def money(hundredths: Ints, null: Bools | None = None) -> pa.Array:
    """numeric with two decimals, exactly."""
    words = np.stack([hundredths, hundredths >> 63], axis=1)
    column = pa.Array.from_buffers(
        pa.decimal128(18, 2), len(hundredths), [None, pa.py_buffer(np.ascontiguousarray(words))]
    )
    return blank(column, null)


def join(*parts: pa.Array | str) -> pa.Array:
    """Texts side by side; NULL where a part is NULL."""
    return pc.binary_join_element_wise(
        *(part if isinstance(part, str) else part.cast(pa.string()) for part in parts), ""
    )
