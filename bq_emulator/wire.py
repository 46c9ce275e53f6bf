"""Rows as BigQuery's REST sends them: ``{"f": [{"v": …}]}``, scalars as text (rest/v2/tabledata/list).

DuckDB writes the whole JSON text of a row: in Python, a value each, it would take ten times as long and keep every
other thread waiting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bq_emulator.duck import identifier
from bq_emulator.model import Field
from bq_emulator.schema import Schema

#: Types whose text may hold what JSON must escape.
_ESCAPED = ("STRING", "JSON")


def row_expression(schema: Schema, int64_timestamps: bool) -> str:
    """DuckDB text for the JSON text of one row of ``schema``."""
    return _cells([json_expression(field, identifier(field.name), int64_timestamps) for field in schema])


def _cells(values: Sequence[str]) -> str:
    pieces = ['\'{"f":[{"v":\'', values[0]]
    for value in values[1:]:
        pieces += ["'},{\"v\":'", value]
    return f"concat({', '.join(pieces)}, '}}]}}')"


def json_expression(field: Field, value: str, int64_timestamps: bool) -> str:
    """DuckDB text for the JSON text, never NULL, of ``value`` of type ``field``."""
    if field.mode == "REPEATED":
        element = json_expression(replace(field, mode="NULLABLE"), "x", int64_timestamps)
        cells = f"list_transform({value}, lambda x: concat('{{\"v\":', {element}, '}}'))"
        return f"concat('[', array_to_string({cells}, ','), ']')"
    if field.type == "STRUCT":
        members = [
            json_expression(child, f"{value}.{identifier(child.name)}", int64_timestamps) for child in field.fields
        ]
        return f"CASE WHEN {value} IS NULL THEN 'null' ELSE {_cells(members)} END"
    text = text_expression(field, value, int64_timestamps)
    quoted = f"CAST(to_json({text}) AS VARCHAR)" if field.type in _ESCAPED else f"'\"' || {text} || '\"'"
    return f"coalesce({quoted}, 'null')"


def text_expression(field: Field, value: str, int64_timestamps: bool) -> str:
    """DuckDB text that renders the scalar ``value`` of type ``field`` as VARCHAR."""
    match field.type:
        case "STRING":
            return value
        case "NUMERIC":
            return f"rtrim(rtrim(CAST(CAST({value} AS DECIMAL(38,9)) AS VARCHAR), '0'), '.')"
        case "BIGNUMERIC":
            return f"bq_big_text({value})"
        case "BYTES":
            return f"base64({value})"
        case "FLOAT64":
            return (
                f"CASE WHEN isnan({value}) THEN 'NaN' WHEN isinf({value}) AND {value} > 0 THEN 'Infinity' "
                f"WHEN isinf({value}) THEN '-Infinity' ELSE CAST({value} AS VARCHAR) END"
            )
        case "TIMESTAMP":
            micros = f"epoch_us({value})"
            if int64_timestamps:
                return f"CAST({micros} AS VARCHAR)"
            return _seconds(micros)
        case "DATETIME":
            return f"strftime({value}, '%Y-%m-%dT%H:%M:%S') || {_fraction(f'epoch_us({value})')}"
        case "TIME":
            return f"left(CAST({value} AS VARCHAR), 8) || {_fraction(f'epoch_us({value})')}"
        case "INTERVAL":
            return _interval(value)
    return f"CAST({value} AS VARCHAR)"


def _seconds(micros: str) -> str:
    """Seconds with six decimals from whole microseconds, exactly."""
    digits = f"lpad(CAST(abs({micros}) % 1000000 AS VARCHAR), 6, '0')"
    return (
        f"CASE WHEN {micros} < 0 THEN '-' ELSE '' END || CAST(abs({micros}) // 1000000 AS VARCHAR) || '.' || {digits}"
    )


def _fraction(micros: str) -> str:
    part = f"(({micros} % 1000000 + 1000000) % 1000000)"
    return f"CASE WHEN {part} = 0 THEN '' ELSE '.' || lpad(CAST({part} AS VARCHAR), 6, '0') END"


def _interval(value: str) -> str:
    """``Y-M D H:M:S[.F]``, each of the three parts with its own sign."""
    months = f"(datepart('year', {value}) * 12 + datepart('month', {value}))"
    hours, minutes = f"datepart('hour', {value})", f"datepart('minute', {value})"
    micros = f"({hours} * 3600000000 + {minutes} * 60000000 + datepart('microsecond', {value}))"
    return (
        f"CASE WHEN {months} < 0 THEN '-' ELSE '' END || abs({months}) // 12 || '-' || abs({months}) % 12 "
        f"|| ' ' || datepart('day', {value}) || ' ' || CASE WHEN {micros} < 0 THEN '-' ELSE '' END "
        f"|| abs({micros}) // 3600000000 || ':' || abs({micros}) // 60000000 % 60 || ':' "
        f"|| abs({micros}) // 1000000 % 60 "
        f"|| {_fraction(f'abs({micros})')}"
    )
