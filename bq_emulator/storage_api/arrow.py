"""Columns as the Storage Read API sends them (cloud.google.com/bigquery/docs/reference/storage: Arrow schema)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa

from bq_emulator import arrow_decimals
from bq_emulator.duck import identifier
from bq_emulator.model import BigQueryError, Field
from bq_emulator.schema import Schema, duckdb_type

_TYPES = {
    "INT64": pa.int64(),
    "FLOAT64": pa.float64(),
    "NUMERIC": pa.decimal128(38, 9),
    "BIGNUMERIC": arrow_decimals.BIGNUMERIC,
    "INTERVAL": pa.month_day_nano_interval(),
    "BOOL": pa.bool_(),
    "STRING": pa.string(),
    "BYTES": pa.binary(),
    "DATE": pa.date32(),
    "DATETIME": pa.timestamp("us"),
    "TIME": pa.time64("us"),
    "TIMESTAMP": pa.timestamp("us", "UTC"),
    "JSON": pa.string(),
}
#: A message holds about so many bytes; Google's are of this order, and clients show progress by them.
_MESSAGE_BYTES = 1024 * 1024


def arrow_field(field: Field) -> pa.Field:
    """Raises BigQueryError notImplemented for a type that is not sent."""
    if field.type == "STRUCT":
        kind = pa.struct([arrow_field(child) for child in field.fields])
    elif field.type in _TYPES:
        kind = _TYPES[field.type]
    else:
        raise BigQueryError(
            "notImplemented", f"Column {field.name}: this emulator's Storage API does not send {field.type}."
        )
    if field.mode == "REPEATED":
        return pa.field(field.name, pa.list_(pa.field("item", kind)), nullable=False)
    return pa.field(field.name, kind, field.mode != "REQUIRED")


def _plain(field: Field) -> Field:
    """The field with JSON as text, which DuckDB would mark as an extension."""
    return replace(
        field, type="STRING" if field.type == "JSON" else field.type, fields=tuple(_plain(f) for f in field.fields)
    )


def select_list(schema: Schema) -> str:
    """DuckDB text for the columns in the types of :func:`arrow_field`."""
    return ", ".join(
        identifier(field.name)
        if _plain(field) == field
        else f"CAST({identifier(field.name)} AS {duckdb_type(_plain(field))}) AS {identifier(field.name)}"
        for field in schema
    )


def messages(reader: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows in batches of about a message's size."""
    for batch in reader:
        columns = [arrow_decimals.decoded(*pair) for pair in zip(batch.columns, schema.types, strict=True)]
        batch = pa.RecordBatch.from_arrays(columns, names=schema.names).cast(schema)
        rows = max(1, batch.num_rows * _MESSAGE_BYTES // max(batch.nbytes, 1))
        for start in range(0, batch.num_rows, rows):
            yield batch.slice(start, rows)
