"""Avro (cloud.google.com/bigquery/docs/exporting-data#avro_export_details)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import fastavro

from bq_emulator.model import BigQueryError, Field
from bq_emulator.schema import Schema
from bq_emulator.sql import bignumeric

_PLAIN = {"INT64": "long", "FLOAT64": "double", "BOOL": "boolean", "STRING": "string", "BYTES": "bytes"}
_LOGICAL = {
    "DATE": {"type": "int", "logicalType": "date"},
    "TIME": {"type": "long", "logicalType": "time-micros"},
    "TIMESTAMP": {"type": "long", "logicalType": "timestamp-micros"},
    "DATETIME": {"type": "string", "logicalType": "datetime"},
}
#: The greatest value of a BIGNUMERIC has 39 digits before the point and 38 after it.
_DECIMALS = {"NUMERIC": (38, 9), "BIGNUMERIC": (77, 38)}


def write(path: Path, schema: Schema, rows: Iterable[dict[str, Any]], codec: str, logical: bool) -> None:
    """``rows`` as DuckDB's values."""
    record = {"type": "record", "name": "Root", "fields": [_field(field, logical, "Root") for field in schema]}
    with path.open("wb") as file:
        plain = ({f.name: _value(f, row[f.name], logical) for f in schema} for row in rows)
        fastavro.writer(file, fastavro.parse_schema(record), plain, codec)


def _field(field: Field, logical: bool, parent: str) -> dict[str, Any]:
    kind = _type(field, logical, f"{parent}_{field.name}")
    if field.mode == "REPEATED":
        kind = {"type": "array", "items": kind}
    elif field.mode != "REQUIRED":
        kind = ["null", kind]
    return {"name": field.name, "type": kind}


def _type(field: Field, logical: bool, path: str) -> Any:
    if field.type == "STRUCT":
        return {"type": "record", "name": path, "fields": [_field(child, logical, path) for child in field.fields]}
    if field.type in _PLAIN:
        return _PLAIN[field.type]
    if field.type in _DECIMALS:
        precision, scale = _DECIMALS[field.type]
        return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
    if logical and field.type in _LOGICAL:
        return _LOGICAL[field.type]
    if field.type in (*_LOGICAL, "JSON"):
        return {"type": "string", "sqlType": field.type}
    raise BigQueryError("invalid", f"Field {field.name}: {field.type} cannot be extracted to Avro.")


def _value(field: Field, value: Any, logical: bool) -> Any:
    if field.mode == "REPEATED":
        element = Field(field.name, field.type, fields=field.fields)
        return [_value(element, each, logical) for each in value or ()]
    if value is None:
        return None
    if field.type == "STRUCT":
        return {child.name: _value(child, value[child.name], logical) for child in field.fields}
    if field.type == "BIGNUMERIC":
        return Decimal(bignumeric.decode(value)).scaleb(-bignumeric.SCALE, Context(prec=77))
    if field.type == "NUMERIC":
        return Decimal(value)
    if field.type == "DATETIME" or (not logical and field.type in ("DATE", "TIME")):
        return value.isoformat()
    if field.type == "TIMESTAMP":
        moment: datetime = value.astimezone(UTC)
        return moment if logical else moment.replace(tzinfo=None).isoformat(" ") + " UTC"
    return value
