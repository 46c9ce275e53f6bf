"""Newline-delimited JSON (https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-json)."""

from __future__ import annotations

import gzip
import json
import re
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import orjson

from bq_emulator.duck import Session, identifier, literal
from bq_emulator.loads.source import Source, reading_error
from bq_emulator.loads.text import source_from_stage
from bq_emulator.model import BigQueryError, Field
from bq_emulator.schema import Schema, find

_MAX_OBJECT_BYTES = 100 * 1024 * 1024
#: DuckDB reads a number with a fraction or exponent as a double, which keeps 15 digits of any number.
_LONG_NUMBER = re.compile(rb"[\d.]{17,}")

Structure = Any  # DuckDB's json_group_structure: a type name, a one-element list, or an object


def _reader(path: Path) -> str:
    return f"{literal(str(path))}, format = 'newline_delimited', maximum_object_size = {_MAX_OBJECT_BYTES}"


def structure(db: Session, path: Path) -> dict[str, Structure]:
    """The merged structure of all the file's objects.

    Raises:
        BigQueryError: invalid for a line that is no JSON object.
    """
    try:
        merged = db.scalar(
            f"SELECT json_group_structure(json) FROM read_json_objects({_reader(path)}, ignore_errors = true)"
        )
    except duckdb.Error as error:
        raise reading_error(f"JSON parsing error: {str(error).splitlines()[0]}") from error
    found = orjson.loads(merged) if merged else {}
    if not isinstance(found, dict):
        raise reading_error("JSON parsing error: every line must hold one JSON object.")
    return found


_DETECTED = {
    "UBIGINT": "INT64",
    "BIGINT": "INT64",
    "HUGEINT": "NUMERIC",
    "DOUBLE": "FLOAT64",
    "BOOLEAN": "BOOL",
}


def detect(db: Session, path: Path) -> Schema:
    """A schema that every object of the file fits."""

    def field(name: str, found: Structure) -> Field:
        if isinstance(found, list):
            return replace(field(name, found[0]), mode="REPEATED")
        if isinstance(found, dict):
            return Field(name, "STRUCT", fields=tuple(field(key, child) for key, child in found.items()))
        if found == "JSON":
            raise reading_error(
                f"the schema cannot be detected: {name} holds values of different types; give a schema."
            )
        return Field(name, _DETECTED.get(found, "STRING"))

    schema = tuple(field(name, found) for name, found in structure(db, path).items())
    return tuple(_refined(db, path, column) for column in schema)


