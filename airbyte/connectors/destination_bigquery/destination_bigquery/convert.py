"""RECORD lines to an Arrow table, typed as the stage table that it is loaded into.

Arrow's JSON reader parses a whole chunk at once, decimals exactly. It refuses a chunk that holds any value which is not
plainly of its column's type; such a chunk is gone through value by value instead (:mod:`destination_bigquery.values`).
"""

from __future__ import annotations

import datetime
import io
import json
import os
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from destination_bigquery.catalog import EXTRACTED_AT, GENERATION_ID, META, RAW_ID, Column, Stream
from destination_bigquery.values import NUMERIC_LIMIT, coerce, json_text

#: Orders the rows of one chunk; in the stage table only.
SEQUENCE = "_airbyte_sequence"

_MICROSECONDS = pa.timestamp("us")
_MICROSECONDS_UTC = pa.timestamp("us", tz="UTC")
#: Arrow types by BigQuery type. JSON travels as text: load jobs take no JSON column from Parquet
#: (https://github.com/googleapis/python-bigquery/issues/1966), so it is parsed on the way from the stage table.
ARROW_TYPES: dict[str, pa.DataType] = {
    "STRING": pa.string(),
    "INT64": pa.int64(),
    "NUMERIC": pa.decimal128(38, 9),
    "BOOL": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMP": _MICROSECONDS_UTC,
    "DATETIME": _MICROSECONDS,
    "TIME": pa.time64("us"),
    "JSON": pa.string(),
}
_READ_AS_IS = ("STRING", "INT64", "NUMERIC", "BOOL")
_CHANGES = pa.list_(pa.struct([("field", pa.string()), ("change", pa.string()), ("reason", pa.string())]))
_FIRST_DAY = datetime.date(1, 1, 1)
_LAST_DAY = datetime.date(9999, 12, 31)
_FIRST_MOMENT = datetime.datetime(1, 1, 1)
_LAST_MOMENT = datetime.datetime(9999, 12, 31, 23, 59, 59, 999999)

Change = dict[str, str]


def to_arrow(lines: Sequence[bytes], stream: Stream) -> pa.Table:
    """RECORD messages of ``stream``, one a line, as rows of its stage table, in order.

    Values that BigQuery cannot hold are null (or rounded), and named in the row's ``_airbyte_meta``.
    """
    try:
        columns, emitted_at, changes = _parse_chunk(lines, stream)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, orjson.JSONDecodeError):
        columns, emitted_at, changes = _parse_each(lines, stream)
    rows = len(lines)
    arrays = {
        RAW_ID: _uuids(rows),
        EXTRACTED_AT: pc.cast(emitted_at, pa.timestamp("ms", tz="UTC")).cast(_MICROSECONDS_UTC),
        META: _meta(changes, rows, stream),
        GENERATION_ID: pa.repeat(pa.scalar(stream.generation_id, pa.int64()), rows),
        **columns,
        SEQUENCE: pa.array(range(rows), pa.int64()),
    }
    return pa.table(arrays)


Parsed = tuple[dict[str, pa.Array], pa.Array, dict[int, list[Change]]]


def _parse_chunk(lines: Sequence[bytes], stream: Stream) -> Parsed:
    """All lines at once.

    Raises:
        ArrowInvalid, ArrowNotImplementedError, JSONDecodeError: if a value needs a closer look.
    """
    plain = [column for column in stream.columns if column.type != "JSON"]
    types = [
        pa.field(column.field, ARROW_TYPES[column.type] if column.type in _READ_AS_IS else pa.string())
        for column in plain
    ]
    record = pa.struct(
        [("data", pa.struct(types)), ("emitted_at", pa.int64()), ("meta", pa.struct([("changes", _CHANGES)]))]
    )
    table = pj.read_json(
        io.BytesIO(b"".join(lines)),
        # A line must fit into two blocks.
        pj.ReadOptions(block_size=max(1 << 20, max(map(len, lines)) + 1)),
        pj.ParseOptions(explicit_schema=pa.schema([("record", record)]), unexpected_field_behavior="ignore"),
    )
    parsed = table.column("record").combine_chunks()
    if len(parsed) != len(lines):
        raise pa.ArrowInvalid("a line does not hold one message")
    data = parsed.field("data")
    columns = {column.name: _checked(data.field(column.field), column.type) for column in plain}
    if len(plain) < len(stream.columns):
        columns |= _json_columns(lines, stream)
    changes = {}
    incoming = parsed.field("meta").field("changes")
    if incoming.null_count < len(lines):
        changes = {row: listed for row, listed in enumerate(incoming.to_pylist()) if listed}
    return {column.name: columns[column.name] for column in stream.columns}, parsed.field("emitted_at"), changes


