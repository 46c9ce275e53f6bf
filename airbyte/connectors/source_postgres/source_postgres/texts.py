"""Postgres's texts of moments, arrays and hstores as they are in a record.

https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO and https://www.postgresql.org/docs/current/hstore.html
"""

from __future__ import annotations

import functools
import re
from decimal import Decimal
from typing import Any

import orjson

from source_postgres.types import ColumnType

#: What 24:00 becomes, which no other system calls a time.
LAST_TIME = "23:59:59.999999999"

_MIDNIGHT = re.compile(r"^24:00:00(?=[+-])")
_BOUNDS = re.compile(r"(?:\[[+-]?\d+:[+-]?\d+\])+=")
_MOMENT = re.compile(r"(\d+-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(\+00)?( BC)?")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_PAIR = re.compile(r'"((?:[^"\\]|\\.)*)"=>(?:"((?:[^"\\]|\\.)*)"|NULL)(?:, )?', re.DOTALL)
_NO_DIGITS = str.maketrans("", "", "$,.")
_NOT_FINITE = frozenset(("nan", "infinity", "-infinity"))


def moment(text: str) -> str:
    """A timestamp as in a record: six decimals, a Z where there is a time zone (UTC), BC at the end."""
    found = _MOMENT.fullmatch(text)
    if found is None:
        return text
    day, time, fraction, zone, era = found.groups("")
    return f"{day}T{time}.{fraction:0<6}{'Z' if zone else ''}{era}"


def money(text: str, scale: int) -> str:
    """``-$1,234.50``, which is how 123450 of the smallest unit is written under lc_monetary C, as a number."""
    return f"{Decimal(text.translate(_NO_DIGITS)).scaleb(-scale):f}"


def hstore_json(text: str) -> str:
    """``"a"=>"1", "b"=>NULL`` as ``{"a": "1", "b": null}``, the text that a cast to json gives."""
    pairs = []
    for key, value in ((found[1], found[2]) for found in _PAIR.finditer(text)):
        pairs.append(f"{_string(_unescaped(key))}: {'null' if value is None else _string(_unescaped(value))}")
    return "{" + ", ".join(pairs) + "}"


@functools.cache
def _array_token(delimiter: str) -> re.Pattern[str]:
    """A brace, or a quoted or a bare element."""
    bare = rf'[^"{{}}\\{re.escape(delimiter)}]'
    return re.compile(rf'([{{}}])|"((?:[^"\\]|\\.)*)"|((?:{bare}|\\.)+)', re.DOTALL)


def array_json(text: str | None, element: ColumnType) -> tuple[str | None, bool]:
    """``{a,"b c",NULL}`` as a JSON array of ``element``'s values, nested by dimensions, and whether one was lost."""
    if text is None:
        return None, False
    lost = False
    parts: list[str] = []
    bounds = _BOUNDS.match(text)
    for found in _array_token(element.delimiter).finditer(text, bounds.end() if bounds else 0):
        brace, quoted, bare = found.groups()
        if brace:
            if brace == "{" and parts and parts[-1] != "[":
                parts.append(",")
            parts.append("[" if brace == "{" else "]")
            continue
        value = None if bare == "NULL" else _unescaped(bare if quoted is None else quoted)
        rendered = "null"
        if value is not None:
            if element.element is not None:  # a domain over an array
                fragment, inner_lost = array_json(value, element.element)
            else:
                fragment = _fragment(value, element)
                inner_lost = fragment is None
            lost = lost or inner_lost
            rendered = "null" if fragment is None else fragment
        if parts[-1] != "[":
            parts.append(",")
        parts.append(rendered)
    return "".join(parts), lost


def _fragment(value: str, element: ColumnType) -> str | None:
    """The JSON of one element; None where JSON has none."""
    match element.kind:
        case "bool":
            return "true" if value == "t" else "false"
        case "integer":
            return value
        case "float" | "decimal" | "numeric":
            return None if value.lower() in _NOT_FINITE else value
        case "money":
            return money(value, element.scale)
        case "date" | "timestamp" | "timestamptz":
            return None if value in _NOT_FINITE else _string(value if element.kind == "date" else moment(value))
        case "time":
            return _string(LAST_TIME if value == "24:00:00" else value)
        case "timetz":
            return _string(re.sub(r"([+-]\d\d)$", r"\1:00", _MIDNIGHT.sub(LAST_TIME, value)))
        case "hstore":
            return _string(hstore_json(value))
        case _:
            return _string(value)


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(r"\1", text) if "\\" in text else text


def _string(value: Any) -> str:
    return orjson.dumps(value).decode()
