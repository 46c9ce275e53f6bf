"""Parquet (cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet): columns by name, types checked."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bq_emulator import arrow_decimals
from bq_emulator.duck import identifier, literal
from bq_emulator.loads.names import column_names
from bq_emulator.loads.source import Source, reading_error
from bq_emulator.model import BigQueryError, Field
from bq_emulator.schema import Schema, duckdb_type, find

#: Types of a declared column that a column found as the key may be loaded into.
_ACCEPTED = {
    "STRING": {"BYTES"},
    "BYTES": {"STRING"},
    "DATETIME": {"TIMESTAMP"},
    "TIMESTAMP": {"DATETIME"},
    "NUMERIC": {"BIGNUMERIC"},
}


def decimal_target(precision: int, scale: int, targets: Collection[str]) -> str:
    """The first of NUMERIC, BIGNUMERIC, STRING among ``targets`` that holds every such decimal, else the widest."""
    fits = {"NUMERIC": scale <= 9 and precision - scale <= 29, "BIGNUMERIC": scale <= 38 and precision - scale <= 38}
    offered = [name for name in ("NUMERIC", "BIGNUMERIC", "STRING") if name in targets]
    return next((name for name in offered if fits.get(name, True)), offered[-1])


def decimal_targets(configuration: dict[str, Any]) -> list[str]:
    """Raises BigQueryError invalid for a decimalTargetTypes that BigQuery does not take."""
    is_orc = configuration.get("sourceFormat", "").upper() == "ORC"
    targets = configuration.get("decimalTargetTypes") or (["NUMERIC", "STRING"] if is_orc else ["NUMERIC"])
    if len(set(targets)) < len(targets) or set(targets) - {"NUMERIC", "BIGNUMERIC", "STRING"}:
        raise BigQueryError("invalid", f"Invalid value for decimalTargetTypes: {', '.join(targets)}.")
    return list(targets)


def _scalar_type(kind: pa.DataType, path: str, targets: Collection[str]) -> str:
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
        return decimal_target(kind.precision, kind.scale, targets)
    if isinstance(kind, pa.DictionaryType):
        return _scalar_type(kind.value_type, path, targets)
    if isinstance(kind, pa.BaseExtensionType):
        return _scalar_type(kind.storage_type, path, targets)
    raise BigQueryError("notImplemented", f"Parquet column {path} has type {kind}, which this emulator does not load.")


def _field(column: pa.Field, lists: bool, targets: Collection[str], path: str = "") -> Field:
    """``lists``: read LIST groups as arrays (enableListInference); else as BigQuery's default, records of records."""
    path = f"{path}{column.name}"
    kind = column.type
    mode = "NULLABLE" if column.nullable else "REQUIRED"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        element = _field(kind.value_field, lists, targets, f"{path}.")
        if element.mode == "REPEATED":
            raise BigQueryError("invalid", f"Parquet column {path} is a list of lists, which BigQuery has not.")
        if not lists:
            raise BigQueryError(
                "notImplemented",
                f"Parquet column {path} is a list: set parquetOptions.enableListInference or declare it REPEATED.",
            )
        return Field(column.name, element.type, "REPEATED", element.fields)
    if pa.types.is_struct(kind):
        return Field(column.name, "STRUCT", mode, tuple(_field(child, lists, targets, f"{path}.") for child in kind))
    return Field(column.name, _scalar_type(kind, path, targets), mode)


def read(path: Path, configuration: dict[str, Any], schema: Schema, scratch: Path) -> Source:
    """``schema`` is the declared or the existing table's, empty for none; columns only the file has keep the type found
    there (or are ignored, with ignoreUnknownValues), columns only the schema has are left out.

    Raises:
        BigQueryError: invalid for a file that is no Parquet or a column of another type than declared.
    """
    try:
        found = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise reading_error(f"the file is not in Parquet format: {error}") from error
    options = configuration.get("parquetOptions") or {}
    if options.get("mapTargetType"):
        raise BigQueryError("notImplemented", "parquetOptions.mapTargetType is not supported by this emulator.")
    targets = decimal_targets(configuration)
    enums = _enums(found)
    names = column_names(found.schema_arrow.names, configuration)
    columns, values, unconverted = [], [], []
    for column, name in zip(found.schema_arrow, names, strict=True):
        declared = find(schema, name)
        if declared is None and schema and configuration.get("ignoreUnknownValues"):
            continue
        lists = bool(options.get("enableListInference")) or bool(declared and declared.mode == "REPEATED")
        field = replace(_field(column, lists, targets), name=name)
        value = identifier(column.name)
        if column.name in enums:
            # DuckDB reads an ENUM as text.
            field = replace(field, type="STRING" if options.get("enumAsString") else "BYTES")
            value = value if options.get("enumAsString") else f"encode(CAST({value} AS VARCHAR))"
        if declared is not None:
            if declared.type == "JSON":
                raise BigQueryError("invalid", "Unsupported field type: JSON")
            if pa.types.is_decimal(column.type) and declared.type in ("NUMERIC", "BIGNUMERIC"):
                field = replace(field, type=declared.type)
            _check(field, declared)
        if pa.types.is_decimal(column.type):
            value = _exact(column, field, value)
        if declared is not None:
            value = _converted(field, declared, value)
            # What the column may hold was decided when it was declared; a NULL in it fails there.
            field = replace(declared, name=field.name, description=None, default_expression=None)
        columns.append(field)
        values.append(value)
        unconverted.append(identifier(column.name) if _always_fits(column.type, field) else value)
    readable = _readable(path, found, scratch)
    # The first line of a schema's text is an address.
    kind = str(found.schema).partition("\n")[2] if readable == path else None
    query = f"SELECT {', '.join(values)} FROM read_parquet({literal(str(readable))})"
    return Source(tuple(columns), query, values=tuple(values), readable=tuple(unconverted), file=kind)