def _checked(array: pa.Array, bigquery_type: str) -> pa.Array:
    """``array`` cast to its Arrow type, all values within BigQuery's limits, or ArrowInvalid."""
    convert = _CHECKS.get(bigquery_type)
    return convert(array) if convert else array


def _numeric(array: pa.Array) -> pa.Array:
    return _within(array, -NUMERIC_LIMIT, NUMERIC_LIMIT, exclusive=True)


def _timestamp(array: pa.Array) -> pa.Array:
    cast = array.cast(_MICROSECONDS_UTC)
    _within(cast.cast(_MICROSECONDS), _FIRST_MOMENT, _LAST_MOMENT)
    return cast


def _within(array: pa.Array, low: Any, high: Any, exclusive: bool = False) -> pa.Array:
    limits = pc.min_max(array)
    try:
        least, most = limits["min"].as_py(), limits["max"].as_py()
    except OverflowError as error:  # beyond Python's years, which are BigQuery's
        raise pa.ArrowInvalid("a value is out of range") from error
    if least is not None and (least < low or most > high or (exclusive and (least == low or most == high))):
        raise pa.ArrowInvalid("a value is out of range")
    return array


def _times(array: pa.Array) -> pa.Array:
    pairs = [coerce(value, "TIME") for value in array.to_pylist()]
    if any(change for _, change in pairs):
        raise pa.ArrowInvalid("a time is not one")
    return pa.array([value for value, _ in pairs], ARROW_TYPES["TIME"])


_CHECKS: dict[str, Callable[[pa.Array], pa.Array]] = {
    "NUMERIC": _numeric,
    "DATE": lambda array: _within(array.cast(pa.date32()), _FIRST_DAY, _LAST_DAY),
    "DATETIME": lambda array: _within(array.cast(_MICROSECONDS), _FIRST_MOMENT, _LAST_MOMENT),
    "TIMESTAMP": _timestamp,
    "TIME": _times,
}


def _json_columns(lines: Sequence[bytes], stream: Stream) -> dict[str, pa.Array]:
    records = [orjson.loads(line)["record"]["data"] for line in lines]
    return {
        column.name: pa.array([_json_or_null(data.get(column.field)) for data in records], pa.string())
        for column in stream.columns
        if column.type == "JSON"
    }


def _json_or_null(value: Any) -> str | None:
    return None if value is None else json_text(value)


def _parse_each(lines: Sequence[bytes], stream: Stream) -> Parsed:
    """Line by line and value by value."""
    values: dict[str, list[Any]] = {column.name: [] for column in stream.columns}
    emitted_at = []
    changes: dict[int, list[Change]] = {}
    for row, line in enumerate(lines):
        record = json.loads(line, parse_float=Decimal, parse_constant=lambda _: None)["record"]
        data = record["data"]
        listed = list((record.get("meta") or {}).get("changes") or [])
        for column in stream.columns:
            value, change = coerce(data.get(column.field), column.type)
            values[column.name].append(value)
            if change:
                listed.append({"field": column.field, "change": change[0], "reason": change[1]})
        emitted_at.append(int(record["emitted_at"]))
        if listed:
            changes[row] = listed
    arrays = {column.name: _array(values[column.name], column) for column in stream.columns}
    return arrays, pa.array(emitted_at, pa.int64()), changes


def _array(values: list[Any], column: Column) -> pa.Array:
    return pa.array(values, ARROW_TYPES[column.type])


def _meta(changes: dict[int, list[Change]], rows: int, stream: Stream) -> pa.Array:
    unchanged = json_text({"sync_id": stream.sync_id, "changes": []})
    if not changes:
        return pa.repeat(pa.scalar(unchanged, pa.string()), rows)
    texts = [
        json_text({"sync_id": stream.sync_id, "changes": changes[row]}) if row in changes else unchanged
        for row in range(rows)
    ]
    return pa.array(texts, pa.string())


def _uuids(count: int) -> pa.Array:
    """Random version 4 UUIDs."""
    digits = os.urandom(16 * count).hex()
    variants = "89ab"
    return pa.array(
        [
            f"{h[:8]}-{h[8:12]}-4{h[13:16]}-{variants[int(h[16], 16) & 3]}{h[17:20]}-{h[20:]}"
            for h in (digits[start : start + 32] for start in range(0, 32 * count, 32))
        ],
        pa.string(),
    )
