"""The normal form of JSON values: what BigQuery stores and prints. Keys in order, the first of repeated keys, no space,
numbers as INT64, UINT64 or the shortest text of a double.

Found out from Google's reference evaluator; https://cloud.google.com/bigquery/docs/reference/standard-sql/json_functions
describes the modes for wide numbers.
"""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any, NoReturn


class _Number(float):
    """A double that prints as Google prints it."""

    def __repr__(self) -> str:
        return number(float(self))


def number(value: float) -> str:
    """A double in JSON: 1.0, 1e+20, 1e-05, 123.25."""
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"{value} has no JSON form")
    text = "".join(map(str, digits))
    stripped = text.rstrip("0") or "0"
    exponent += len(text) - len(stripped)
    point = len(stripped) + exponent  # digits before the point
    minus = "-" if sign else ""
    if stripped == "0":
        return f"{minus}0.0"
    if 0 < point <= 15:
        whole = stripped.ljust(point, "0")
        return f"{minus}{whole[:point]}.{whole[point:] or '0'}"
    if -4 < point <= 0:
        return f"{minus}0.{'0' * -point}{stripped}"
    mantissa = stripped[0] + (f".{stripped[1:]}" if len(stripped) > 1 else "")
    return f"{minus}{mantissa}e{'-' if point <= 0 else '+'}{abs(point - 1):02d}"


def _double(text: str, exact: bool) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"number overflow parsing '{text}'")
    if exact and Decimal(text) != Decimal(repr(value)):
        raise ValueError(f"Input number: {text} cannot round-trip through string representation")
    return _Number(value)


def _integer(text: str, exact: bool) -> Any:
    value = int(text)
    if -(1 << 63) <= value < 1 << 64:
        return value
    return _double(text, exact)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"syntax error while parsing value - invalid literal; last read: '{name[0]}'")


def _first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(reversed(pairs)) if len(pairs) > 1 else dict(pairs)


def _decoder(exact: bool) -> json.JSONDecoder:
    return json.JSONDecoder(
        parse_float=lambda text: _double(text, exact),
        parse_int=lambda text: _integer(text, exact),
        parse_constant=_no_constant,
        object_pairs_hook=_first_of_each,
    )


_EXACT, _ROUND = _decoder(True), _decoder(False)


def _dump(value: Any) -> str:
    if isinstance(value, _Number):
        return repr(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_string(key)}:{_dump(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_dump, value)) + "]"
    return _string(value) if isinstance(value, str) else json.dumps(value)


def _string(value: str) -> str:
    text = json.dumps(value, ensure_ascii=False)
    text.encode()  # a lone surrogate is an error
    return text


def normal(text: str, mode: str = "exact") -> str:
    """The normal form of ``text``; ``mode`` is wide_number_mode: exact refuses numbers that a double would change.

    Raises:
        ValueError: not JSON, or a number out of reach, in Google's words where they are known.
    """
    if mode not in ("exact", "round"):
        raise ValueError(
            f"Invalid `wide_number_mode` specified for PARSE_JSON: {mode}; must be one of 'exact' or 'round'"
        )
    try:
        return _dump((_EXACT if mode == "exact" else _ROUND).decode(text))
    except UnicodeEncodeError:
        raise ValueError("Invalid input to PARSE_JSON: invalid string: lone surrogate") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"Invalid input to PARSE_JSON: syntax error while parsing value - {error}") from None
    except ValueError as error:
        raise ValueError(f"Invalid input to PARSE_JSON: {error}") from None
    except RecursionError:
        raise ValueError("Invalid input to PARSE_JSON: nesting is too deep") from None
