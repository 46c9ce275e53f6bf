"""From text to typed values, for CSV and newline-delimited JSON: exact (nothing passes through a float), and strict."""

from __future__ import annotations

from dataclasses import replace

from bq_emulator.duck import Session, identifier, literal
from bq_emulator.loads.source import Source, reading_error
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


def typed(field: Field, value: str, row: str, path: str = "", from_json: bool = False) -> str:
    """DuckDB text that turns the text ``value`` (or a LIST or STRUCT of texts) into ``field``'s type, or raises an
    error that names the value, the field and the row; ``row`` is DuckDB text for the row's number, from 1."""
    path = f"{path}{field.name}"
    if field.mode == "REPEATED":
        element = typed(replace(field, mode="NULLABLE", name=""), "x", row, path, from_json)
        message = literal(f"Only optional fields can be set to NULL. Field: {path}; Value: NULL; row ")
        element = f"CASE WHEN x IS NULL THEN error({message} || {row}) ELSE {element} END"
        return f"list_transform({value}, lambda x: {element})"
    if field.type == "STRUCT":
        sources = [(child, identifier(child.name)) for child in field.fields]
        parts = ", ".join(
            f"{name} := {typed(child, f'{value}.{name}', row, f'{path}.', from_json)}" for child, name in sources
        )
        return f"CASE WHEN {value} IS NULL THEN NULL ELSE struct_pack({parts}) END"
    result = _scalar(field, value, from_json)
    if result is None:
        return value
    ending = literal(f"' as {field.type} for field {path}; row ")
    problem = f"error('Could not parse ''' || {value} || {ending} || {row})"
    result = f"CASE WHEN {value} IS NULL THEN NULL ELSE coalesce({result}, {problem}) END"
    if field.mode == "REQUIRED" and "." in path:
        message = literal(f"Required field {path} cannot be null; row ")
        result = f"CASE WHEN {value} IS NULL THEN error({message} || {row}) ELSE {result} END"
    return result


def valid(field: Field, value: str, from_json: bool) -> str:
    """DuckDB text for whether :func:`typed` would take ``value``."""
    if field.mode == "REPEATED":
        element = valid(replace(field, mode="NULLABLE"), "x", from_json)
        return f"coalesce(list_bool_and(list_transform({value}, lambda x: x IS NOT NULL AND {element})), true)"
    if field.mode == "REQUIRED":
        return f"({value} IS NOT NULL AND {valid(replace(field, mode='NULLABLE'), value, from_json)})"
    if field.type == "STRUCT":
        children = [valid(child, f"{value}.{identifier(child.name)}", from_json) for child in field.fields]
        return f"({value} IS NULL OR ({' AND '.join(children)}))"
    result = _scalar(field, value, from_json)
    return "true" if result is None else f"({value} IS NULL OR ({result}) IS NOT NULL)"


def _scalar(field: Field, value: str, from_json: bool) -> str | None:
    """DuckDB text for the value, NULL if it does not parse; None where text is stored as it is."""
    match field.type:
        case "STRING":
            return None
        case "BYTES":
            return f"TRY(from_base64({value}))"
        case "JSON":
            return f"TRY_CAST({value} AS JSON)"
        case "BOOL":
            word = f"lower(trim({value}))"
            return f"CASE WHEN {word} IN {_TRUE} THEN true WHEN {word} IN {_FALSE} THEN false END"
        case "INTERVAL":
            raise BigQueryError("invalid", f"Field {field.name}: INTERVAL columns cannot be loaded from files.")
    pattern = _PATTERNS[field.type]
    target = {"INT64": "BIGINT", "FLOAT64": "DOUBLE", "NUMERIC": "DECIMAL(38,9)", "DATETIME": "TIMESTAMP"}.get(
        field.type, field.type
    )
    text = f"trim({value})"
    if field.type == "TIMESTAMP":
        target = "TIMESTAMPTZ"
        text = f"regexp_replace({text}, '[zZ]$', ' UTC')"
    elif field.type == "INT64" and from_json:
        pattern = _JSON_INT64
        text = f"regexp_replace({text}, '\\.0*$', '')"
    parsed = f"CASE WHEN regexp_full_match({value}, {literal(pattern)}) THEN TRY_CAST({text} AS {target}) END"
    if field.type == "TIMESTAMP" and from_json:
        seconds = f"TRY(make_timestamptz(CAST(round(CAST({value} AS DECIMAL(38,9)) * 1000000) AS BIGINT)))"
        parsed = f"CASE WHEN regexp_full_match({value}, {literal(_EPOCH_SECONDS)}) THEN {seconds} ELSE {parsed} END"
    return parsed


def source_from_stage(
    db: Session, stage: str, schema: Schema, from_json: bool, bad_records: int, max_bad_records: int
) -> Source:
    """The rows of the temporary table ``stage`` (columns as ``schema``, as text) typed; with ``max_bad_records``, rows
    that do not parse are left out and counted.

    Raises:
        BigQueryError: invalid for more bad records than allowed.
    """
    columns = [(field, identifier(field.name)) for field in schema]
    values = [typed(field, f"stage.{name}", "(stage.rowid + 1)", "", from_json) for field, name in columns]
    if max_bad_records == 0:
        return Source(schema, f"SELECT {', '.join(values)} FROM {stage} AS stage", 0, stage)
    condition = " AND ".join(valid(field, f"stage.{name}", from_json) for field, name in columns)
    bad_records += db.scalar(f"SELECT count(*) FROM {stage} AS stage WHERE NOT ({condition})")
    if bad_records > max_bad_records:
        raise reading_error(f"Too many errors encountered: {bad_records} bad; maxBadRecords is {max_bad_records}.")
    return Source(schema, f"SELECT {', '.join(values)} FROM {stage} AS stage WHERE {condition}", bad_records, stage)
