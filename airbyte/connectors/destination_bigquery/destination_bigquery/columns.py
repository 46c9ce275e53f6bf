"""A column at a time: Arrow arrays as BigQuery's types hold them.

Whole arrays are cast and their limits looked at; only an array that holds a value which does not fit as it is gets its
values looked at one by one (:mod:`destination_bigquery.values`).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from destination_bigquery.channel import Frame
from destination_bigquery.errors import ConnectorError
from destination_bigquery.values import MAX_JSON_DEPTH, MAX_TEXT_BYTES, NUMERIC_LIMIT, coerce, coerce_json_text

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
#: A number that may lie beyond binary floats, or is none in JSON though Arrow's reader takes it.
_STRANGE_NUMBER = r"(?:^|[\[,:\s])-?(?:[0-9.]+[eE]\+?[0-9]{3}|(?:NaN|Inf(?:inity)?)\s*(?:$|[,\]}]))|[0-9]{100}"
_FIRST_DAY = datetime.date(1, 1, 1)
_LAST_DAY = datetime.date(9999, 12, 31)
_FIRST_MOMENT = datetime.datetime(1, 1, 1)
_LAST_MOMENT = datetime.datetime(9999, 12, 31, 23, 59, 59, 999999)

Change = dict[str, str]


def read_frame(frame: Frame) -> pa.Table:
    """The rows of a frame.

    Raises:
        ConnectorError: system_error for a body that is no Arrow IPC stream, or has other rows than the header says.
    """
    try:
        table = pa.ipc.open_stream(frame.body).read_all()
    except pa.ArrowInvalid as error:
        raise ConnectorError(
            f"Frame {frame.seq} of stream {frame.stream!r} is no Arrow stream: {error}", "system_error"
        ) from error
    if table.num_rows != frame.rows:
        raise ConnectorError(
            f"Frame {frame.seq} of stream {frame.stream!r} holds {table.num_rows} rows; its header says {frame.rows}.",
            "system_error",
        )
    return table


def fit(array: pa.Array, bigquery_type: str) -> tuple[pa.Array, dict[int, tuple[str, str]]]:
    """A frame's ``array`` as ``bigquery_type`` holds it, and (change, reason) by row where that is less."""
    if array.null_count == len(array):
        return pa.nulls(len(array), ARROW_TYPES[bigquery_type]), {}
    try:
        return plain(_narrowed(array, bigquery_type), bigquery_type), {}
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return _each(array, bigquery_type)


def plain(array: pa.Array, bigquery_type: str) -> pa.Array:
    """``array``, of the type's Arrow type or of texts, as that type's.

    Raises:
        ArrowInvalid, ArrowNotImplementedError: if any value needs a closer look.
    """
    return _CHECKS[bigquery_type](array)


def _narrowed(array: pa.Array, bigquery_type: str) -> pa.Array:
    kind = array.type
    if pa.types.is_large_string(kind) or pa.types.is_dictionary(kind) or pa.types.is_string_view(kind):
        array = array.cast(pa.string())
        kind = array.type
    if pa.types.is_timestamp(kind) and (kind.tz is None) != (bigquery_type == "DATETIME"):
        raise pa.ArrowInvalid("a moment for a wall time, or the reverse")
    if bigquery_type == "JSON":
        return _valid_json(array)
    if bigquery_type == "STRING" and not pa.types.is_string(kind):
        raise pa.ArrowInvalid("not a text")
    return array


def _valid_json(array: pa.Array) -> pa.Array:
    """Texts that are all JSON: Arrow's reader goes through them without building anything."""
    texts = array.drop_null()
    if pc.any(pc.match_substring(texts, "\n")).as_py():
        raise pa.ArrowInvalid("line ends separate the texts here")
    lines = pc.binary_join_element_wise('{"v":', texts, "}\n", "")
    joined = b"".join(lines.to_pylist()) if pa.types.is_binary(lines.type) else _characters(lines)
    options = pj.ParseOptions(explicit_schema=pa.schema([]), unexpected_field_behavior="ignore")
    longest = pc.max(pc.binary_length(lines)).as_py() or 0
    found = pj.read_json(pa.BufferReader(joined), pj.ReadOptions(block_size=max(1 << 20, longest + 1)), options)
    if found.num_rows != len(texts):
        raise pa.ArrowInvalid("a text holds not one JSON value")
    return array


def _characters(array: pa.Array) -> pa.Buffer:
    _, offsets, characters = array.buffers()
    bounds = pa.Array.from_buffers(pa.int32(), len(array) + 1, [None, offsets], offset=array.offset)
    first, last = bounds[0].as_py(), bounds[len(array)].as_py()
    return characters.slice(first, last - first)


