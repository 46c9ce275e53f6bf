"""Schemas: REST ⇄ :class:`Field`, GoogleSQL type text, DuckDB types, and which change of a schema is allowed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from bq_emulator.duck import identifier
from bq_emulator.model import BigQueryError, Field

_FROM_LEGACY = {
    "INTEGER": "INT64",
    "FLOAT": "FLOAT64",
    "BOOLEAN": "BOOL",
    "RECORD": "STRUCT",
    "DECIMAL": "NUMERIC",
    "BIGDECIMAL": "BIGNUMERIC",
}
_TO_LEGACY = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN", "STRUCT": "RECORD"}

_DUCKDB = {
    "INT64": "BIGINT",
    "FLOAT64": "DOUBLE",
    "NUMERIC": "DECIMAL(38,9)",
    "BIGNUMERIC": "BLOB",  # see bq_emulator.sql.bignumeric
    "STRING": "VARCHAR",
    "BYTES": "BLOB",
    "BOOL": "BOOLEAN",
    "DATE": "DATE",
    "DATETIME": "TIMESTAMP",
    "TIME": "TIME",
    "TIMESTAMP": "TIMESTAMPTZ",
    "INTERVAL": "INTERVAL",
    "JSON": "JSON",
}

_MODES = ("NULLABLE", "REQUIRED", "REPEATED")
_REFUSED_ATTRIBUTES = (
    "policyTags",
    "dataPolicies",
    "rangeElementType",
    "foreignTypeDefinition",
)

Schema = tuple[Field, ...]


def _number(value: Any) -> int | None:
    return None if value in (None, "", 0, "0") else int(value)


def field_from_rest(resource: dict[str, Any], path: str = "") -> Field:
    """One TableFieldSchema.

    Raises:
        BigQueryError: invalid for a missing name, an unknown type or mode; notImplemented for GEOGRAPHY, RANGE and
            attributes the engine would otherwise drop.
    """
    name = resource.get("name")
    if not name:
        raise BigQueryError("invalid", f"Field {path or '(top level)'} has a subfield without a name.")
    path = f"{path}.{name}" if path else name
    kind = str(resource.get("type", "")).upper()
    kind = _FROM_LEGACY.get(kind, kind)
    mode = (resource.get("mode") or "NULLABLE").upper()
    if kind in ("GEOGRAPHY", "RANGE"):
        raise BigQueryError("notImplemented", f"Field {path} has type {kind}, which this emulator does not store.")
    if kind != "STRUCT" and kind not in _DUCKDB:
        raise BigQueryError("invalid", f"Invalid value for type of field {path}: {resource.get('type')!r}.")
    if mode not in _MODES:
        raise BigQueryError("invalid", f"Invalid mode of field {path}: {mode!r}; expected one of {', '.join(_MODES)}.")
    for attribute in _REFUSED_ATTRIBUTES:
        content = resource.get(attribute)
        if content and content != {"names": []}:
            raise BigQueryError(
                "notImplemented", f"Field {path} sets {attribute}, which this emulator does not support."
            )
    children = tuple(field_from_rest(child, path) for child in resource.get("fields") or ())
    if (kind == "STRUCT") != bool(children):
        raise BigQueryError("invalid", f"Field {path} is type {kind} but has {len(children)} subfields.")
    _check_unique(children, path)
    return Field(
        name=name,
        type=kind,
        mode=mode,
        fields=children,
        description=resource.get("description") or None,
        precision=_number(resource.get("precision")),
        scale=_number(resource.get("scale")),
        max_length=_number(resource.get("maxLength")),
        default_expression=resource.get("defaultValueExpression") or None,
    )


def schema_from_rest(resource: dict[str, Any] | None) -> Schema:
    """A TableSchema; an absent one is the empty schema."""
    fields = tuple(field_from_rest(field) for field in (resource or {}).get("fields") or ())
    _check_unique(fields, "")
    return fields


def _check_unique(fields: Iterable[Field], path: str) -> None:
    seen: set[str] = set()
    for field in fields:
        if field.name.lower() in seen:
            raise BigQueryError("invalid", f"Duplicate field name {field.name} in {path or 'the schema'}.")
        seen.add(field.name.lower())


def field_to_rest(field: Field) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "name": field.name,
        "type": _TO_LEGACY.get(field.type, field.type),
        "mode": field.mode,
    }
    if field.fields:
        resource["fields"] = [field_to_rest(child) for child in field.fields]
    if field.description is not None:
        resource["description"] = field.description
    for key, value in (("precision", field.precision), ("scale", field.scale), ("maxLength", field.max_length)):
        if value:
            resource[key] = str(value)
    if field.default_expression is not None:
        resource["defaultValueExpression"] = field.default_expression
    return resource


def schema_to_rest(schema: Schema) -> dict[str, Any]:
    return {"fields": [field_to_rest(field) for field in schema]}


def duckdb_type(field: Field) -> str:
    """The column type that stores ``field``."""
    if field.type == "STRUCT":
        element = "STRUCT(" + ", ".join(f"{identifier(f.name)} {duckdb_type(f)}" for f in field.fields) + ")"
    elif field.type in _DUCKDB:
        element = _DUCKDB[field.type]
    else:
        raise BigQueryError(
            "notImplemented", f"Field {field.name} has type {field.type}, which this emulator does not store."
        )
    return element + "[]" if field.mode == "REPEATED" else element


def column_definitions(schema: Schema, defaults: dict[str, str]) -> str:
    """``defaults``: column → DuckDB text. An array that is not given is empty."""

    def definition(field: Field) -> str:
        default = defaults.get(field.name) or ("[]" if field.mode == "REPEATED" else None)
        return (
            f"{identifier(field.name)} {duckdb_type(field)}{' NOT NULL' if field.mode == 'REQUIRED' else ''}"
            f"{f' DEFAULT {default}' if default else ''}"
        )

    return ", ".join(definition(field) for field in schema)


def sql_type(field: Field) -> str:
    """GoogleSQL's text of a type, as INFORMATION_SCHEMA shows it: ``ARRAY<STRUCT<a INT64, b STRING(3)>>``."""
    if field.type == "STRUCT":
        element = "STRUCT<" + ", ".join(f"{child.name} {sql_type(child)}" for child in field.fields) + ">"
    elif field.precision:
        element = f"{field.type}({field.precision}{f', {field.scale}' if field.scale else ''})"
    elif field.max_length:
        element = f"{field.type}({field.max_length})"
    else:
        element = field.type
    return f"ARRAY<{element}>" if field.mode == "REPEATED" else element


