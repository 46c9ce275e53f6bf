"""Parquet (cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet): columns by name, types checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bq_emulator.duck import identifier, literal
from bq_emulator.loads.source import Source, reading_error
from bq_emulator.model import BigQueryError, Field
from bq_emulator.schema import Schema, duckdb_type, find

#: Types of a declared column that a column found as the key may be loaded into.
_ACCEPTED = {
    "STRING": {"JSON", "BYTES"},
    "BYTES": {"STRING"},
    "DATETIME": {"TIMESTAMP"},
    "TIMESTAMP": {"DATETIME"},
    "JSON": {"STRING"},
}


def _scalar_type(kind: pa.DataType, path: str) -> str:
    if pa.types.is_integer(kind):
        return "INT64"
    if pa.types.is_floating(kind):
        return "FLOAT64"
    if pa.types.is_boolean(kind):
        return "BOOL"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
        return "STRING"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return "BYTES"
    if pa.types.is_date(kind):
        return "DATE"
    if pa.types.is_time(kind):
        return "TIME"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP" if kind.tz else "DATETIME"
    if pa.types.is_decimal(kind):
        if kind.scale <= 9 and kind.precision - kind.scale <= 29:
            return "NUMERIC"
        raise BigQueryError(
            "notImplemented",
            f"Parquet column {path} is {kind}: that is a BIGNUMERIC, which this emulator does not store.",
        )
    if isinstance(kind, pa.DictionaryType):
        return _scalar_type(kind.value_type, path)
    if isinstance(kind, pa.BaseExtensionType):
        return "JSON" if kind.extension_name == "arrow.json" else _scalar_type(kind.storage_type, path)
    raise BigQueryError("notImplemented", f"Parquet column {path} has type {kind}, which this emulator does not load.")


def _field(column: pa.Field, lists: bool, path: str = "") -> Field:
    """``lists``: read LIST groups as arrays (enableListInference); else as BigQuery's default, records of records."""
    path = f"{path}{column.name}"
    kind = column.type
    mode = "NULLABLE" if column.nullable else "REQUIRED"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        element = _field(kind.value_field, lists, f"{path}.")
        if element.mode == "REPEATED":
            raise BigQueryError("invalid", f"Parquet column {path} is a list of lists, which BigQuery has not.")
        if not lists:
            raise BigQueryError(
                "notImplemented",
                f"Parquet column {path} is a list: set parquetOptions.enableListInference or declare it REPEATED.",
            )
        return Field(column.name, element.type, "REPEATED", element.fields)
    if pa.types.is_struct(kind):
        return Field(column.name, "STRUCT", mode, tuple(_field(child, lists, f"{path}.") for child in kind))
    return Field(column.name, _scalar_type(kind, path), mode)


def read(path: Path, configuration: dict[str, Any], schema: Schema) -> Source:
    """``schema`` is the declared or the existing table's, empty for none; columns only the file has keep the type found
    there, columns only the schema has are left out.

    Raises:
        BigQueryError: invalid for a file that is no Parquet or a column of another type than declared.
    """
    try:
        found = pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise reading_error(f"the file is not in Parquet format: {error}") from error
    lists = bool((configuration.get("parquetOptions") or {}).get("enableListInference"))
    columns, values = [], []
    for column in found:
        declared = find(schema, column.name)
        field = _field(column, lists or bool(declared and declared.mode == "REPEATED"))
        value = identifier(column.name)
        if declared is not None:
            _check(field, declared)
            value = _converted(field, declared, value)
            # What the column may hold was decided when it was declared; a NULL in it fails there.
            field = Field(
                field.name,
                declared.type,
                declared.mode,
                declared.fields,
                None,
                declared.precision,
                declared.scale,
                declared.max_length,
            )
        columns.append(field)
        values.append(value)
    return Source(tuple(columns), f"SELECT {', '.join(values)} FROM read_parquet({literal(str(path))})")


def _check(found: Field, declared: Field, path: str = "") -> None:
    path = f"{path}{declared.name}"
    if (found.mode == "REPEATED") != (declared.mode == "REPEATED"):
        raise reading_error(
            f"Parquet column '{path}' has mode {found.mode}, which does not match the target's {declared.mode}."
        )
    if found.type != declared.type and declared.type not in _ACCEPTED.get(found.type, ()):
        raise reading_error(
            f"Parquet column '{path}' has type {found.type} which does not match the target type {declared.type}."
        )
    for child in found.fields:
        match = find(declared.fields, child.name)
        if match is None:
            raise reading_error(f"Parquet column '{path}.{child.name}' is not in the schema.")
        _check(child, match, f"{path}.")


def _converted(found: Field, declared: Field, value: str) -> str:
    if (found.type, declared.type) == ("STRING", "BYTES"):
        return f"encode({value})"
    if (found.type, declared.type) == ("BYTES", "STRING"):
        return f"decode({value})"
    return f"CAST({value} AS {duckdb_type(declared)})"
