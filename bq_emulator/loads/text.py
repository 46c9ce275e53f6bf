"""From text to typed values, for CSV and newline-delimited JSON: exact (nothing passes through a float), and strict."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import duckdb

from bq_emulator.duck import Session, identifier, literal, translate_error
from bq_emulator.loads.formats import strptime_format
from bq_emulator.loads.source import MAX_DETAILS, Source, reading_error
from bq_emulator.model import BigQueryError, Field
from bq_emulator.schema import Schema

_DATE = r"\d{4}-\d{1,2}-\d{1,2}"
_TIME = r"\d{1,2}:\d{1,2}:\d{1,2}(\.\d{1,6})?"
_ZONE = r"( ?(Z|z|UTC)| ?[+-]\d{1,2}(:?\d{2})?| [A-Za-z]+(/[A-Za-z_]+)+)"
_PATTERNS = {
    "INT64": r"\s*[+-]?\d+\s*",
    "NUMERIC": r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*",
    "FLOAT64": r"\s*[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|(?i:nan|inf|infinity))\s*",
    "DATE": _DATE,
    "DATETIME": rf"{_DATE}([ Tt]{_TIME})?",
    "TIME": _TIME,
    "TIMESTAMP": rf"{_DATE}([ Tt]{_TIME})?{_ZONE}?",
}
_TRUE = "('true', 't', 'yes', 'y', '1')"
_FALSE = "('false', 'f', 'no', 'n', '0')"
#: A whole number written with a fraction of zeros, which JSON's readers make of 1.0.
_JSON_INT64 = r"\s*[+-]?\d+(\.0*)?\s*"
_EPOCH_SECONDS = r"-?\d+(\.\d*)?([eE][+-]?\d+)?"


@dataclass(frozen=True)
class Reading:
    """How a job reads text. ``formats`` are strptime formats by type; ``time_zone`` is for timestamps without one."""

    from_json: bool = False
    formats: dict[str, str] = field(default_factory=dict)
    time_zone: str | None = None
    max_bad_records: int = 0

    @classmethod
    def from_configuration(cls, configuration: dict[str, Any], from_json: bool) -> Reading:
        """From a JobConfigurationLoad. Raises BigQueryError invalid for an unknown format element."""
        given = {kind: configuration.get(f"{kind.lower()}Format") for kind in ("DATE", "DATETIME", "TIME", "TIMESTAMP")}
        return cls(
            from_json,
            {kind: strptime_format(text) for kind, text in given.items() if text},
            configuration.get("timeZone") or None,
            int(configuration.get("maxBadRecords") or 0),
        )


def typed(field: Field, value: str, row: str, reading: Reading, path: str = "") -> str:
    """DuckDB text that turns the text ``value`` (or a LIST or STRUCT of texts) into ``field``'s type, or raises an
    error that names the value, the field and the row; ``row`` is DuckDB text for the row's number, from 1."""
    path = f"{path}{field.name}"
    if field.mode == "REPEATED":
        element = typed(replace(field, mode="NULLABLE", name=""), "x", row, reading, path)
        message = literal(f"Only optional fields can be set to NULL. Field: {path}; Value: NULL; row ")
        element = f"CASE WHEN x IS NULL THEN error({message} || {row}) ELSE {element} END"
        return f"list_transform({value}, lambda x: {element})"
    if field.type == "STRUCT":
        sources = [(child, identifier(child.name)) for child in field.fields]
        parts = ", ".join(
            f"{name} := {typed(child, f'{value}.{name}', row, reading, f'{path}.')}" for child, name in sources
        )
        return f"CASE WHEN {value} IS NULL THEN NULL ELSE struct_pack({parts}) END"
    result = _scalar(field, value, reading)
    if result is None:
        return value
    ending = literal(f"' as {field.type} for field {path}; row ")
    problem = f"error('Could not parse ''' || {value} || {ending} || {row})"
    result = f"CASE WHEN {value} IS NULL THEN NULL ELSE coalesce({result}, {problem}) END"
    if field.mode == "REQUIRED" and "." in path:
        message = literal(f"Required field {path} cannot be null; row ")
        result = f"CASE WHEN {value} IS NULL THEN error({message} || {row}) ELSE {result} END"
    return result


def valid(field: Field, value: str, reading: Reading) -> str:
    """DuckDB text for whether :func:`typed` would take ``value``."""
    if field.mode == "REPEATED":
        element = valid(replace(field, mode="NULLABLE"), "x", reading)
        return f"coalesce(list_bool_and(list_transform({value}, lambda x: x IS NOT NULL AND {element})), true)"
    if field.mode == "REQUIRED":
        return f"({value} IS NOT NULL AND {valid(replace(field, mode='NULLABLE'), value, reading)})"
    if field.type == "STRUCT":
        children = [valid(child, f"{value}.{identifier(child.name)}", reading) for child in field.fields]
        return f"({value} IS NULL OR ({' AND '.join(children)}))"
    result = _scalar(field, value, reading)
    return "true" if result is None else f"({value} IS NULL OR ({result}) IS NOT NULL)"


