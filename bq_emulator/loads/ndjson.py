"""Newline-delimited JSON (https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-json)."""

from __future__ import annotations

import gzip
import json
import re
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import orjson

from bq_emulator.duck import Session, identifier, literal
from bq_emulator.loads.names import column_names
from bq_emulator.loads.source import MAX_DETAILS, Source, is_gzip, reading_error
from bq_emulator.loads.text import Reading, source_from_stage
from bq_emulator.model import BigQueryError, Field
from bq_emulator.schema import Schema, find

_MAX_OBJECT_BYTES = 100 * 1024 * 1024
#: DuckDB reads a number with a fraction or exponent as a double, which keeps 15 digits of any number.
_LONG_NUMBER = re.compile(rb"[\d.]{17,}")

Structure = Any  # DuckDB's json_group_structure: a type name, a one-element list, or an object


def _reader(paths: Sequence[Path]) -> str:
    files = ", ".join(literal(str(path)) for path in paths)
    return f"[{files}], format = 'newline_delimited', maximum_object_size = {_MAX_OBJECT_BYTES}"


def structure(db: Session, paths: Sequence[Path]) -> dict[str, Structure]:
    """The merged structure of all the files' objects.

    Raises:
        BigQueryError: invalid for a line that is no JSON object.
    """
    try:
        merged = db.scalar(
            f"SELECT json_group_structure(json) FROM read_json_objects({_reader(paths)}, ignore_errors = true)"
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


def detect(db: Session, paths: Sequence[Path], configuration: dict[str, Any]) -> Schema:
    """A schema that every object of the files fits."""

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

    schema = tuple(field(name, found) for name, found in structure(db, paths).items())
    refined = [_refined(db, paths, column) for column in schema]
    names = column_names([column.name for column in refined], configuration, "V1")
    return tuple(replace(column, name=name) for column, name in zip(refined, names, strict=True))


def _refined(db: Session, paths: Sequence[Path], column: Field) -> Field:
    """A STRING column all of whose values are dates or timestamps becomes one, as BigQuery's detection does."""
    if column.type != "STRING" or column.mode == "REPEATED":
        return column
    name = identifier(column.name)
    texts = f"SELECT {name} AS x FROM read_json({_reader(paths)}, columns = {{{literal(column.name)}: 'VARCHAR'}})"
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
        elif element == "NULL":
            continue
        else:
            # JSON is what an object without members is called, too.
            json_path = f"{prefix}{key}{'[*]' if is_list else ''}"
            if field.type == "STRUCT":
                if element != "JSON" or not _has_only(db, path, json_path, ("OBJECT", "NULL")):
                    raise refuse("Non-object value specified for record field", key)
            elif element == "JSON" and not _has_only(db, path, json_path, _SCALAR_KINDS):
                raise refuse("Array or object specified for scalar field", key)


_SCALAR_KINDS = ("VARCHAR", "BIGINT", "UBIGINT", "DOUBLE", "BOOLEAN", "NULL")


def _has_only(db: Session, path: Path, json_path: str, kinds: Sequence[str]) -> bool:
    """Whether every value at ``json_path`` is of one of ``kinds``, as DuckDB's json_type calls them."""
    found = f"json_type(json, {literal(json_path)})"
    if "[*]" not in json_path:
        found = f"[{found}]"
    allowed = ", ".join(literal(kind) for kind in kinds)
    condition = f"list_bool_and(list_transform({found}, lambda kind: kind IS NULL OR kind IN ({allowed})))"
    objects = f"read_json_objects({_reader([path])}, ignore_errors = true)"
    return not db.scalar(f"SELECT bool_or(NOT {condition}) FROM {objects}")


def _text_type(field: Field) -> str:
    """The type to read a field with, every scalar as text."""
    if field.type == "STRUCT":
        kind = "STRUCT(" + ", ".join(f"{identifier(f.name)} {_text_type(f)}" for f in field.fields) + ")"
    else:
        kind = "JSON" if field.type == "JSON" else "VARCHAR"
    return kind + "[]" if field.mode == "REPEATED" else kind


def unpacked(path: Path, scratch: Path) -> Path:
    if not is_gzip(path):
        return path
    copy = scratch / f"{secrets.token_hex(6)}.unpacked"
    with gzip.open(path) as file, copy.open("wb") as output:
        shutil.copyfileobj(file, output)
    return copy


def _with_exact_numbers(path: Path, schema: Schema, scratch: Path) -> Path:
    """``path``, or a copy in which numbers too long for a double are texts, so that NUMERIC and INT64 stay exact."""
    json_columns = {field.name.lower() for field in schema if field.type == "JSON"}
    with path.open("rb") as file:
        if not any(_LONG_NUMBER.search(line) for line in file):
            return path
    exact = scratch / f"{secrets.token_hex(6)}.exact"
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


def _screened(
    path: Path, schema: Schema, ignore_unknown: bool, scratch: Path
) -> tuple[Path, list[BigQueryError], list[int]]:
    """A copy of the file without the lines that are not objects of the schema's shape; what was wrong with these, and
    their numbers from 1."""
    bad: list[BigQueryError] = []
    skipped: list[int] = []
    screened = scratch / f"{secrets.token_hex(6)}.screened"
    with path.open("rb") as file, screened.open("wb") as output:
        for number, line in enumerate((line for line in file if line.strip()), 1):
            try:
                row = orjson.loads(line)
                problem = _misshapen(row, schema, ignore_unknown) if isinstance(row, dict) else "Expected an object."
            except orjson.JSONDecodeError as error:
                problem = str(error)
            if problem is None:
                output.write(line)
                continue
            skipped.append(number)
            if len(bad) < MAX_DETAILS:
                bad.append(reading_error(f"JSON parsing error in row {number}: {problem}"))
    return screened, bad, skipped


def _misshapen(row: dict[str, Any], schema: Schema, ignore_unknown: bool, path: str = "") -> str | None:
    """What is wrong with the shape of one object; None for nothing."""
    for key, value in row.items():
        name = f"{path}{key}"
        field = find(schema, key)
        if field is None:
            if ignore_unknown:
                continue
            return f"No such field: {name}."
        if value is None:
            continue
        if field.mode == "REPEATED" and not isinstance(value, list):
            return f"Non-array value specified for repeated field: {name}."
        if field.type == "JSON":
            continue
        if field.mode != "REPEATED" and isinstance(value, list):
            return f"Array specified for non-repeated field: {name}."
        for element in value if isinstance(value, list) else (value,):
            if field.type == "STRUCT":
                if not isinstance(element, dict):
                    return f"Non-object value specified for record field: {name}."
                if problem := _misshapen(element, field.fields, ignore_unknown, f"{name}."):
                    return problem
            elif isinstance(element, (dict, list)):
                return f"Array or object specified for scalar field: {name}."
    return None


def read(db: Session, path: Path, configuration: dict[str, Any], schema: Schema, scratch: Path) -> Source:
    """Raises BigQueryError invalid for lines that do not fit, unless the job allows bad records, and for unknown fields
    unless ``ignoreUnknownValues``. ``scratch`` is a folder for copies."""
    reading = Reading.from_configuration(configuration, from_json=True)
    ignore_unknown = bool(configuration.get("ignoreUnknownValues"))
    path = unpacked(path, scratch)
    bad: list[BigQueryError] = []
    skipped: list[int] = []
    if reading.max_bad_records:
        path, bad, skipped = _screened(path, schema, ignore_unknown, scratch)
    path = _with_exact_numbers(path, schema, scratch)
    found = structure(db, [path])
    if not ignore_unknown and not reading.max_bad_records:
        _check_known(db, path, found, schema)
    stage = f"__stage_{secrets.token_hex(6)}"
    columns = ", ".join(f"{literal(_spelling(found, field))}: {literal(_text_type(field))}" for field in schema)
    renamed = ", ".join(f"{identifier(_spelling(found, field))} AS {identifier(field.name)}" for field in schema)
    try:
        db.execute(
            f"CREATE TEMP TABLE {stage} AS SELECT {renamed} FROM read_json({_reader([path])}, columns = {{{columns}}})"
        )
    except duckdb.Error as error:
        raise reading_error(f"JSON parsing error: {str(error).splitlines()[0]}") from error
    return source_from_stage(db, stage, schema, reading, bad, skipped)


def _spelling(found: dict[str, Structure], field: Field) -> str:
    """The file's spelling of a column, whose case may differ."""
    return next((key for key in found if key.lower() == field.name.lower()), field.name)
