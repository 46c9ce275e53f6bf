"""Rows as BigQuery's REST sends them: ``{"f": [{"v": …}]}``, scalars as text (rest/v2/tabledata/list).

DuckDB makes the text, so Python only wraps it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bq_emulator.duck import identifier
from bq_emulator.model import Field
from bq_emulator.schema import Schema

Cell = dict[str, Any]


def text_expression(field: Field, value: str, int64_timestamps: bool) -> str:
    """DuckDB text that renders ``value`` of type ``field`` as VARCHAR, or as a LIST or STRUCT of such."""
    if field.mode == "REPEATED":
        element = text_expression(replace(field, mode="NULLABLE"), "x", int64_timestamps)
        return f"coalesce(list_transform({value}, lambda x: {element}), [])"
    match field.type:
        case "STRUCT":
            parts = ", ".join(
                f"f{number} := {text_expression(child, f'{value}.{identifier(child.name)}', int64_timestamps)}"
                for number, child in enumerate(field.fields)
            )
            return f"CASE WHEN {value} IS NULL THEN NULL ELSE struct_pack({parts}) END"
        case "STRING":
            return value
        case "NUMERIC":
            return f"rtrim(rtrim(CAST(CAST({value} AS DECIMAL(38,9)) AS VARCHAR), '0'), '.')"
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


def select_list(schema: Schema, int64_timestamps: bool) -> str:
    """The SELECT list that reads ``schema``'s columns as text."""
    return ", ".join(
        f"{text_expression(field, identifier(field.name), int64_timestamps)} AS f{number}"
        for number, field in enumerate(schema)
    )


def _encoder(field: Field) -> Callable[[Any], Any] | None:
    """What is left to do to a fetched value; None for nothing."""
    if field.mode == "REPEATED":
        element = _encoder(replace(field, mode="NULLABLE"))
        if element is None:
            return lambda values: [{"v": value} for value in values]
        return lambda values: [{"v": element(value)} for value in values]
    if field.type == "STRUCT":
        children = [_encoder(child) for child in field.fields]

        def encode(value: dict[str, Any] | None) -> dict[str, list[Cell]] | None:
            if value is None:
                return None
            parts = zip(value.values(), children, strict=True)
            return {"f": [{"v": part if child is None else child(part)} for part, child in parts]}

        return encode
    return None


def row_encoder(schema: Schema) -> Callable[[tuple[Any, ...]], dict[str, list[Cell]]]:
    """A function from a row fetched with :func:`select_list` to REST's row."""
    encoders = [_encoder(field) for field in schema]
    if not any(encoders):
        return lambda row: {"f": [{"v": value} for value in row]}
    return lambda row: {
        "f": [{"v": value if encode is None else encode(value)} for value, encode in zip(row, encoders, strict=True)]
    }