def _scalar(field: Field, value: str, reading: Reading) -> str | None:
    """DuckDB text for the value, NULL if it does not parse; None where text is stored as it is."""
    match field.type:
        case "STRING":
            return None
        case "BYTES":
            return f"TRY(from_base64({value}))"
        case "JSON":
            return f"CAST(TRY(bq_json_normal({value}, 'round')) AS JSON)"
        case "BIGNUMERIC":
            return f"TRY(bq_big_parse({value}))"
        case "BOOL":
            word = f"lower(trim({value}))"
            return f"CASE WHEN {word} IN {_TRUE} THEN true WHEN {word} IN {_FALSE} THEN false END"
        case "INTERVAL":
            raise BigQueryError("invalid", f"Field {field.name}: INTERVAL columns cannot be loaded from files.")
    if field.type in reading.formats:
        return _formatted(field.type, value, reading)
    pattern = _PATTERNS[field.type]
    target = {"INT64": "BIGINT", "FLOAT64": "DOUBLE", "NUMERIC": "DECIMAL(38,9)", "DATETIME": "TIMESTAMP"}.get(
        field.type, field.type
    )
    text = f"trim({value})"
    if field.type == "TIMESTAMP":
        target = "TIMESTAMPTZ"
        text = f"regexp_replace({text}, '[zZ]$', ' UTC')"
    elif field.type == "INT64" and reading.from_json:
        pattern = _JSON_INT64
        text = f"regexp_replace({text}, '\\.0*$', '')"
    parsed = f"CASE WHEN regexp_full_match({value}, {literal(pattern)}) THEN TRY_CAST({text} AS {target}) END"
    if field.type == "TIMESTAMP" and reading.time_zone:
        local = f"timezone({literal(reading.time_zone)}, TRY_CAST(trim({value}) AS TIMESTAMP))"
        parsed = (
            f"CASE WHEN regexp_full_match({value}, {literal(_PATTERNS['DATETIME'])}) THEN {local} ELSE {parsed} END"
        )
    if field.type == "TIMESTAMP" and reading.from_json:
        seconds = f"TRY(make_timestamptz(CAST(round(CAST({value} AS DECIMAL(38,9)) * 1000000) AS BIGINT)))"
        parsed = f"CASE WHEN regexp_full_match({value}, {literal(_EPOCH_SECONDS)}) THEN {seconds} ELSE {parsed} END"
    return parsed


def _formatted(kind: str, value: str, reading: Reading) -> str:
    """As :func:`_scalar`, by a format of the job."""
    format_text = reading.formats[kind]
    parsed = f"try_strptime({value}, {literal(format_text)})"
    if kind == "TIMESTAMP":
        if "%z" in format_text or "%Z" in format_text:
            return f"CAST({parsed} AS TIMESTAMPTZ)"
        return f"timezone({literal(reading.time_zone or 'UTC')}, CAST({parsed} AS TIMESTAMP))"
    return f"CAST({parsed} AS {'TIMESTAMP' if kind == 'DATETIME' else kind})"


def source_from_stage(
    db: Session, stage: str, schema: Schema, reading: Reading, bad: list[BigQueryError], skipped: list[int]
) -> Source:
    """The rows of the temporary table ``stage`` (columns as ``schema``, as text) typed; where the job allows bad
    records, rows that do not parse are left out and told of beside those of ``bad``, which lay in the lines
    ``skipped`` of the file.
    """
    columns = [(field, identifier(field.name)) for field in schema]

    def values(row: str) -> str:
        return ", ".join(typed(field, f"stage.{name}", row, reading) for field, name in columns)

    if reading.max_bad_records == 0:
        return Source(schema, f"SELECT {values('(stage.rowid + 1)')} FROM {stage} AS stage", stage=stage)
    condition = " AND ".join(valid(field, f"stage.{name}", reading) for field, name in columns)
    wrong = db.rows(f"SELECT rowid FROM {stage} AS stage WHERE NOT ({condition}) ORDER BY rowid")
    details = list(bad)
    for (rowid,) in wrong[: MAX_DETAILS - len(bad)]:
        row = rowid + 1
        for line in skipped:
            row += line <= row
        message = f"Required field cannot be null; row {row}"
        try:
            found = db.rows(f"SELECT {values(literal(str(row)))} FROM {stage} AS stage WHERE rowid = {rowid}")
            for field_, value in zip(schema, found[0], strict=True):
                if field_.mode == "REQUIRED" and value is None:
                    message = f"Required field {field_.name} cannot be null; row {row}"
        except duckdb.Error as error:
            message = translate_error(error).message
        details.append(reading_error(message))
    rows = db.scalar(f"SELECT count(*) FROM {stage}") + len(skipped)
    sql = f"SELECT {values('(stage.rowid + 1)')} FROM {stage} AS stage WHERE {condition}"
    return Source(schema, sql, len(skipped) + len(wrong), rows, stage, details)
