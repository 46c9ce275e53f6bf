"""What a column takes: its limits, its NOT NULLs inside, and which other type it may be given."""

from __future__ import annotations

from dataclasses import replace

from bq_emulator.duck import identifier, literal
from bq_emulator.model import BigQueryError, Field
from bq_emulator.schema import duckdb_type, find, sql_type
from bq_emulator.sql.functions.casts import CASTS

#: Digits before and after the point.
_DIGITS = {"INT64": (19, 0), "NUMERIC": (29, 9), "BIGNUMERIC": (38, 38)}


def stored_value(field: Field, expression: str, path: str = "") -> str:
    """DuckDB text that turns ``expression`` into what BigQuery stores in ``field``: a NULL array is empty, a
    NUMERIC(p, s) is rounded and bounded, a too long STRING(n) or BYTES(n) is an error, and so is a NULL in a field of
    a STRUCT that must not be NULL (DuckDB itself looks at columns). ``path`` leads to the field."""
    here = f"{path}{field.name}"
    if field.mode == "REPEATED":
        element = stored_value(replace(field, mode="NULLABLE"), "x", path)
        mapped = expression if element == "x" else f"list_transform({expression}, lambda x: {element})"
        return f"coalesce({mapped}, [])"
    if field.type == "STRUCT":
        parts = [(f, f"{expression}.{identifier(f.name)}") for f in field.fields]
        values = [(f, source, _member(f, source, f"{here}.")) for f, source in parts]
        if all(source == value for _, source, value in values):
            return expression
        packed = ", ".join(f"{identifier(f.name)} := {value}" for f, _, value in values)
        return f"CASE WHEN {expression} IS NULL THEN NULL ELSE struct_pack({packed}) END"
    if field.precision:
        return _bounded(field, expression, here)
    if field.max_length:
        length = "octet_length" if field.type == "BYTES" else "length"
        limit = field.max_length
        message = f"Field {here}: {field.type}({limit}) has maximum length {limit} but got a value with length "
        return (
            f"CASE WHEN {length}({expression}) > {field.max_length} "
            f"THEN error({literal(message)} || {length}({expression})) ELSE {expression} END"
        )
    return expression


def _member(field: Field, expression: str, path: str) -> str:
    """A field of a STRUCT that is not NULL itself."""
    value = stored_value(field, expression, path)
    if field.mode != "REQUIRED":
        return value
    message = literal(f"Required field {path}{field.name} cannot be null")
    return f"CASE WHEN {expression} IS NULL THEN error({message}) ELSE {value} END"


def _bounded(field: Field, expression: str, path: str) -> str:
    precision, scale = field.precision or 0, field.scale or 0
    if field.type == "BIGNUMERIC":
        return f"bq_big_within({expression}, {precision}, {scale}, {literal(f'Field {path}: ')})"
    largest = ("9" * (precision - scale) or "0") + ("." + "9" * scale if scale else "")
    message = literal(
        f"Field {path}: NUMERIC({precision}, {scale}) has precision {precision} and scale {scale} "
        f"but got a value that is not in range of [-{largest}, {largest}]"
    )
    cut = f"TRY_CAST({expression} AS DECIMAL({precision},{scale}))"
    return (
        f"CASE WHEN {expression} IS NOT NULL AND {cut} IS NULL THEN error({message}) "
        f"ELSE CAST({cut} AS DECIMAL(38,9)) END"
    )


def converted(old: Field, new: Field, expression: str) -> str:
    """DuckDB text for a value of ``old`` as one of ``new``, which :func:`check_widening` has let pass."""
    if duckdb_type(old) == duckdb_type(new):
        return expression
    if old.mode == "REPEATED":
        single = [replace(field, mode="NULLABLE") for field in (old, new)]
        return f"list_transform({expression}, lambda x: {converted(single[0], single[1], 'x')})"
    if old.type == "STRUCT":
        parts = []
        for field in new.fields:
            match = find(old.fields, field.name)
            source = f"{expression}.{identifier(field.name)}"
            value = converted(match, field, source) if match else f"CAST(NULL AS {duckdb_type(field)})"
            parts.append(f"{identifier(field.name)} := {value}")
        return f"CASE WHEN {expression} IS NULL THEN NULL ELSE struct_pack({', '.join(parts)}) END"
    cast = CASTS.get((old.type, new.type))
    return cast.format(expression) if cast else f"CAST({expression} AS {duckdb_type(new)})"


def check_widening(old: Field, new: Field) -> None:
    """A type may only be replaced by one that holds all its values
    (https://cloud.google.com/bigquery/docs/managing-table-schemas#change_a_columns_data_type).

    Raises:
        BigQueryError: invalidQuery.
    """
    if not _holds(new, old):
        raise BigQueryError(
            "invalidQuery",
            "ALTER TABLE ALTER COLUMN SET DATA TYPE requires that the existing column type "
            f"({sql_type(old)}) is assignable to the new type ({sql_type(new)})",
            "query",
        )


def _holds(new: Field, old: Field) -> bool:
    if old.type == "STRUCT" and new.type == "STRUCT":
        matches = [find(new.fields, field.name) for field in old.fields]
        return all(match and _holds(match, field) for match, field in zip(matches, old.fields, strict=True))
    if old.type in _DIGITS and new.type in _DIGITS:
        return all(kept >= had for kept, had in zip(_digits(new), _digits(old), strict=True))
    if old.type == new.type:
        return new.max_length is None or (old.max_length is not None and old.max_length <= new.max_length)
    return old.type in _DIGITS and new.type == "FLOAT64"


def _digits(field: Field) -> tuple[int, int]:
    if not field.precision:
        return _DIGITS[field.type]
    return field.precision - (field.scale or 0), field.scale or 0
