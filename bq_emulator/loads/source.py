"""What every file format gives a load job."""

from __future__ import annotations

from dataclasses import dataclass

from bq_emulator.model import BigQueryError
from bq_emulator.schema import Schema


@dataclass
class Source:
    """``sql`` is a DuckDB query whose i-th column holds ``schema[i]``; ``stage`` is a temporary table it reads, which
    the caller drops in the end."""

    schema: Schema
    sql: str
    bad_records: int = 0
    stage: str | None = None


def reading_error(message: str) -> BigQueryError:
    return BigQueryError("invalid", f"Error while reading data, error message: {message}")
