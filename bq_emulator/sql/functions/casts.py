"""CAST from every type to every type that GoogleSQL allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zetasql.wasi._pb2.zetasql.public.type_parameters_pb2 import TypeParametersProto

from bq_emulator.model import BigQueryError
from bq_emulator.sql import literal
from bq_emulator.sql.functions import evaluated
from bq_emulator.sql.types import Type, quote

if TYPE_CHECKING:
    from bq_emulator.sql.translate.context import Context

_TO_INTERVAL = literal.text(evaluated.PRINTED["INTERVAL"].replace("{0}", "CAST(a0 AS INTERVAL)"))
#: (from, to) → DuckDB; {0} is the operand, {1} the time zone.
CASTS: dict[tuple[str, str], str] = {
    ("INT64", "FLOAT64"): "CAST({0} AS DOUBLE)",
    ("INT64", "NUMERIC"): "CAST({0} AS DECIMAL(38,9))",
    ("INT64", "STRING"): "CAST({0} AS VARCHAR)",
    ("INT64", "BOOL"): "({0} <> 0)",
    ("FLOAT64", "INT64"): "CAST(round({0}) AS BIGINT)",
    # As Google: the double's exact value, rounded half away from zero.
    ("FLOAT64", "NUMERIC"): "CAST(format('{:.20f}', {0}) AS DECIMAL(38,9))",
    ("FLOAT64", "STRING"): "bq_float_to_string({0})",
    ("NUMERIC", "INT64"): "CAST({0} AS BIGINT)",
    ("NUMERIC", "FLOAT64"): "CAST({0} AS DOUBLE)",
    ("NUMERIC", "STRING"): "bq_numeric_to_string({0})",
    ("INT64", "BIGNUMERIC"): "bq_big_parse(CAST({0} AS VARCHAR))",
    ("FLOAT64", "BIGNUMERIC"): "bq_big_from_double({0})",
    ("NUMERIC", "BIGNUMERIC"): "bq_big_parse(CAST({0} AS VARCHAR))",
    ("STRING", "BIGNUMERIC"): "bq_big_parse({0})",
    ("BIGNUMERIC", "INT64"): "bq_big_to_int64({0})",
    ("BIGNUMERIC", "FLOAT64"): "bq_big_to_double({0})",
    ("BIGNUMERIC", "NUMERIC"): "CAST(bq_big_to_numeric({0}) AS DECIMAL(38,9))",
    ("BIGNUMERIC", "STRING"): "bq_big_text({0})",
    ("STRING", "INTERVAL"): f"bq_interval_from_parts(bq_google({_TO_INTERVAL}, [{{0}}]))",
    ("INTERVAL", "STRING"): "bq_interval_to_string({0})",
    ("BOOL", "INT64"): "CAST({0} AS BIGINT)",
    ("BOOL", "STRING"): "CAST({0} AS VARCHAR)",
    ("STRING", "INT64"): "bq_string_to_int64({0})",
    ("STRING", "FLOAT64"): "bq_string_to_float64({0})",
    ("STRING", "NUMERIC"): "bq_string_to_numeric({0})",
    ("STRING", "BOOL"): "bq_string_to_bool({0})",
    ("STRING", "BYTES"): "encode({0})",
    ("STRING", "DATE"): "bq_string_to_date({0})",
    ("STRING", "DATETIME"): "bq_string_to_datetime({0})",
    ("STRING", "TIMESTAMP"): "bq_string_to_timestamp({0}, {1})",
    ("STRING", "TIME"): "bq_string_to_time({0})",
    ("STRING", "JSON"): "bq_parse_json({0})",
    ("BYTES", "STRING"): "decode({0})",
    ("DATE", "STRING"): "strftime({0}, '%Y-%m-%d')",
    ("DATE", "DATETIME"): "CAST({0} AS TIMESTAMP)",
    ("DATE", "TIMESTAMP"): "bq_instant(CAST({0} AS TIMESTAMP), {1})",
    ("DATETIME", "STRING"): "bq_datetime_to_string({0})",
    ("DATETIME", "DATE"): "CAST({0} AS DATE)",
    ("DATETIME", "TIME"): "CAST({0} AS TIME)",
    ("DATETIME", "TIMESTAMP"): "bq_instant({0}, {1})",
    ("TIMESTAMP", "STRING"): "bq_zoned_string({0} AT TIME ZONE 'UTC', bq_local({0}, {1}))",
    ("TIMESTAMP", "DATE"): "bq_date(bq_local({0}, {1}))",
    ("TIMESTAMP", "DATETIME"): "bq_datetime(bq_local({0}, {1}))",
    ("TIMESTAMP", "TIME"): "CAST(bq_local({0}, {1}) AS TIME)",
    ("TIME", "STRING"): "bq_time_to_string({0})",
}
#: Shorter texts for the zone that is meant almost always; AT TIME ZONE takes ten times as long as the microseconds.
UTC_CASTS = {
    ("TIMESTAMP", "STRING"): "(bq_datetime_to_string(make_timestamp(epoch_us({0}))) || '+00')",
    ("DATE", "TIMESTAMP"): "make_timestamptz(epoch_us(CAST({0} AS TIMESTAMP)))",
    ("DATETIME", "TIMESTAMP"): "make_timestamptz(epoch_us({0}))",
    ("TIMESTAMP", "DATE"): "CAST(make_timestamp(epoch_us({0})) AS DATE)",
    ("TIMESTAMP", "DATETIME"): "make_timestamp(epoch_us({0}))",
    ("TIMESTAMP", "TIME"): "CAST(make_timestamp(epoch_us({0})) AS TIME)",
}


def cast(context: Context, operand: str, source: Type, target: Type, zone: str = "'UTC'") -> str:
    """``operand`` of type ``source`` as ``target``.

    Raises:
        BigQueryError: notImplemented, naming both types.
    """
    if source == target:
        return operand
    if operand.startswith("NULL::"):
        return f"NULL::{target.duckdb()}"
    if target.name == source.name == "ARRAY":
        item = context.fresh("e")
        return f"list_transform({operand}, lambda {item}: {cast(context, item, source.item, target.item, zone)})"
    if target.name == source.name == "STRUCT":
        return context.bind([operand], lambda bound: _struct(context, bound[0], source, target, zone))
    key = (source.name, target.name)
    template = UTC_CASTS.get(key) if zone == "'UTC'" else None
    template = template or CASTS.get(key)
    if template is None:
        raise BigQueryError("notImplemented", f"CAST from {source} to {target} is not supported by this emulator")
    return context.apply(template, [operand, zone])


def _struct(context: Context, operand: str, source: Type, target: Type, zone: str) -> str:
    pairs = zip(target.field_names(), source.fields, target.fields, strict=True)
    items = [
        f"{quote(name)} := {cast(context, f'struct_extract_at({operand}, {place})', before[1], after[1], zone)}"
        for place, (name, before, after) in enumerate(pairs, 1)
    ]
    return f"CASE WHEN {operand} IS NULL THEN NULL ELSE struct_pack({', '.join(items)}) END"


def limited(context: Context, operand: str, kind: Type, limits: TypeParametersProto | None) -> str:
    """``operand`` within the limits of STRING(n), BYTES(n) or NUMERIC(p, s): rounded to the scale, too long is an
    error. Limits inside ARRAY and STRUCT are refused by name."""
    if limits is None:
        return operand
    if limits.HasField("string_type_parameters"):
        length = limits.string_type_parameters.max_length
        measure = "length" if kind.name == "STRING" else "octet_length"
        message = (
            f"'{kind.name}({length}) has maximum length {length} but got a value with length ' || {measure}({{0}})"
        )
        return context.apply(f"bq_check({measure}({{0}}) <= {length}, {message}, {{0}})", [operand])
    if limits.HasField("numeric_type_parameters"):
        scale = limits.numeric_type_parameters.scale
        if kind.name == "BIGNUMERIC":
            given = limits.numeric_type_parameters
            precision = 77 if given.is_max_precision else given.precision
            return f"bq_big_within({operand}, {precision}, {scale}, '')"
        whole = limits.numeric_type_parameters.precision - scale
        rounded = f"CAST(round({operand}, {scale}) AS DECIMAL(38,9))" if scale < 9 else operand
        largest = f"{'9' * whole or '0'}{f'.{chr(57) * scale}' if scale else ''}"
        message = (
            f"'{kind.name}({whole + scale}, {scale}) has precision {whole + scale} and scale {scale} "
            f"but got a value that is not in range of [-{largest}, {largest}]'"
        )
        return context.apply(f"bq_check(abs({{0}}) < (1{'0' * whole})::HUGEINT, {message}, {{0}})", [rounded])
    if limits.child_list:
        raise BigQueryError(
            "notImplemented", f"CAST to {kind} with parameters inside is not supported by this emulator"
        )
    return operand


def cast_to_string(context: Context, operand: str, source: Type) -> str:
    """``operand`` as CAST(… AS STRING) prints it."""
    return cast(context, operand, source, Type("STRING"))