def _readable(path: Path, file: pq.ParquetFile, scratch: Path) -> Path:
    """The file with its decimals of more than 38 digits, which DuckDB would make doubles, as BIGNUMERIC's BLOBs.

    Raises:
        BigQueryError: notImplemented for such a decimal in a record or list, invalid for one beyond BIGNUMERIC.
    """
    wide = [column.name for column in file.schema_arrow if arrow_decimals.has_decimals(column.type)]
    if not wide:
        return path
    nested = next((name for name in wide if not _is_wide(file.schema_arrow.field(name).type)), None)
    if nested is not None:
        message = f"Parquet column {nested} is nested and has decimals of more than 38 digits: not supported."
        raise BigQueryError("notImplemented", message)
    made = scratch / f"{secrets.token_hex(6)}.parquet"
    kinds = pa.schema([pa.field(c.name, pa.binary() if c.name in wide else c.type) for c in file.schema_arrow])
    try:
        with pq.ParquetWriter(made, kinds) as writer:
            for batch in file.iter_batches():
                columns = [
                    arrow_decimals.to_blobs(column) if name in wide else column
                    for name, column in zip(batch.schema.names, batch.columns, strict=True)
                ]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=kinds))
    except pa.ArrowInvalid as error:
        raise reading_error(f"a decimal of columns {', '.join(wide)} is beyond BIGNUMERIC: {error}") from error
    return made


def _always_fits(kind: pa.DataType, field: Field) -> bool:
    """Whether every such decimal is a NUMERIC."""
    digits = bool(pa.types.is_decimal(kind)) and kind.scale <= 9 and kind.precision - kind.scale <= 29
    return digits and field.type == "NUMERIC"


def _is_wide(kind: pa.DataType) -> bool:
    return bool(pa.types.is_decimal256(kind))


def _enums(file: pq.ParquetFile) -> set[str]:
    """The top-level columns whose logical type is ENUM."""
    leaves = [file.schema.column(number) for number in range(len(file.schema))]
    return {leaf.path for leaf in leaves if leaf.logical_type.type == "ENUM"}


def _exact(column: pa.Field, field: Field, value: str) -> str:
    """A decimal as ``field``'s type; digits that it cannot hold are an error."""
    if _is_wide(column.type):
        if field.type != "NUMERIC":
            return value if field.type == "BIGNUMERIC" else f"bq_big_text({value})"
        value = f"bq_big_text({value})"
        digits = f"length(regexp_extract({value}, '[.](.*)', 1))"
        message = literal(f"Parquet column '{column.name}' has a value that NUMERIC cannot hold: ")
        return f"CASE WHEN {digits} > 9 THEN error({message} || {value}) ELSE CAST({value} AS DECIMAL(38,9)) END"
    if field.type == "BIGNUMERIC":
        return f"bq_big_parse(CAST({value} AS VARCHAR))"
    converted = f"CAST({value} AS {duckdb_type(replace(field, mode='NULLABLE'))})"
    if field.type != "NUMERIC" or column.type.scale <= 9:
        return converted
    message = literal(f"Parquet column '{column.name}' has a value that NUMERIC cannot hold: ")
    return f"CASE WHEN {converted} <> {value} THEN error({message} || {value}) ELSE {converted} END"


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
    if found.fields or declared.mode == "REPEATED":
        return _nested(declared, value)
    return f"CAST({value} AS {duckdb_type(declared)})"


def _nested(declared: Field, value: str) -> str:
    """A cast, but for the BIGNUMERICs within, which DuckDB has as BLOBs."""
    if not _holds_big_numeric(declared):
        return f"CAST({value} AS {duckdb_type(declared)})"
    if declared.mode == "REPEATED":
        return f"list_transform({value}, lambda x: {_nested(replace(declared, mode='NULLABLE'), 'x')})"
    if declared.type == "STRUCT":
        names = [(child, identifier(child.name)) for child in declared.fields]
        members = ", ".join(f"{name} := {_nested(child, f'{value}.{name}')}" for child, name in names)
        return f"CASE WHEN {value} IS NULL THEN NULL ELSE struct_pack({members}) END"
    return f"bq_big_parse(CAST({value} AS VARCHAR))"


def _holds_big_numeric(field: Field) -> bool:
    return field.type == "BIGNUMERIC" or any(map(_holds_big_numeric, field.fields))
