"""Constants: from the analyzer's value messages and from REST query parameters, to Python values and DuckDB text."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any

from zetasql.wasi._pb2.zetasql.public import value_pb2

from bq_emulator.model import BigQueryError
from bq_emulator.sql import bignumeric
from bq_emulator.sql.types import Type, quote

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def text(value: str) -> str:
    """A DuckDB string literal."""
    return "'" + value.replace("'", "''") + "'"


def sql(value: Any, kind: Type) -> str:
    """DuckDB text of a Python value (as :func:`from_proto` gives it) of type ``kind``."""
    name = kind.name
    if value is None:
        return f"NULL::{kind.duckdb()}"
    if name == "ARRAY":
        return f"[{', '.join(sql(item, kind.item) for item in value)}]::{kind.duckdb()}"
    if name == "STRUCT":
        members = zip(kind.field_names(), value, (member for _, member in kind.fields), strict=True)
        return "{" + ", ".join(f"{text(key)}: {sql(item, member)}" for key, item, member in members) + "}"
    if name == "BOOL":
        return "true" if value else "false"
    if name == "STRING":
        return text(value)
    if name == "BYTES":
        return f"unhex('{value.hex()}')"
    if name == "FLOAT64":
        quoted = not math.isfinite(value) or repr(value) == "-0.0"  # DuckDB's -0.0 is 0
        return f"'{value!r}'::DOUBLE" if quoted else f"({value!r})::DOUBLE"
    if name == "INT64":
        return f"{value}::BIGINT" if value >= 0 else f"({value})::BIGINT"
    if name == "NUMERIC":
        return f"({value:f})::DECIMAL(38,9)"
    if name == "BIGNUMERIC":
        return "'" + "".join(f"\\x{byte:02X}" for byte in bignumeric.encode(bignumeric.units(value))) + "'::BLOB"
    if name == "TIMESTAMP":
        return f"'{value.replace(tzinfo=None).isoformat(' ')}+00'::TIMESTAMPTZ"
    if name == "DATETIME":
        return f"'{value.isoformat(' ')}'::TIMESTAMP"
    if name == "INTERVAL":
        months, days, micros = value
        return f"(to_months({months}) + to_days({days}) + to_microseconds({micros}))"
    return f"{text(str(value))}::{kind.duckdb()}"  # DATE, TIME, JSON


def from_proto(value: value_pb2.ValueProto, kind: Type) -> Any:
    """The Python value: int, float, Decimal, str, bytes, bool, date, datetime (aware for TIMESTAMP), time, a list for
    ARRAY, a tuple for STRUCT, the JSON text for JSON, (months, days, microseconds) for INTERVAL, None for NULL."""
    which = value.WhichOneof("value")
    if which is None:
        return None
    raw = getattr(value, which)
    name = kind.name
    if name == "ARRAY":
        return [from_proto(item, kind.item) for item in raw.element]
    if name == "STRUCT":
        return tuple(from_proto(item, member) for item, (_, member) in zip(raw.field, kind.fields, strict=True))
    if name == "NUMERIC":
        return _decimal(int.from_bytes(raw, "little", signed=True), 9)
    if name == "BIGNUMERIC":
        return _decimal(int.from_bytes(raw, "little", signed=True), bignumeric.SCALE)
    if name == "DATE":
        return dt.date(1970, 1, 1) + dt.timedelta(days=raw)
    if name == "TIMESTAMP":
        return EPOCH + dt.timedelta(seconds=raw.seconds, microseconds=raw.nanos // 1000)
    if name == "DATETIME":
        bits = raw.bit_field_datetime_seconds
        day = dt.datetime(bits >> 26, bits >> 22 & 15, bits >> 17 & 31)
        clock = dt.timedelta(hours=bits >> 12 & 31, minutes=bits >> 6 & 63, seconds=bits & 63)
        return day + clock + dt.timedelta(microseconds=raw.nanos // 1000)
    if name == "TIME":
        seconds, nanos = raw >> 30, raw & (1 << 30) - 1
        return dt.time(seconds >> 12 & 31, seconds >> 6 & 63, seconds & 63, nanos // 1000)
    if name == "INTERVAL":
        micros = int.from_bytes(raw[:8], "little", signed=True)
        days = int.from_bytes(raw[8:12], "little", signed=True)
        packed = int.from_bytes(raw[12:16], "little")
        months = (packed & 0x7FFFE000) >> 13
        return (-months if packed >> 31 else months, days, micros)
    return raw


def _decimal(units: int, scale: int) -> Decimal:
    """10^-scale units as Decimal; arithmetic on Decimal would round to the context's 28 digits."""
    return Decimal((int(units < 0), tuple(int(digit) for digit in str(abs(units))), -scale))


def struct_of(kind: Type, items: list[str]) -> str:
    """DuckDB text that builds a STRUCT of ``kind`` from the texts of its fields."""
    names = kind.field_names()
    if len({name.lower() for name in names}) != len(names):
        raise BigQueryError("notImplemented", f"STRUCT with repeated field names is not supported: {kind}", "query")
    members = zip(names, items, strict=True)
    return f"struct_pack({', '.join(f'{quote(name)} := {item}' for name, item in members)})"