def _each(array: pa.Array, bigquery_type: str) -> tuple[pa.Array, dict[int, tuple[str, str]]]:
    convert = coerce_json_text if bigquery_type == "JSON" and _is_text(array.type) else coerce
    values: list[Any] = []
    changes = {}
    for row, scalar in enumerate(array):
        value, change = convert(_python(scalar), bigquery_type)
        values.append(value)
        if change:
            changes[row] = change
    return pa.array(values, ARROW_TYPES[bigquery_type]), changes


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _python(scalar: pa.Scalar) -> Any:
    """The value as it would be in a JSON record."""
    kind = scalar.type
    if not scalar.is_valid:
        return None
    if pa.types.is_temporal(kind):
        # Arrow writes years beyond 9999 with more digits and those before 1 with a sign, which Python's types lack.
        text = scalar.cast(pa.string()).as_py()
        return text.replace(" ", "T", 1) if pa.types.is_timestamp(kind) else text
    return scalar.as_py()


def _numeric(array: pa.Array) -> pa.Array:
    if pa.types.is_floating(array.type):
        array = array.cast(pa.string())
    kind = array.type
    if pa.types.is_decimal(kind) and 0 <= kind.scale <= 9 and kind.precision - kind.scale < 29:
        # Every value fits. Fewer digits make a smaller file, and load jobs take any such decimal into a NUMERIC.
        return array
    cast = array.cast(ARROW_TYPES["NUMERIC"])
    return _within(cast, -NUMERIC_LIMIT, NUMERIC_LIMIT, exclusive=True)


def _integer(array: pa.Array) -> pa.Array:
    if pa.types.is_floating(array.type) or pa.types.is_boolean(array.type):
        raise pa.ArrowInvalid("not an integer")
    return array.cast(pa.int64())


def _boolean(array: pa.Array) -> pa.Array:
    if not pa.types.is_boolean(array.type):
        raise pa.ArrowInvalid("not a boolean")
    return array


def _text(array: pa.Array) -> pa.Array:
    longest = pc.max(pc.binary_length(array)).as_py()
    if longest is not None and longest > MAX_TEXT_BYTES:
        raise pa.ArrowInvalid("a text is too long")
    return array


def _json(array: pa.Array) -> pa.Array:
    """Texts of JSON. Numbers and depths that BigQuery refuses are rare enough to suspect them generously."""
    longest = pc.max(pc.binary_length(array)).as_py() or 0
    deep = longest > 2 * MAX_JSON_DEPTH and pc.max(pc.count_substring_regex(array, r"[\[{]")).as_py() > MAX_JSON_DEPTH
    if deep or pc.any(pc.match_substring_regex(array, _STRANGE_NUMBER)).as_py():
        raise pa.ArrowInvalid("a JSON value may be beyond BigQuery's limits")
    return _text(array)


def _timestamp(array: pa.Array) -> pa.Array:
    cast = array.cast(_MICROSECONDS_UTC)
    _within(cast.cast(_MICROSECONDS), _FIRST_MOMENT, _LAST_MOMENT)
    return cast


def _within(array: pa.Array, low: Any, high: Any, exclusive: bool = False) -> pa.Array:
    limits = pc.min_max(array)
    try:
        least, most = limits["min"].as_py(), limits["max"].as_py()
    except (OverflowError, ValueError) as error:  # beyond Python's years, which are BigQuery's
        raise pa.ArrowInvalid("a value is out of range") from error
    if least is not None and (least < low or most > high or (exclusive and (least == low or most == high))):
        raise pa.ArrowInvalid("a value is out of range")
    return array


def _times(array: pa.Array) -> pa.Array:
    if pa.types.is_time(array.type):
        return array.cast(ARROW_TYPES["TIME"])
    pairs = [coerce(value, "TIME") for value in array.to_pylist()]
    if any(change for _, change in pairs):
        raise pa.ArrowInvalid("a time is not one")
    return pa.array([value for value, _ in pairs], ARROW_TYPES["TIME"])


_CHECKS: dict[str, Callable[[pa.Array], pa.Array]] = {
    "STRING": _text,
    "JSON": _json,
    "INT64": _integer,
    "NUMERIC": _numeric,
    "BOOL": _boolean,
    "DATE": lambda array: _within(array.cast(pa.date32()), _FIRST_DAY, _LAST_DAY),
    "DATETIME": lambda array: _within(array.cast(_MICROSECONDS), _FIRST_MOMENT, _LAST_MOMENT),
    "TIMESTAMP": _timestamp,
    "TIME": _times,
}