def find(schema: Schema, name: str) -> Field | None:
    """The column called ``name``; column names are case-insensitive."""
    return next((field for field in schema if field.name.lower() == name.lower()), None)


def select(schema: Schema, names: str, table: str) -> Schema:
    """The columns that REST's ``selectedFields`` names, in the table's order: ``a,b.c`` is a, and of b only c.

    Raises:
        BigQueryError: invalid for a name that is not there.
    """
    wanted: dict[str, list[str]] = {}
    for name in names.split(","):
        head, _, rest = name.strip().partition(".")
        if find(schema, head) is None:
            raise BigQueryError("invalid", f"No such field: {name.strip()} in {table}")
        wanted.setdefault(head.lower(), []).append(rest)
    chosen = []
    for field in schema:
        within = wanted.get(field.name.lower())
        if within is None:
            continue
        whole = "" in within
        chosen.append(field if whole else replace(field, fields=select(field.fields, ",".join(within), table)))
    return tuple(chosen)


def evolve(table: str, current: Schema, given: Schema, options: Collection[str]) -> Schema:
    """The schema of ``table`` after a write of ``given`` (columns in any order, absent ones stay).

    ``options`` are REST's schemaUpdateOptions. Descriptions of ``current`` win.

    Raises:
        BigQueryError: invalid, with Google's wording, for a change the options do not allow.
    """

    def refuse(detail: str) -> BigQueryError:
        return BigQueryError("invalid", f"Provided Schema does not match Table {table}. {detail}")

    def merge(path: str, old: Field, new: Field) -> Field:
        if old.type != new.type:
            raise refuse(f"Field {path} has changed type from {_legacy(old)} to {_legacy(new)}")
        mode = old.mode
        if old.mode != new.mode:
            if "REPEATED" in (old.mode, new.mode):
                raise refuse(f"Field {path} has changed mode from {old.mode} to {new.mode}")
            if old.mode == "REQUIRED":
                if "ALLOW_FIELD_RELAXATION" not in options:
                    raise refuse(f"Field {path} has changed mode from REQUIRED to NULLABLE")
                mode = "NULLABLE"
        return replace(old, mode=mode, fields=merge_all(f"{path}.", old.fields, new.fields))

    def merge_all(prefix: str, old: Schema, new: Schema) -> Schema:
        merged = tuple(
            merge(f"{prefix}{field.name}", field, match) if (match := find(new, field.name)) else field for field in old
        )
        added = tuple(field for field in new if find(old, field.name) is None)
        if added and "ALLOW_FIELD_ADDITION" not in options:
            raise refuse(f"Cannot add fields (field: {prefix}{added[0].name})")
        for field in added:
            if field.mode == "REQUIRED":
                raise refuse(f"Cannot add required fields to an existing schema. (field: {prefix}{field.name})")
        return merged + added

    return merge_all("", current, given)


def patch(table: str, current: Schema, given: Schema) -> Schema:
    """The schema after tables.patch or tables.update with ``given``: everything of ``current`` must still be there,
    fields may be added and relaxed; descriptions come from ``given``."""
    evolved = evolve(table, current, given, ("ALLOW_FIELD_ADDITION", "ALLOW_FIELD_RELAXATION"))

    def describe(fields: Schema, source: Schema, path: str) -> Schema:
        described = []
        for field in fields:
            match = find(source, field.name)
            if match is None:
                raise BigQueryError(
                    "invalid",
                    f"Provided Schema does not match Table {table}. Field {path}{field.name} is missing in new schema",
                )
            described.append(
                replace(
                    field,
                    description=match.description,
                    fields=describe(field.fields, match.fields, f"{path}{field.name}."),
                )
            )
        return tuple(described)

    return describe(evolved, given, "")


def _legacy(field: Field) -> str:
    return _TO_LEGACY.get(field.type, field.type)
