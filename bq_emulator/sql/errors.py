"""Errors of the analyzer and of DuckDB in BigQuery's words."""

from __future__ import annotations

import re

from bq_emulator.model import BigQueryError
from bq_emulator.sql.wording import in_googles_words

#: Raised checks reach the user through a failing cast of this text: unlike DuckDB's ``error()`` a cast is not
#: volatile, so it may stand inside TRY and does not hinder the optimizer.
CHECK_MARK = "GoogleSQL: "

_CHECK = re.compile(rf"Could not convert string '{CHECK_MARK}(.*)' to BOOL", re.DOTALL)
#: Raised by one of ``python_functions``.
_PYTHON = re.compile(r"Python exception occurred while executing the UDF: \w+: (.*)", re.DOTALL)

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
    if message := in_googles_words(text):
        return BigQueryError("invalidQuery", message, "query")
    return BigQueryError("invalidQuery", re.sub(r"^[A-Z][\w ]* Error: ", "", text.split("\n\nLINE ")[0]), "query")
