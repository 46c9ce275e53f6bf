"""One value at a time: what BigQuery can hold of it, and the change to record where that is less than was sent."""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any

#: BigQuery's NUMERIC: 29 digits before the point and 9 after it.
NUMERIC_LIMIT = Decimal(10) ** 29
#: A row may have 100 MB (https://cloud.google.com/bigquery/quotas#load_jobs), of which one text gets no more than this.
MAX_TEXT_BYTES = 50_000_000
_NUMERIC_STEP = Decimal("1e-9")
_INT64_LIMIT = 2**63
#: Python converts no more than 4300 digits to an int; Postgres's numeric has up to 131072.
_INT_DIGITS = 300
#: https://cloud.google.com/bigquery/docs/reference/standard-sql/json-data
MAX_JSON_DEPTH = 500
_EXACT = Context(prec=60, rounding=ROUND_HALF_UP)
_BEYOND_YEARS = re.compile(r"(\d{5,}-.*|[+-]\d{4,}-.*|0000-.*|.* BC)$", re.DOTALL)
_SUB_MICROSECOND = re.compile(r"(\.\d{6})(\d+)")

NULLED_INVALID = ("NULLED", "DESTINATION_SERIALIZATION_ERROR")
NULLED_TOO_LARGE = ("NULLED", "DESTINATION_FIELD_SIZE_LIMITATION")
TRUNCATED = ("TRUNCATED", "DESTINATION_FIELD_SIZE_LIMITATION")

#: The value and, if it was changed, (change, reason) as the protocol's meta.changes names them.
Coerced = tuple[Any, tuple[str, str] | None]


def coerce(value: Any, bigquery_type: str) -> Coerced:
    """``value``, from JSON with exact Decimals, as a Python value of ``bigquery_type``; JSON as its text."""
    if value is None:
        return None, None
    return _COERCIONS[bigquery_type](value)


def parse(text: str | bytes) -> Any:
    """JSON with exact numbers: int, or Decimal for fractions and very many digits. NaN and Infinity, which are no JSON
    but which some connectors write, are texts."""
    return json.loads(text, parse_float=Decimal, parse_int=_whole, parse_constant=str)


def _whole(text: str) -> int | Decimal:
    return int(text) if len(text) < _INT_DIGITS else Decimal(text)


def json_text(value: Any) -> str:
    """Compact JSON; a decimal becomes the nearest binary float, as in BigQuery's JSON type.

    Raises:
        OverflowError: for a number beyond binary floats.
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_double)


def _double(value: Any) -> float:
    nearest = float(value)
    if math.isinf(nearest):
        raise OverflowError(f"{value:.3e} is beyond binary floats")
    return nearest


def coerce_json_text(text: str | None, _type: str) -> Coerced:
    """As :func:`coerce` for a JSON column whose values come as their JSON texts."""
    if text is None:
        return None, None
    try:
        value = parse(text)
    except RecursionError:
        return None, NULLED_TOO_LARGE
    except ValueError:
        return None, NULLED_INVALID
    return _json(value)


def _json(value: Any) -> Coerced:
    try:
        if _depth(value) > MAX_JSON_DEPTH:
            return None, NULLED_TOO_LARGE
        return _string(json_text(value))
    except OverflowError:
        return None, NULLED_TOO_LARGE


def _depth(value: Any) -> int:
    """How many arrays and objects lie within one another."""
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, list | dict)]:
        depth += 1
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]
    return depth


def _string(value: Any) -> Coerced:
    text = value if isinstance(value, str) else _number_or_json_text(value)
    try:
        size = len(text.encode())
    except UnicodeEncodeError:  # half of a surrogate pair
        return None, NULLED_INVALID
    return (text, None) if size <= MAX_TEXT_BYTES else (None, NULLED_TOO_LARGE)


def _number_or_json_text(value: Any) -> str:
    if isinstance(value, Decimal):
        return str(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else json_text(value)


def _decimal(value: Any) -> Decimal | None:
    """A finite number from a JSON number or its text."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    if isinstance(value, str) and "_" in value:  # Python's notation, not a number's
        return None
    try:
        number = Decimal(value) if not isinstance(value, float) else Decimal(repr(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _int64(value: Any) -> Coerced:
    number = _decimal(value)
    if number is None:
        return None, NULLED_INVALID
    if not -_INT64_LIMIT <= number < _INT64_LIMIT:
        return None, NULLED_TOO_LARGE
    whole = int(number)
    return (whole, None) if whole == number else (None, NULLED_INVALID)


def _numeric(value: Any) -> Coerced:
    number = _decimal(value)
    if number is None:
        return None, NULLED_INVALID
    # Not abs(): it would round to the decimal module's 28 digits.
    if not -NUMERIC_LIMIT < number < NUMERIC_LIMIT:
        return None, NULLED_TOO_LARGE
    rounded = number.quantize(_NUMERIC_STEP, context=_EXACT)
    if not -NUMERIC_LIMIT < rounded < NUMERIC_LIMIT:
        return None, NULLED_TOO_LARGE
    return rounded, None if rounded == number else TRUNCATED


def _bool(value: Any) -> Coerced:
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.lower())
    return (value, None) if isinstance(value, bool) else (None, NULLED_INVALID)


def _temporal(parse: Callable[[str], Any]) -> Callable[[Any], Coerced]:
    """A coercion for texts of dates and times, years 0001 to 9999, whole microseconds."""

    def coercion(value: Any) -> Coerced:
        if not isinstance(value, str):
            return None, NULLED_INVALID
        text = value.strip()
        if _BEYOND_YEARS.match(text):
            return None, NULLED_TOO_LARGE
        whole = _SUB_MICROSECOND.sub(r"\1", text)
        try:
            parsed = parse(whole)
        except ValueError:
            return None, NULLED_INVALID
        except OverflowError:
            return None, NULLED_TOO_LARGE
        lost = _SUB_MICROSECOND.search(text)
        return parsed, TRUNCATED if lost and lost[2].strip("0") else None

    return coercion


def _timestamp(text: str) -> datetime.datetime:
    parsed = datetime.datetime.fromisoformat(text)
    return parsed.replace(tzinfo=datetime.UTC) if parsed.tzinfo is None else parsed.astimezone(datetime.UTC)


def _date(text: str) -> datetime.date:
    """The day as written; sources give moments for dates, too."""
    return datetime.datetime.fromisoformat(text).date()


def _datetime(text: str) -> datetime.datetime:
    """The wall time as written, wherever the wall is."""
    return datetime.datetime.fromisoformat(text).replace(tzinfo=None)


def _time(text: str) -> datetime.time:
    return datetime.time.fromisoformat(text).replace(tzinfo=None)


_COERCIONS: dict[str, Callable[[Any], Coerced]] = {
    "STRING": _string,
    "INT64": _int64,
    "NUMERIC": _numeric,
    "BOOL": _bool,
    "DATE": _temporal(_date),
    "TIMESTAMP": _temporal(_timestamp),
    "DATETIME": _temporal(_datetime),
    "TIME": _temporal(_time),
    "JSON": _json,
}
