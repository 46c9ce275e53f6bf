"""From Postgres's text of a column to Arrow values: the one place where values are decoded.

A value that no record can hold (NaN, infinity) becomes null and is reported as lost. A column travels typed where
Arrow's type holds every value of it, and otherwise, in the batches concerned, as the text it has in a JSON record: that
is how years before Christ or past 9999 get through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from source_postgres import texts
from source_postgres.types import ColumnType

#: An array, and which of its values were lost (None: none was).
Decoded = tuple[pa.Array, pa.BooleanArray | None]

_TEMPORAL = {
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
}
_NOT_FINITE = pa.array(["NaN", "Infinity", "-Infinity", "infinity", "-infinity"])


def arrow_type(column: ColumnType) -> pa.DataType:
    """The type that a column's text can be read as at once, where no value of it is out of the ordinary."""
    match column.kind:
        case "bool":
            return pa.bool_()
        case "integer":
            return pa.int64()
        case "float":
            return pa.float64()
        case "decimal":
            return pa.decimal128(column.precision, column.scale)
        case "date" | "timestamp" | "timestamptz":
            return _TEMPORAL[column.kind]
        case _:
            return pa.string()


def decode(column: ColumnType, values: pa.Array) -> Decoded:
    """Finish ``values``, which are Postgres's texts or were read as :func:`arrow_type` already."""
    if pa.types.is_floating(values.type):
        return _without(values, pc.invert(pc.is_finite(values)))
    if not pa.types.is_string(values.type):
        return values, None
    return _DECODERS[column.kind](column, values)


def _without(values: pa.Array, lost: pa.BooleanArray) -> Decoded:
    lost = pc.fill_null(lost, False)
    if not pc.any(lost).as_py():
        return values, None
    return pc.if_else(lost, pa.scalar(None, values.type), values), lost


def _text(_: ColumnType, values: pa.Array) -> Decoded:
    return values, None


def _bool(_: ColumnType, values: pa.Array) -> Decoded:
    return pc.equal(values, "t"), None


def _cast(column: ColumnType, values: pa.Array) -> Decoded:
    """integer, float, decimal. A text that is none comes from before a change of the column's type: it is lost."""
    values, lost = _without(values, pc.is_in(values, _NOT_FINITE))
    target = arrow_type(column)
    try:
        return pc.cast(values, target), lost
    except pa.ArrowInvalid:
        foreign = pa.array([_is_foreign(value, target) for value in values.to_pylist()])
        values, more = _without(values, foreign)
        lost = pc.or_(lost, more) if lost is not None and more is not None else more or lost
        return pc.cast(values, target), lost


def _is_foreign(value: str | None, target: pa.DataType) -> bool:
    try:
        pa.scalar(value, pa.string()).cast(target)
    except pa.ArrowInvalid:
        return True
    return False


def _numeric(_: ColumnType, values: pa.Array) -> Decoded:
    return _without(values, pc.is_in(values, _NOT_FINITE))


def _money(column: ColumnType, values: pa.Array) -> Decoded:
    return _mapped(values, lambda text: texts.money(text, column.scale)), None


def _temporal(column: ColumnType, values: pa.Array) -> Decoded:
    values, lost = _without(values, pc.is_in(values, _NOT_FINITE))
    try:
        return pc.cast(values, _TEMPORAL[column.kind]), lost
    except pa.ArrowInvalid:
        return values if column.kind == "date" else _mapped(values, texts.moment), lost


def _time(_: ColumnType, values: pa.Array) -> Decoded:
    """24:00 is a time for Postgres only."""
    return pc.if_else(pc.equal(values, "24:00:00"), texts.LAST_TIME, values), None


def _timetz(_: ColumnType, values: pa.Array) -> Decoded:
    """Postgres leaves the minutes out of a whole-hour offset."""
    values = pc.replace_substring_regex(values, r"^24:00:00([+-])", rf"{texts.LAST_TIME}\1")
    return pc.replace_substring_regex(values, r"([+-]\d\d)$", r"\1:00"), None


def _hstore(_: ColumnType, values: pa.Array) -> Decoded:
    return _mapped(values, texts.hstore_json), None


def _array(column: ColumnType, values: pa.Array) -> Decoded:
    """The array as JSON text. The distinct values are converted one by one: lists repeat."""
    assert column.element is not None  # noqa: S101 (what makes it an array)
    encoded = pc.dictionary_encode(values)
    converted, losses = [], []
    for text in encoded.dictionary.to_pylist():
        json, any_lost = texts.array_json(text, column.element)
        converted.append(json)
        losses.append(any_lost)
    lost = pc.fill_null(pc.take(pa.array(losses, pa.bool_()), encoded.indices), False) if any(losses) else None
    return pc.take(pa.array(converted, pa.string()), encoded.indices), lost


def _mapped(values: pa.Array, function: Callable[[str], str]) -> pa.Array:
    return pa.array([None if value is None else function(value) for value in values.to_pylist()], pa.string())


_DECODERS: dict[str, Callable[[ColumnType, Any], Decoded]] = {
    "bool": _bool,
    **dict.fromkeys(("integer", "float", "decimal"), _cast),
    "numeric": _numeric,
    "money": _money,
    "text": _text,
    "hstore": _hstore,
    **dict.fromkeys(("date", "timestamp", "timestamptz"), _temporal),
    "time": _time,
    "timetz": _timetz,
    "array": _array,
}
