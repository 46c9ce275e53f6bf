"""Avro and ORC: rewritten as Parquet in batches, then read as that.

Types as in cloud.google.com/bigquery/docs/loading-data-cloud-storage-avro#avro_conversions: logical types only with
useAvroLogicalTypes, else the types beneath them.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet as pq

from bq_emulator.loads.source import reading_error
from bq_emulator.model import BigQueryError

_BATCH_ROWS = 20_000
_PRIMITIVES = {
    "boolean": pa.bool_(),
    "int": pa.int64(),
    "long": pa.int64(),
    "float": pa.float64(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "fixed": pa.binary(),
    "string": pa.string(),
    "enum": pa.string(),
}
_LOGICAL = {
    "date": pa.date32(),
    "time-millis": pa.time32("ms"),
    "time-micros": pa.time64("us"),
    "timestamp-millis": pa.timestamp("ms", "UTC"),
    "timestamp-micros": pa.timestamp("us", "UTC"),
    "local-timestamp-millis": pa.timestamp("ms"),
    "local-timestamp-micros": pa.timestamp("us"),
}


def avro_to_parquet(path: Path, configuration: dict[str, Any], scratch: Path) -> Path:
    """Raises BigQueryError invalid for a file that is no Avro, notImplemented for a union of several types."""
    parquet = scratch / f"{secrets.token_hex(6)}.parquet"
    logical = bool(configuration.get("useAvroLogicalTypes"))
    try:
        with path.open("rb") as file:
            reader: Any = fastavro.reader(file)
            record = reader.writer_schema
            if record["type"] != "record":
                raise reading_error("the Avro file's schema is no record.")
            columns = [(f["name"], *_nullable(f["type"])) for f in record["fields"]]
            found = pa.schema([pa.field(name, _arrow_type(name, kind, True), null) for name, kind, null in columns])
            wanted = pa.schema([pa.field(name, _arrow_type(name, kind, logical), null) for name, kind, null in columns])
            with pq.ParquetWriter(parquet, wanted) as writer:
                while rows := list(islice(reader, _BATCH_ROWS)):
                    values = [[_plain(row[name], kind) for row in rows] for name, kind, _ in columns]
                    arrays = [pa.array(column, f.type) for column, f in zip(values, found, strict=True)]
                    raw = [_as(array, f.type) for array, f in zip(arrays, wanted, strict=True)]
                    writer.write_table(pa.Table.from_arrays(raw, schema=wanted))
    except (ValueError, EOFError, OverflowError, fastavro.read.SchemaResolutionError, pa.ArrowException) as error:
        raise reading_error(f"the file is not in Avro format: {error}") from error
    return parquet


def _nullable(kind: Any) -> tuple[Any, bool]:
    """The type without its null, and whether there was one."""
    if not isinstance(kind, list):
        return kind, False
    others = [member for member in kind if member != "null"]
    return (others[0] if len(others) == 1 else others), len(others) < len(kind)


def _name(kind: Any) -> Any:
    return kind["type"] if isinstance(kind, dict) else kind


def _arrow_type(path: str, kind: Any, logical: bool) -> pa.DataType:
    kind, _ = _nullable(kind)
    name = _name(kind)
    match name:
        case "array":
            return pa.list_(_arrow_type(path, kind["items"], logical))
        case "map":
            value = pa.field("value", _arrow_type(path, kind["values"], logical))
            return pa.list_(pa.struct([pa.field("key", pa.string(), False), value]))
        case "record":
            members = [(f["name"], *_nullable(f["type"])) for f in kind["fields"]]
            return pa.struct([pa.field(n, _arrow_type(f"{path}.{n}", t, logical), null) for n, t, null in members])
    meaning = kind.get("logicalType") if isinstance(kind, dict) else None
    if logical and meaning == "decimal":
        scale = kind.get("scale", 0)
        # BIGNUMERIC's 77 digits are one more than Arrow writes down; its values fit all the same.
        return pa.decimal128(kind["precision"], scale) if kind["precision"] <= 38 else pa.decimal256(76, scale)
    if logical and meaning in _LOGICAL:
        return _LOGICAL[meaning]
    if isinstance(name, str) and name in _PRIMITIVES:
        return _PRIMITIVES[name]
    raise BigQueryError("notImplemented", f"Avro field {path} has type {kind}, which this emulator does not load.")


def _plain(value: Any, kind: Any) -> Any:
    """A map is a list of its entries; a uuid is text. The rest is as fastavro reads it."""
    kind, _ = _nullable(kind)
    name = _name(kind)
    if value is None:
        return [] if name in ("array", "map") else None
    match name:
        case "array":
            return [_plain(element, kind["items"]) for element in value]
        case "map":
            return [{"key": key, "value": _plain(element, kind["values"])} for key, element in value.items()]
        case "record":
            return {f["name"]: _plain(value[f["name"]], f["type"]) for f in kind["fields"]}
    return str(value) if name == "string" else value


def _as(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """The array as the type beneath its logical type."""
    if array.type == kind:
        return array
    if pa.types.is_decimal(array.type) and pa.types.is_binary(kind):
        return pa.array([_unscaled(value.as_py(), array.type.scale) for value in array], kind)
    if pa.types.is_list(kind):
        return pa.ListArray.from_arrays(array.offsets, _as(array.values, kind.value_type), kind)
    if pa.types.is_struct(kind):
        children = [_as(child, f.type) for child, f in zip(array.flatten(), kind, strict=True)]
        return pa.StructArray.from_arrays(children, fields=list(kind), mask=array.is_null())
    if array.type.bit_width == 32:
        array = array.cast(pa.int32())
    return array.cast(kind)


def _unscaled(value: Decimal | None, scale: int) -> bytes | None:
    if value is None:
        return None
    number = int(value.scaleb(scale))
    return number.to_bytes((number.bit_length() + 8) // 8, "big", signed=True)


def orc_to_parquet(path: Path, scratch: Path) -> Path:
    """Raises BigQueryError invalid for a file that is no ORC."""
    parquet = scratch / f"{secrets.token_hex(6)}.parquet"
    try:
        file = pyarrow.orc.ORCFile(path)
        with pq.ParquetWriter(parquet, file.schema) as writer:
            for batch in _stripes(file):
                writer.write_batch(batch)
    except (pa.ArrowInvalid, OSError) as error:
        raise reading_error(f"the file is not in ORC format: {error}") from error
    return parquet


def _stripes(file: pyarrow.orc.ORCFile) -> Iterator[pa.RecordBatch]:
    for number in range(file.nstripes):
        yield file.read_stripe(number)
