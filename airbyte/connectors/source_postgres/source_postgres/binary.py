"""Rows of COPY … (FORMAT binary) to Arrow arrays, by ``copy_binary.c``."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from source_postgres.copying import Block
from source_postgres.decode import Decoded, arrow_type
from source_postgres.types import ColumnType

#: ``enum kind`` of copy_binary.c by :attr:`ColumnType.binary`; any other is text.
_KINDS = {
    "bool": 0,
    "int2": 1,
    "int4": 2,
    "oid": 3,
    "int8": 4,
    "float8": 5,
    "numeric": 6,
    "date": 7,
    "timestamp": 8,
    "timestamptz": 8,
    "uuid": 9,
    "jsonb": 11,
}
_TEXT = 10
_TEXTS = (9, 10, 11)
_MICROSECONDS_A_DAY = 86_400_000_000
#: Days from 1970 to 2000, where Postgres's time begins.
_EPOCH = 10957


class _Column(ctypes.Structure):
    """``struct column`` of copy_binary.c."""

    _fields_ = [
        ("kind", ctypes.c_int32),
        ("precision", ctypes.c_int32),
        ("scale", ctypes.c_int32),
        ("extraordinary", ctypes.c_int32),
        ("text_bytes", ctypes.c_int64),
        ("nulls", ctypes.c_int64),
        ("lost", ctypes.c_int64),
        ("valid", ctypes.c_void_p),
        ("gone", ctypes.c_void_p),
        ("values", ctypes.c_void_p),
        ("offsets", ctypes.c_void_p),
    ]


def arrays(library: ctypes.CDLL, types: Sequence[ColumnType], block: Block) -> list[Decoded]:
    """Each column as :func:`arrow_type` has it, or as text, and which of its values that type does not hold."""
    data = np.frombuffer(block, np.uint8)
    columns = (_Column * len(types))()
    for column, of in zip(columns, types, strict=True):
        column.kind = _KINDS.get(of.binary or "", _TEXT)
        column.precision, column.scale = of.precision, of.scale
    given = ctypes.c_void_p(data.ctypes.data), ctypes.c_int64(len(data)), columns, ctypes.c_int32(len(types))
    rows = library.measure(*given)
    if rows < 0:
        raise AssertionError("Postgres has sent other columns than were asked for.")
    buffers = [_Buffers(column, arrow_type(of), rows) for column, of in zip(columns, types, strict=True)]
    library.decode(*given, ctypes.c_int64(rows))
    return [each.decoded(of) for each, of in zip(buffers, types, strict=True)]


class _Buffers:
    """What a column is decoded into."""

    def __init__(self, column: Any, arrow: pa.DataType, rows: int) -> None:
        self._column, self._rows = column, rows
        self._type = pa.string() if column.kind in _TEXTS else arrow
        self._valid = np.zeros((rows + 7) // 8, np.uint8)
        self._gone = np.zeros_like(self._valid)
        self._offsets = None
        if column.kind in _TEXTS:
            self._offsets = np.empty(rows + 1, np.int32)
            self._values = np.empty(column.text_bytes, np.uint8)
            column.offsets = self._offsets.ctypes.data
        elif pa.types.is_boolean(self._type):
            self._values = np.zeros_like(self._valid)
        else:
            self._values = np.empty(rows * self._type.byte_width, np.uint8)
        column.valid, column.gone, column.values = (
            each.ctypes.data for each in (self._valid, self._gone, self._values)
        )

    def decoded(self, of: ColumnType) -> Decoded:
        column, rows = self._column, self._rows
        valid = pa.py_buffer(self._valid) if column.nulls else None
        between = [] if self._offsets is None else [pa.py_buffer(self._offsets)]
        values = pa.Array.from_buffers(
            self._type, rows, [valid, *between, pa.py_buffer(self._values)], null_count=column.nulls
        )
        lost = pa.Array.from_buffers(pa.bool_(), rows, [None, pa.py_buffer(self._gone)]) if column.lost else None
        return _texts(of, values) if column.extraordinary else values, lost


def _texts(of: ColumnType, values: pa.Array) -> pa.StringArray:
    """Dates or timestamps as Postgres's texts."""
    numbers = np.frombuffer(values.buffers()[1], np.int32 if of.kind == "date" else np.int64).astype(np.int64)
    if of.kind == "date":
        days, times = numbers, [""] * len(numbers)
    else:
        # Back to Postgres's own count: from 1970 the last thirty years of its range overflow.
        days, moments = np.divmod(numbers - _EPOCH * _MICROSECONDS_A_DAY, _MICROSECONDS_A_DAY)
        days = days + _EPOCH
        zone = "+00" if of.kind == "timestamptz" else ""
        times = [f" {text[11:]}{zone}" for text in np.datetime_as_string(moments.view("M8[us]"))]
    years = days.view("M8[D]").astype("M8[Y]").astype(np.int64) + 1970
    months = [text[-6:] for text in np.datetime_as_string(days.view("M8[D]"))]
    texts = [
        f"{year if year > 0 else 1 - year:04}{month}{time}{'' if year > 0 else ' BC'}"
        for year, month, time in zip(years.tolist(), months, times, strict=True)
    ]
    return pa.array(texts, pa.string(), mask=~values.is_valid().to_numpy(zero_copy_only=False))
