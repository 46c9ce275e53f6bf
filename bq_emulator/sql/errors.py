"""Errors of the analyzer and of DuckDB in BigQuery's words."""

from __future__ import annotations

import re

from bq_emulator.model import BigQueryError

#: Raised checks reach the user through a failing cast of this text: unlike DuckDB's ``error()`` a cast is not
#: volatile, so it may stand inside TRY and does not hinder the optimizer.
CHECK_MARK = "GoogleSQL: "

_CHECK = re.compile(rf"Could not convert string '{CHECK_MARK}(.*)' to BOOL", re.DOTALL)
#: Raised by one of ``python_functions``.
_PYTHON = re.compile(r"Python exception occurred while executing the UDF: \w+: (.*)", re.DOTALL)
_WORDING = (
    (re.compile(r"Overflow in \w+ of INT64 \((.*?)\)"), "int64 overflow: {0}"),
    (re.compile(r"Overflow on abs\((.*?)\)"), "int64 overflow: ABS({0})"),
    (re.compile(r"Type INT128 with value \S+ can't be cast .* INT64"), "int64 overflow"),
    (re.compile(r"Type INT64 with value (\S+) can't be cast .* INT32"), "Adding {0} units causes overflow"),
    (re.compile(r"Type DOUBLE with value (\S+) can't be cast .* INT64"), "int64 out of range: {0}"),
    (
        re.compile(
            r"Overflow in \w+ of (?:DECIMAL|INT128)|Overflow in HUGEINT|[Cc]ould not (?:cast|convert) .* to DECIMAL"
        ),
        "numeric overflow",
    ),
    (re.compile(r"Unknown TimeZone '(.*?)'"), "Invalid time zone: {0}"),
    (re.compile(r"[Dd]ivision by zero"), "division by zero"),
    (re.compile(r"More than one row returned by a subquery"), "Scalar subquery produced more than one element"),
)


_UNIMPLEMENTED = 12  # absl::StatusCode


class AnalyzerError(Exception):
    """What the analyzer answers in place of a result: "Code: <absl::StatusCode>, Message: …"."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        found = re.match(r"Code: (\d+), Message: ", text)
        self.code = int(found.group(1)) if found else None
        self.message = text[found.end() :] if found else text


def from_analyzer(error: AnalyzerError) -> BigQueryError:
    """What the analyzer found wrong with a statement. Positions are still those of the analyzed text."""
    message = error.message
    if error.code == _UNIMPLEMENTED:
        return BigQueryError("notImplemented", message, "query")
    return BigQueryError("invalidQuery", message, "query")


def from_duckdb(error: Exception) -> BigQueryError:
    """A run-time error of DuckDB, raised by SQL that this package made, as invalidQuery in Google's wording."""
    text = str(error)
    if check := _CHECK.search(text):
        return BigQueryError("invalidQuery", check.group(1), "query")
    if raised := _PYTHON.search(text):
        return BigQueryError("invalidQuery", raised.group(1), "query")
    for pattern, wording in _WORDING:
        if found := pattern.search(text):
            return BigQueryError("invalidQuery", wording.format(*found.groups()), "query")
    return BigQueryError("invalidQuery", re.sub(r"^[A-Z][\w ]* Error: ", "", text.split("\n\nLINE ")[0]), "query")
