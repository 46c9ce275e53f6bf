"""DuckDB's run-time errors in Google's words, found out from Google's reference evaluator.

Where the translated SQL itself makes the text (see ``errors.CHECK_MARK``) there is nothing to be done here.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_OPERATORS = {"addition": "+", "subtract": "-", "subtraction": "-", "multiplication": "*", "division": "/"}
#: The messages of RE2, https://github.com/google/re2/blob/main/re2/re2.h (ErrorCode).
_REGEXP = (
    r"(?:missing (?:\)|\]|argument to repetition operator)|unexpected \)|no argument for repetition operator|"
    r"invalid (?:escape sequence|character class|character class range|repetition size|perl operator|UTF-8|"
    r"named capture group)|bad repetition operator|trailing \\)"
)


def _decimal(units: str) -> str:
    """A DECIMAL(38, 9) that DuckDB prints without its point."""
    digits = units.lstrip("-").rjust(10, "0")
    return units[: units.count("-")] + f"{digits[:-9]}.{digits[-9:]}".rstrip("0").rstrip(".")


def _numeric(found: re.Match[str]) -> str:
    kind, left, right = found.groups()
    # A factor that is an INT64 is printed as it is.
    right = right if kind == "multiplication" else _decimal(right)
    return f"numeric overflow: {_decimal(left)} {_OPERATORS.get(kind, kind)} {right}"


def _double(found: re.Match[str]) -> str:
    value = found[1]
    if value in ("nan", "inf", "-inf"):
        return f"Illegal conversion of non-finite floating point number to an integer: {value}"
    return f"int64 out of range: {value}"


def _float_to_numeric(found: re.Match[str]) -> str:
    return f"numeric out of range: {float(found[1]):.17g}"


def _date(found: re.Match[str]) -> str:
    year, month, day = (int(part) for part in found.groups())
    return f"Input calculates to invalid date: {year:04d}-{month:02d}-{day:02d}"


def _time(found: re.Match[str]) -> str:
    hour, minute, second = (int(part) for part in found.groups())
    return f"Input calculates to invalid time: {hour:02d}:{minute:02d}:{second:02d}"


_WORDING: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"Overflow in \w+ of INT64 \((.*?)\)", "int64 overflow: {0}"),
    (r"Overflow in division of (-\d+ / -1)", "int64 overflow: {0}"),
    (r"Overflow on abs\((.*?)\)", "int64 overflow: ABS({0})"),
    (r"Type INT128 with value \S+ can't be cast .* INT64", "int64 overflow"),
    (r"Type INT64 with value (\S+) can't be cast .* INT32", "Adding {0} units causes overflow"),
    (r"Type DOUBLE with value (\S+) can't be cast .* INT64", _double),
    (r"Failed to cast decimal value (\S+) to type INT64", "int64 out of range: {0}"),
    (r"Overflow in (\w+) of DECIMAL\(38\) \((-?\d+) \S (-?\d+)\)", _numeric),
    (r'Could not convert string "(-?\d+\.\d{20})" to DECIMAL\(38,9\)', _float_to_numeric),
    (
        r"Overflow in \w+ of (?:DECIMAL|INT128)|Overflow in HUGEINT|[Cc]ould not (?:cast|convert) .* to DECIMAL"
        r"|Casting value \S+ to type DECIMAL",
        "numeric overflow",
    ),
    (r"Date out of range: (\d+)-(\d+)-(\d+)", _date),
    (r"Time out of range: (\d+):(\d+):(\d+)", _time),
    (r"Unknown TimeZone '(.*?)'", "Invalid time zone: {0}"),
    (r"[Dd]ivision by zero", "division by zero"),
    (r"More than one row returned by a subquery", "Scalar subquery produced more than one element"),
    (rf"(?:Invalid Input Error: )({_REGEXP}.*)", "Cannot parse regular expression: {0}"),
    (
        r"Invalid replacement string for regexp_replace: (.*)",
        "Invalid REGEXP_REPLACE pattern: {0}",
    ),
    (
        r"Invalid input for hex digit: (.*)",
        "Failed to decode invalid hexadecimal string due to character: {0}",
    ),
    (r"Could not decode string .* as base64", "Failed to decode invalid base64 string"),
    (r"Invalid UTF8 Codepoint (-?\d+)", "Invalid codepoint {0}"),
    (r"could not convert blob to UTF8 string", "Invalid cast of bytes to UTF8 string"),
)
_COMPILED = [(re.compile(pattern), wording) for pattern, wording in _WORDING]


def in_googles_words(text: str) -> str | None:
    """Google's message for DuckDB's; None for one that is not in the table."""
    for pattern, wording in _COMPILED:
        if found := pattern.search(text):
            return wording(found) if callable(wording) else wording.format(*found.groups())
    return None