def _refined(db: Session, path: Path, column: Field) -> Field:
    """A STRING column all of whose values are dates or timestamps becomes one, as BigQuery's detection does."""
    if column.type != "STRING" or column.mode == "REPEATED":
        return column
    name = identifier(column.name)
    texts = f"SELECT {name} AS x FROM read_json({_reader(path)}, columns = {{{literal(column.name)}: 'VARCHAR'}})"
    patterns = {"DATE": r"\d{4}-\d\d-\d\d", "TIMESTAMP": r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d.*"}
    for kind, pattern in patterns.items():
        target = "TIMESTAMPTZ" if kind == "TIMESTAMP" else kind
        fits = f"regexp_full_match(x, {literal(pattern)}) AND TRY_CAST(x AS {target}) IS NOT NULL"
        if db.scalar(f"SELECT count(x) > 0 AND bool_and({fits}) FROM ({texts}) WHERE x IS NOT NULL"):
            return replace(column, type=kind)
    return column


def _check_known(db: Session, path: Path, found: dict[str, Structure], schema: Schema, prefix: str = "$.") -> None:
    """Raises BigQueryError invalid for a key that is no field, or a value of another shape than its field's."""

    def refuse(what: str, key: str) -> BigQueryError:
        return reading_error(f"JSON parsing error: {what}: {(prefix + key).removeprefix('$.').replace('[*]', '')}.")

    for key, inner in found.items():
        field = find(schema, key)
        if field is None:
            raise refuse("No such field", key)
        if field.type == "JSON" and field.mode != "REPEATED":
            continue
        if inner == "NULL":
            continue
        is_list = isinstance(inner, list)
        if is_list and field.mode != "REPEATED":
            raise refuse("Array specified for non-repeated field", key)
        if not is_list and field.mode == "REPEATED":
            raise refuse("Non-array value specified for repeated field", key)
        element = inner[0] if is_list else inner
        if field.type == "JSON":
            continue
        if isinstance(element, dict):
            if field.type != "STRUCT":
                raise refuse("Object specified for non-record field", key)
            _check_known(db, path, element, field.fields, f"{prefix}{key}{'[*]' if is_list else ''}.")
        elif field.type == "STRUCT" and element != "NULL":
            raise refuse("Non-object value specified for record field", key)
        elif element == "JSON" and _has_composite(db, path, f"{prefix}{key}{'[*]' if is_list else ''}"):
            raise refuse("Array or object specified for scalar field", key)


def _has_composite(db: Session, path: Path, json_path: str) -> bool:
    """Whether a value at ``json_path``, where values of several types meet, is an array or object."""
    kinds = f"json_type(json, {literal(json_path)})"
    composite = "['ARRAY', 'OBJECT']"
    condition = f"list_has_any({kinds}, {composite})" if "[*]" in json_path else f"list_contains({composite}, {kinds})"
    return bool(db.scalar(f"SELECT bool_or({condition}) FROM read_json_objects({_reader(path)}, ignore_errors = true)"))


def _text_type(field: Field) -> str:
    """The type to read a field with, every scalar as text."""
    if field.type == "STRUCT":
        kind = "STRUCT(" + ", ".join(f"{identifier(f.name)} {_text_type(f)}" for f in field.fields) + ")"
    else:
        kind = "JSON" if field.type == "JSON" else "VARCHAR"
    return kind + "[]" if field.mode == "REPEATED" else kind


def _with_exact_numbers(path: Path, schema: Schema) -> Path:
    """``path``, or a copy in which numbers too long for a double are texts, so that NUMERIC and INT64 stay exact."""
    if path.read_bytes()[:2] == b"\x1f\x8b":
        unpacked = path.with_suffix(".unpacked")
        unpacked.write_bytes(gzip.decompress(path.read_bytes()))
        path = unpacked
    json_columns = {field.name.lower() for field in schema if field.type == "JSON"}
    with path.open("rb") as file:
        if not any(_LONG_NUMBER.search(line) for line in file):
            return path
    exact = path.with_suffix(".exact")
    with path.open("rb") as file, exact.open("wb") as output:
        for line in file:
            if _LONG_NUMBER.search(line):
                try:
                    values = json.loads(line, parse_float=str)
                except ValueError:
                    pass  # the reader reports it, with its place
                else:
                    plain = json.loads(line)
                    values = {k: plain[k] if k.lower() in json_columns else v for k, v in values.items()}
                    line = json.dumps(values).encode() + b"\n"
            output.write(line)
    return exact


def read(db: Session, path: Path, configuration: dict[str, Any], schema: Schema) -> Source:
    """Raises BigQueryError invalid for lines that do not fit, beyond ``maxBadRecords``, and for unknown fields unless
    ``ignoreUnknownValues``."""
    path = _with_exact_numbers(path, schema)
    found = structure(db, path)
    if not configuration.get("ignoreUnknownValues"):
        _check_known(db, path, found, schema)
    max_bad = int(configuration.get("maxBadRecords") or 0)
    stage = f"__stage_{secrets.token_hex(6)}"
    columns = ", ".join(f"{literal(_spelling(found, field))}: {literal(_text_type(field))}" for field in schema)
    renamed = ", ".join(f"{identifier(_spelling(found, field))} AS {identifier(field.name)}" for field in schema)
    reader = f"{_reader(path)}, ignore_errors = {'true' if max_bad else 'false'}, columns = {{{columns}}}"
    try:
        db.execute(f"CREATE TEMP TABLE {stage} AS SELECT {renamed} FROM read_json({reader})")
    except duckdb.Error as error:
        raise reading_error(f"JSON parsing error: {str(error).splitlines()[0]}") from error
    malformed = 0
    if max_bad:
        malformed = db.scalar(
            f"SELECT count(*) FROM read_json_objects({_reader(path)}, ignore_errors = true) WHERE json IS NULL"
        )
        # A malformed line is read as a row of NULLs, no different from an empty object.
        if malformed:
            empty = " AND ".join(f"{identifier(field.name)} IS NULL" for field in schema)
            db.execute(f"DELETE FROM {stage} WHERE {empty}")
    return source_from_stage(db, stage, schema, True, malformed, max_bad)


def _spelling(found: dict[str, Structure], field: Field) -> str:
    """The file's spelling of a column, whose case may differ."""
    return next((key for key in found if key.lower() == field.name.lower()), field.name)
