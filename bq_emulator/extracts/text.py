"""DuckDB text for the lines of CSV and newline-delimited JSON."""

from __future__ import annotations

from dataclasses import replace

from bq_emulator.duck import identifier, literal
from bq_emulator.model import BigQueryError, Field
from bq_emulator.schema import Schema
from bq_emulator.wire import text_expression


def _scalar_text(field: Field, value: str) -> str:
    """As REST writes it, but a TIMESTAMP for people to read."""
    if field.type == "TIMESTAMP":
        return f"replace({text_expression(replace(field, type='DATETIME'), value, False)}, 'T', ' ') || ' UTC'"
    return text_expression(field, value, False)


def csv_expression(field: Field) -> str:
    """Raises BigQueryError invalid for what CSV cannot hold."""
    if field.mode == "REPEATED" or field.type == "STRUCT":
        raise BigQueryError(
            "invalid", f"Operation cannot be performed on a nested schema. Field: {field.name}. Choose another format."
        )
    return _scalar_text(field, identifier(field.name))


def json_line(schema: Schema) -> str:
    """One object a row; NULL fields are left out, and 64-bit and decimal numbers are texts."""
    members = [
        f"{literal(_key(field))} || {_json(field, identifier(field.name))}" for field in schema
    ]  # a NULL value makes the member NULL, which concat_ws leaves out
    return f"'{{' || concat_ws(',', {', '.join(members)}) || '}}'"


def _key(field: Field) -> str:
    return f'"{field.name}":'


def _json(field: Field, value: str) -> str:
    if field.mode == "REPEATED":
        element = _json(replace(field, mode="NULLABLE"), "x")
        return f"'[' || coalesce(array_to_string(list_transform({value}, lambda x: {element}), ','), '') || ']'"
    match field.type:
        case "STRUCT":
            members = ", ".join(
                f"{literal(_key(child))} || {_json(child, f'{value}.{identifier(child.name)}')}"
                for child in field.fields
            )
            return f"CASE WHEN {value} IS NOT NULL THEN '{{' || concat_ws(',', {members}) || '}}' END"
        case "JSON" | "BOOL":
            return f"CAST({value} AS VARCHAR)"
        case "FLOAT64":
            text = text_expression(field, value, False)
            return f"CASE WHEN isfinite({value}) THEN {text} ELSE '\"' || {text} || '\"' END"
    return f"CAST(to_json({_scalar_text(field, value)}) AS VARCHAR)"
