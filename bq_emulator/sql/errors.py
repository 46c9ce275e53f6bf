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

_UNKNOWN_FUNCTION = re.compile(r"[Ff]unction not found: `?([\w.]+)`?")
#: Functions of BigQuery that the analyzer does not know, and this emulator has not.
_ONLY_IN_BIGQUERY = re.compile(
    r"search|vector_search|text_analyze|bag_of_words|tf_idf|collate|appends|changes|external_query|external_object_\w+"
    r"|gap_fill|range_sessionize|dlp_\w+|(ml|ai|obj|bqml)\.\w+|objectref\w*|st_\w+|s2_\w+",
    re.IGNORECASE,
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
    unknown = _UNKNOWN_FUNCTION.search(message)
    if unknown and _ONLY_IN_BIGQUERY.fullmatch(unknown[1]):
        return BigQueryError("notImplemented", f"Function {unknown[1]} is not supported by this emulator", "query")
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
