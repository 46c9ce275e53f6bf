"""How each Postgres type is described in a catalog, and as what kind of value it is decoded.

Rows leave Postgres as text from logical replication, and from COPY as CSV or, where it is of some type, in binary;
:mod:`source_postgres.decode` turns the text of a column into Arrow values by the column's kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from psycopg.postgres import types as postgres

Kind = Literal[
    "bool",
    "integer",
    "float",
    "decimal",
    "numeric",
    "money",
    "text",
    "hstore",
    "date",
    "timestamp",
    "timestamptz",
    "time",
    "timetz",
    "array",
]

STRING = {"type": "string"}
NUMBER = {"type": "number"}
INTEGER = {"type": "number", "airbyte_type": "integer"}
DATE = {"type": "string", "format": "date"}
TIMESTAMP = {"type": "string", "format": "date-time", "airbyte_type": "timestamp_without_timezone"}
TIMESTAMPTZ = {"type": "string", "format": "date-time", "airbyte_type": "timestamp_with_timezone"}
TIME = {"type": "string", "format": "time", "airbyte_type": "time_without_timezone"}
TIMETZ = {"type": "string", "format": "time", "airbyte_type": "time_with_timezone"}

#: Oids of types whose values read alike, and are cast to one another whole or not at all.
INTEGER_OIDS = frozenset(postgres[name].oid for name in ("int2", "int4", "int8"))
TEXT_OIDS = frozenset(postgres[name].oid for name in ("text", "varchar"))
#: Digits that Arrow's decimal128 holds.
_MAXIMUM_PRECISION = 38


@dataclass(frozen=True)
class PgType:
    """A row of pg_type with a type modifier; domains are resolved to what they are made of."""

    name: str
    modifier: int = -1
    element: PgType | None = None  # of an array
    delimiter: str = ","


@dataclass(frozen=True)
class ColumnType:
    """What a column is in a catalog (``schema``) and in memory (``kind``)."""

    schema: dict[str, Any]
    kind: Kind = "text"
    #: Whether the column may be a cursor: ordered, and its value in a record can be compared again.
    orderable: bool = False
    #: Of a decimal: digits in all, digits after the point. Of money only the latter.
    precision: int = 0
    scale: int = 0
    #: Of an array.
    element: ColumnType | None = None
    #: What separates the type's values in the text of an array; a semicolon for box.
    delimiter: str = ","
    #: SQL literals above every value a cursor may take: NaN and infinity would be its maximum for ever.
    beyond: str | None = None
    #: The type in pg_catalog ("enum" for any enum) whose binary format is decoded; without one its text is.
    binary: str | None = None


_INFINITY = "'infinity'"
_TYPES: dict[str, ColumnType] = {
    "bool": ColumnType({"type": "boolean"}, "bool"),
    **dict.fromkeys(("int2", "int4", "int8", "oid"), ColumnType(INTEGER, "integer", orderable=True)),
    **dict.fromkeys(("float4", "float8"), ColumnType(NUMBER, "float", orderable=True, beyond=_INFINITY)),
    **dict.fromkeys(("text", "varchar", "bpchar", "uuid"), ColumnType(STRING, orderable=True)),
    "hstore": ColumnType(STRING, "hstore"),
    "date": ColumnType(DATE, "date", orderable=True, beyond=_INFINITY),
    "timestamp": ColumnType(TIMESTAMP, "timestamp", orderable=True, beyond=_INFINITY),
    "timestamptz": ColumnType(TIMESTAMPTZ, "timestamptz", orderable=True, beyond=_INFINITY),
    "time": ColumnType(TIME, "time", orderable=True),
    "timetz": ColumnType(TIMETZ, "timetz"),
}
#: Of these the binary format is decoded. A float4's shortest text is another float8 than the float4 itself.
_BINARY = frozenset(
    {
        *("bool", "int2", "int4", "int8", "oid", "float8", "date", "timestamp", "timestamptz", "uuid"),
        *("text", "varchar", "bpchar", "name", "json", "jsonb", "enum"),
    }
)
#: Everything else (enums, JSON, ranges, network addresses, intervals, geometry, bytea, composites) is its text.
_OTHER = ColumnType(STRING)


def column_type(pg_type: PgType, server_version: int, money_scale: int = 2) -> ColumnType:
    """What a column of ``pg_type`` is; ``server_version`` as libpq's, for example 160004. ``money_scale``: digits after
    the point of the currency that the database is of, which is its lc_monetary."""
    if pg_type.element is not None:
        element = column_type(pg_type.element, server_version, money_scale)
        return ColumnType({"type": "array", "items": element.schema}, "array", element=element)
    if pg_type.name == "numeric":
        return _numeric(pg_type.modifier, server_version)
    if pg_type.name == "money":
        return ColumnType(NUMBER, "money", scale=money_scale)
    binary = pg_type.name if pg_type.name in _BINARY else None
    return replace(_TYPES.get(pg_type.name, _OTHER), delimiter=pg_type.delimiter, binary=binary)


def _numeric(modifier: int, server_version: int) -> ColumnType:
    """numeric(p, s): p is the modifier's upper half, s eleven signed bits of it. Only an unconstrained one can be
    infinite, and only since Postgres 14."""
    if modifier < 0:
        return ColumnType(NUMBER, "numeric", orderable=True, beyond=_INFINITY if server_version >= 140000 else "'NaN'")
    precision = (modifier - 4) >> 16 & 0xFFFF
    scale = (((modifier - 4) & 0x7FF) ^ 0x400) - 0x400
    schema = INTEGER if scale <= 0 else NUMBER
    if precision > _MAXIMUM_PRECISION or not 0 <= scale <= precision:
        return ColumnType(schema, "numeric", orderable=True, beyond="'NaN'")
    return ColumnType(
        schema, "decimal", orderable=True, precision=precision, scale=scale, beyond="'NaN'", binary="numeric"
    )


def resolve(oid: int, modifier: int, types: Mapping[int, Mapping[str, Any]]) -> PgType:
    """The type ``oid``, domains and arrays resolved, from rows of pg_type by oid."""
    row = types[oid]
    if row["typtype"] == "d":
        return resolve(row["typbasetype"], row["typtypmod"], types)
    # int2vector and oidvector are arrays with a text of their own.
    if row["typcategory"] == "A" and row["typelem"] and not row["typname"].endswith("vector"):
        return PgType(row["typname"], modifier, resolve(row["typelem"], modifier, types))
    # A type of a user's own may bear a built-in's name.
    builtin = row["builtin"] or row["typname"] == "hstore"
    name = "enum" if row["typtype"] == "e" else row["typname"] if builtin else ""
    return PgType(name, modifier, delimiter=row["typdelim"])
