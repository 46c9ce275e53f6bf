"""What every file format gives a load job, and what it says of bad rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bq_emulator.model import BigQueryError
from bq_emulator.schema import Schema

#: Of so many bad rows a job tells what was wrong with each.
MAX_DETAILS = 100


@dataclass
class Source:
    """``sql`` is a DuckDB query whose i-th column holds ``schema[i]``; ``stage`` is a temporary table it reads, which
    the caller drops in the end. ``bad`` says what was wrong with rows left out (the first ones), ``bad_records`` how
    many they are, of ``rows``; these are counted only where the job allows bad records.

    Where ``sql`` is a query of one Parquet file as it came, ``values`` are its columns and ``file`` is the schema that
    the file states; ``readable`` are as ``values``, without conversions that no value of the file's types can fail:
    who can read these can read those."""

    schema: Schema
    sql: str
    bad_records: int = 0
    rows: int = 0
    stage: str | None = None
    bad: list[BigQueryError] = field(default_factory=list)
    values: tuple[str, ...] = ()
    readable: tuple[str, ...] = ()
    file: str | None = None


def is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def reading_error(message: str, uri: str | None = None) -> BigQueryError:
    return BigQueryError("invalid", f"Error while reading data, error message: {message}", uri)


def too_many_errors(kind: str, rows: int, errors: int, limit: int, details: list[BigQueryError]) -> BigQueryError:
    """What a load job of text fails with: the count first, the rows at fault in the errors[] collection."""
    counts = f"encountered too many errors, giving up. Rows: {rows}; errors: {errors}"
    name = "JSON" if kind == "NEWLINE_DELIMITED_JSON" else kind
    uri = details[0].location if details else None
    error = reading_error(f"{name} table {counts}. Please look into the errors[] collection for more details.", uri)
    summary = reading_error(f"{name} processing {counts}; max bad: {limit}; error percent: 0", uri)
    error.causes = (summary, *details)
    return error
