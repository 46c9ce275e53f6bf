"""CSV (https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-csv)."""

from __future__ import annotations

import csv
import gzip
import io
import re
import secrets
import shutil
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

import duckdb

from bq_emulator.duck import Session, identifier, literal
from bq_emulator.loads.detect import field_of_duckdb_type
from bq_emulator.loads.names import column_names
from bq_emulator.loads.source import MAX_DETAILS, Source, is_gzip, reading_error
from bq_emulator.loads.text import Reading, source_from_stage
from bq_emulator.model import BigQueryError, Field
from bq_emulator.schema import Schema, find

_ENCODINGS = {
    "": "utf-8",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "ISO-8859-1": "latin-1",
    "UTF-16BE": "utf-16-be",
    "UTF-16LE": "utf-16-le",
    "UTF-32BE": "utf-32-be",
    "UTF-32LE": "utf-32-le",
}
_DELIMITER_NAMES = {"tab": "\t", "\\t": "\t"}
_MAX_LINE_BYTES = 16 * 1024 * 1024
_CHUNK = 1024 * 1024


def readable(path: Path, configuration: dict[str, Any], scratch: Path) -> Path:
    """``path``, or a copy in UTF-8 of a file in another encoding.

    Raises:
        BigQueryError: invalid for an unknown encoding or, unless preserveAsciiControlCharacters, a zero byte.
    """
    name = str(configuration.get("encoding") or "")
    encoding = _ENCODINGS.get(name.upper())
    if encoding is None:
        raise BigQueryError(
            "invalid", f"Invalid value for encoding: {name}; one of {', '.join(filter(None, _ENCODINGS))}."
        )
    if encoding != "utf-8":
        copy = scratch / f"{secrets.token_hex(6)}.csv"
        with _opened(path) as file, copy.open("w", encoding="utf-8", newline="") as output:
            text = io.TextIOWrapper(file, encoding, errors="replace", newline="")
            shutil.copyfileobj(text, output, _CHUNK)
        path = copy
    if not configuration.get("preserveAsciiControlCharacters"):
        with _opened(path) as file:
            while chunk := file.read(_CHUNK):
                if b"\0" in chunk:
                    raise reading_error("Bad character (ASCII 0) encountered.")
    return path


def _opened(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path)) if is_gzip(path) else path.open("rb")


def _reader_options(path: Path, configuration: dict[str, Any]) -> dict[str, str]:
    delimiter = configuration.get("fieldDelimiter") or ","
    quote = configuration.get("quote", '"')
    return {
        "delim": literal(_DELIMITER_NAMES.get(delimiter, delimiter)),
        "quote": literal(quote),
        "escape": literal(quote),
        "compression": "'gzip'" if is_gzip(path) else "'none'",
        "max_line_size": str(_MAX_LINE_BYTES),
    }


def _text(options: dict[str, str]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in options.items())


def detect(db: Session, path: Path, configuration: dict[str, Any]) -> tuple[Schema, int]:
    """The schema DuckDB's sniffer finds, and how many rows to skip."""
    options = _reader_options(path, configuration)
    skip = int(configuration.get("skipLeadingRows") or 0)
    sniffed = db.one(
        "SELECT HasHeader, list_transform(Columns, lambda c: [c.name, c.type]) "
        f"FROM sniff_csv({literal(str(path))}, {_text(options)}, skip = {max(skip - 1, 0)})"
    )
    if sniffed is None:
        raise reading_error("the schema of the CSV file could not be detected; give one.")
    has_header, columns = sniffed
    kinds = [field_of_duckdb_type("x", kind).type for _, kind in columns]
    names = [
        name if has_header else f"{kind.lower()}_field_{number}"
        for number, ((name, _), kind) in enumerate(zip(columns, kinds, strict=True))
    ]
    schema = tuple(
        Field(name, kind) for name, kind in zip(column_names(names, configuration, "V1"), kinds, strict=True)
    )
    return schema, max(skip, 1) if has_header else skip


def _by_header(path: Path, configuration: dict[str, Any], schema: Schema, skip: int) -> tuple[list[Field | None], int]:
    """sourceColumnMatch NAME: the field of each column of the file, None for one to be ignored; the rows to skip."""
    line = max(skip - 1, 0)
    quote = configuration.get("quote", '"')
    delimiter = configuration.get("fieldDelimiter") or ","
    with _opened(path) as file, io.TextIOWrapper(file, "utf-8-sig", newline="") as text:
        rows = csv.reader(
            islice(text, line, None),
            delimiter=_DELIMITER_NAMES.get(delimiter, delimiter),
            quotechar=quote or None,
            quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        )
        names = next(rows, [])
    fields = [find(schema, name) for name in names]
    unknown = [name for name, found in zip(names, fields, strict=True) if found is None]
    if unknown and not configuration.get("ignoreUnknownValues"):
        raise reading_error(f"the header names columns that are not in the schema: {', '.join(unknown)}.")
    return fields, line + 1


