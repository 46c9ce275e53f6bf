"""GoogleSQL types: from the analyzer, to BigQuery's schema fields and to DuckDB's type names."""

from __future__ import annotations

from dataclasses import dataclass

from zetasql.wasi._pb2.zetasql.public import type_pb2

from bq_emulator.model import BigQueryError, Field

#: GoogleSQL type → (the analyzer's kind, DuckDB's type). What is not here is refused by name.
SCALARS = {
    "INT64": (type_pb2.TYPE_INT64, "BIGINT"),
    "FLOAT64": (type_pb2.TYPE_DOUBLE, "DOUBLE"),
    "NUMERIC": (type_pb2.TYPE_NUMERIC, "DECIMAL(38,9)"),
    # see sql.bignumeric
    "BIGNUMERIC": (type_pb2.TYPE_BIGNUMERIC, "BLOB"),
    "STRING": (type_pb2.TYPE_STRING, "VARCHAR"),
    "BYTES": (type_pb2.TYPE_BYTES, "BLOB"),
    "BOOL": (type_pb2.TYPE_BOOL, "BOOLEAN"),
    "DATE": (type_pb2.TYPE_DATE, "DATE"),
    "DATETIME": (type_pb2.TYPE_DATETIME, "TIMESTAMP"),
    "TIMESTAMP": (type_pb2.TYPE_TIMESTAMP, "TIMESTAMPTZ"),
    "TIME": (type_pb2.TYPE_TIME, "TIME"),
    "JSON": (type_pb2.TYPE_JSON, "JSON"),
    "INTERVAL": (type_pb2.TYPE_INTERVAL, "INTERVAL"),
}
_NAME_OF_KIND = {kind: name for name, (kind, _) in SCALARS.items()}


@dataclass(frozen=True)
class Type:
    """``name`` is a key of :data:`SCALARS`, or ARRAY (with ``element``), STRUCT (with ``fields``) or ENUM (an argument
    such as a date part, with ``enum`` naming it)."""

    name: str
    element: Type | None = None
    fields: tuple[tuple[str, Type], ...] = ()
    enum: str = ""

    def __str__(self) -> str:
        if self.name == "ARRAY":
            return f"ARRAY<{self.element}>"
        if self.name == "STRUCT":
            return f"STRUCT<{', '.join(f'{name} {kind}'.strip() for name, kind in self.fields)}>"
        return self.enum or self.name

    @property
    def item(self) -> Type:
        """The element type of an ARRAY."""
        if self.element is None:
            raise TypeError(f"{self.name} has no elements")
        return self.element

    def field_names(self) -> list[str]:
        """Names of a STRUCT's fields in DuckDB; anonymous ones are ``_field_N`` (1-based), as BigQuery shows them."""
        return [name or f"_field_{position}" for position, (name, _) in enumerate(self.fields, 1)]

    def duckdb(self) -> str:
        """DuckDB's name of the type."""
        if self.name == "ARRAY":
            return f"{self.item.duckdb()}[]"
        if self.name == "STRUCT":
            members = zip(self.field_names(), (kind for _, kind in self.fields), strict=True)
            return f"STRUCT({', '.join(f'{quote(name)} {kind.duckdb()}' for name, kind in members)})"
        return SCALARS[self.name][1]

    def field(self, name: str, mode: str = "NULLABLE") -> Field:
        """The column or struct field of this type."""
        if self.name == "ARRAY":
            return self.item.field(name, "REPEATED")
        if self.name == "STRUCT":
            members = zip(self.field_names(), (kind for _, kind in self.fields), strict=True)
            return Field(name, "STRUCT", mode, tuple(kind.field(member) for member, kind in members))
        return Field(name, self.name, mode)


def quote(name: str) -> str:
    """A DuckDB identifier."""
    return '"' + name.replace('"', '""') + '"'


def from_proto(proto: type_pb2.TypeProto) -> Type:
    """The analyzer's type.

    Raises:
        BigQueryError: notImplemented, for a type this emulator does not have (GEOGRAPHY, RANGE, …).
    """
    kind = proto.type_kind
    if kind in _NAME_OF_KIND:
        return Type(_NAME_OF_KIND[kind])
    if kind == type_pb2.TYPE_ARRAY:
        return Type("ARRAY", element=from_proto(proto.array_type.element_type))
    if kind == type_pb2.TYPE_STRUCT:
        members = proto.struct_type.field
        return Type("STRUCT", fields=tuple((member.field_name, from_proto(member.field_type)) for member in members))
    if kind == type_pb2.TYPE_ENUM:
        return Type("ENUM", enum=proto.enum_type.enum_name.rpartition(".")[2])
    name = type_pb2.TypeKind.Name(kind).removeprefix("TYPE_")
    raise BigQueryError("notImplemented", f"Type {name} is not supported by this emulator", "query")


def to_proto(field: Field) -> type_pb2.TypeProto:
    """The analyzer's type of a column."""
    proto = type_pb2.TypeProto()
    target = proto
    if field.mode == "REPEATED":
        proto.type_kind = type_pb2.TYPE_ARRAY
        target = proto.array_type.element_type
    if field.type == "STRUCT":
        target.type_kind = type_pb2.TYPE_STRUCT
        target.struct_type.SetInParent()
        for member in field.fields:
            added = target.struct_type.field.add(field_name=member.name)
            added.field_type.CopyFrom(to_proto(member))
    elif field.type in SCALARS:
        target.type_kind = SCALARS[field.type][0]
    else:
        raise BigQueryError("notImplemented", f"Type {field.type} of {field.name} is not supported by this emulator")
    return proto


def from_field(field: Field) -> Type:
    """The type of a column."""
    return from_proto(to_proto(field))
