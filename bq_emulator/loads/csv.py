"""CSV (https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-csv)."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Any

import duckdb

from bq_emulator.duck import Session, identifier, literal
from bq_emulator.loads.detect import field_of_duckdb_type
from bq_emulator.loads.source import Source, reading_error
from bq_emulator.loads.text import source_from_stage
from bq_emulator.model import BigQueryError
from bq_emulator.schema import Schema

_ENCODINGS = {"": "utf-8", "UTF-8": "utf-8", "UTF8": "utf-8", "ISO-8859-1": "latin-1"}
_DELIMITER_NAMES = {"tab": "\t", "\\t": "\t"}
_MAX_LINE_BYTES = 16 * 1024 * 1024


def _reader_options(configuration: dict[str, Any], compressed: bool) -> dict[str, str]:
    encoding = str(configuration.get("encoding") or "")
    if encoding.upper() not in _ENCODINGS:
        raise BigQueryError("notImplemented", f"The encoding {encoding} is not supported by this emulator.")
    delimiter = configuration.get("fieldDelimiter") or ","
    quote = configuration.get("quote", '"')
    return {
        "delim": literal(_DELIMITER_NAMES.get(delimiter, delimiter)),
        "quote": literal(quote),
        "escape": literal(quote),
        "encoding": literal(_ENCODINGS[encoding.upper()]),
        "compression": "'gzip'" if compressed else "'none'",
        "max_line_size": str(_MAX_LINE_BYTES),
    }


def _text(options: dict[str, str]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in options.items())


def detect(db: Session, path: Path, configuration: dict[str, Any], compressed: bool) -> tuple[Schema, int]:
    """The schema DuckDB's sniffer finds, and how many rows to skip."""
    options = _reader_options(configuration, compressed)
    skip = int(configuration.get("skipLeadingRows") or 0)
    sniffed = db.one(
        "SELECT HasHeader, list_transform(Columns, lambda c: [c.name, c.type]) "
        f"FROM sniff_csv({literal(str(path))}, {_text(options)}, skip = {max(skip - 1, 0)})"
    )
    if sniffed is None:
        raise reading_error("the schema of the CSV file could not be detected; give one.")
    has_header, columns = sniffed
    names = [
        name if has_header else f"{_kind_name(kind)}_field_{number}" for number, (name, kind) in enumerate(columns)
    ]
    names = [re.sub(r"\W", "_", name) or f"field_{number}" for number, name in enumerate(names)]
    schema = tuple(field_of_duckdb_type(name, kind) for name, (_, kind) in zip(names, columns, strict=True))
    return schema, max(skip, 1) if has_header else skip


def _kind_name(duckdb_type: str) -> str:
    return field_of_duckdb_type("x", duckdb_type).type.lower()


def read(db: Session, path: Path, configuration: dict[str, Any], schema: Schema, skip: int, compressed: bool) -> Source:
    """An empty field is NULL and a quoted empty one an empty string, unless ``nullMarker`` says otherwise.

    Raises:
        BigQueryError: invalid for rows that do not fit, beyond ``maxBadRecords``.
    """
    for field in schema:
        if field.mode == "REPEATED" or field.type == "STRUCT":
            raise BigQueryError("invalid", f"Unsupported field type in CSV: {field.name} is {field.mode} {field.type}.")
    marker = configuration.get("nullMarker") or ""
    max_bad = int(configuration.get("maxBadRecords") or 0)
    options = _reader_options(configuration, compressed) | {
        "auto_detect": "false",
        "header": "false",
        "skip": str(skip),
        "nullstr": literal(marker),
        "allow_quoted_nulls": "false",
        "columns": "{" + ", ".join(f"{literal(field.name)}: 'VARCHAR'" for field in schema) + "}",
    }
    if configuration.get("allowJaggedRows"):
        options |= {"null_padding": "true", "parallel": "false"}
    if configuration.get("ignoreUnknownValues"):
        options |= {"strict_mode": "false"}
    stage = f"__stage_{secrets.token_hex(6)}"
    rejects = f"__rejects_{stage}"
    if max_bad:
        options |= {
            "store_rejects": "true",
            "rejects_table": literal(rejects),
            "rejects_scan": literal(f"{rejects}_scan"),
        }
    try:
        db.execute(f"CREATE TEMP TABLE {stage} AS SELECT * FROM read_csv({literal(str(path))}, {_text(options)})")
    except duckdb.Error as error:
        raise reading_error(_explain(error)) from error
    if marker:
        _empty_is_an_error(db, stage, schema)
    bad = db.scalar(f"SELECT count(DISTINCT line) FROM {rejects}") if max_bad else 0
    return source_from_stage(db, stage, schema, False, bad, max_bad)


def _empty_is_an_error(db: Session, stage: str, schema: Schema) -> None:
    """With a null marker of its own, an empty field is a value, and only of STRING and BYTES a valid one."""
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