def _unmarked(field: Field, text: str) -> str:
    """``null`` is a NULL where it cannot be text: dbt's adapter tests load integers so, and pass on BigQuery."""
    return text if field.type in ("STRING", "BYTES", "JSON") else f"nullif({text}, 'null')"


def read(
    db: Session, path: Path, configuration: dict[str, Any], schema: Schema, skip: int, detected: bool = False
) -> Source:
    """An empty field is NULL and a quoted empty one an empty string, unless ``nullMarker`` says otherwise.

    Raises:
        BigQueryError: invalid for rows that do not fit, unless the job allows bad records.
    """
    for field in schema:
        if field.mode == "REPEATED" or field.type == "STRUCT":
            raise BigQueryError("invalid", f"Unsupported field type in CSV: {field.name} is {field.mode} {field.type}.")
    reading = Reading.from_configuration(configuration, from_json=False)
    columns: list[Field | None] = list(schema)
    match = str(configuration.get("sourceColumnMatch") or "").upper()
    if match == "NAME" and not detected:
        columns, skip = _by_header(path, configuration, schema, skip)
    elif match not in ("", "NAME", "POSITION", "SOURCE_COLUMN_MATCH_UNSPECIFIED"):
        raise BigQueryError("invalid", f"Invalid value for sourceColumnMatch: {match}; POSITION or NAME is expected.")
    names = [f"c{number}" for number in range(len(columns))]
    options = _reader_options(path, configuration) | {
        "auto_detect": "false",
        "header": "false",
        "skip": str(skip),
        "nullstr": "[" + ", ".join(literal(marker) for marker in _null_markers(configuration)) + "]",
        "allow_quoted_nulls": "false",
        "columns": "{" + ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names) + "}",
    }
    if configuration.get("allowJaggedRows"):
        options |= {"null_padding": "true", "parallel": "false"}
    if configuration.get("ignoreUnknownValues"):
        options |= {"strict_mode": "false"}
    stage = f"__stage_{secrets.token_hex(6)}"
    rejects = f"__rejects_{stage}"
    if reading.max_bad_records:
        options |= {
            "store_rejects": "true",
            "rejects_table": literal(rejects),
            "rejects_scan": literal(f"{rejects}_scan"),
        }
    chosen = {field.name: name for field, name in zip(columns, names, strict=True) if field is not None}
    selected = ", ".join(
        f"{_unmarked(f, chosen.get(f.name, 'CAST(NULL AS VARCHAR)'))} AS {identifier(f.name)}" for f in schema
    )
    reader = f"read_csv({literal(str(path))}, {_text(options)})"
    try:
        db.execute(f"CREATE TEMP TABLE {stage} AS SELECT {selected} FROM {reader}")
    except duckdb.Error as error:
        raise reading_error(_explain(error)) from error
    if not configuration.get("allowQuotedNewlines"):
        _refuse_newlines(db, stage, schema)
    if _null_markers(configuration) != [""]:
        _empty_is_an_error(db, stage, schema)
    bad: list[BigQueryError] = []
    skipped: list[int] = []
    if reading.max_bad_records:
        wrong = db.rows(f"SELECT line, min(error_message) FROM {rejects} GROUP BY line ORDER BY line")
        db.execute(f"DROP TABLE {rejects}; DROP TABLE {rejects}_scan")
        skipped = [line - skip for line, _ in wrong]
        bad = [reading_error(f"{message}; row {line - skip}") for line, message in wrong[:MAX_DETAILS]]
    return source_from_stage(db, stage, schema, reading, bad, skipped)


def _null_markers(configuration: dict[str, Any]) -> list[str]:
    one, several = configuration.get("nullMarker"), configuration.get("nullMarkers") or []
    if one and several:
        raise BigQueryError("invalid", "nullMarker and nullMarkers cannot be set at the same time.")
    return list(several) or [one or ""]


def _refuse_newlines(db: Session, stage: str, schema: Schema) -> None:
    found = " OR ".join(f"contains({identifier(f.name)}, chr(10))" for f in schema)
    row = db.scalar(f"SELECT min(rowid) FROM {stage} WHERE {found}")
    if row is not None:
        raise reading_error(
            f"Error detected while parsing row {row + 1}. Error: Missing close quote character: a quoted value holds a "
            "newline, which allowQuotedNewlines permits."
        )


def _empty_is_an_error(db: Session, stage: str, schema: Schema) -> None:
    """With null markers of its own, an empty field is a value, and only of STRING and BYTES a valid one."""
    for field in schema:
        if field.type not in ("STRING", "BYTES"):
            row = db.scalar(f"SELECT min(rowid) FROM {stage} WHERE {identifier(field.name)} = ''")
            if row is not None:
                raise reading_error(f"Could not parse '' as {field.type} for field {field.name}; row {row + 1}")


def _explain(error: duckdb.Error) -> str:
    """DuckDB's message without the settings it lists after it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kept = [line for line in lines if not re.match(r"(\w+ = |Possible |\* |file =|LINE )", line)]
    return " ".join(kept[:3])
