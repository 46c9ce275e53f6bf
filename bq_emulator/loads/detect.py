"""From what DuckDB finds in a file to BigQuery's types, for autodetection."""

from __future__ import annotations

import re

from bq_emulator.model import Field

_TYPES = {
    "BIGINT": "INT64",
    "UBIGINT": "NUMERIC",
    "HUGEINT": "NUMERIC",
    "INTEGER": "INT64",
    "DOUBLE": "FLOAT64",
    "BOOLEAN": "BOOL",
    "DATE": "DATE",
    "TIME": "TIME",
    "TIMESTAMP": "TIMESTAMP",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
}


def field_of_duckdb_type(name: str, kind: str) -> Field:
    """A flat column; what DuckDB calls otherwise is a STRING."""
    return Field(name, _TYPES.get(re.sub(r"\(.*", "", kind), "STRING"))
