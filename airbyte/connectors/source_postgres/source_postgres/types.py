"""How each Postgres type is described (JSON schema) and rendered (SQL that Postgres turns into JSON).

Postgres renders the records itself: its decimals, texts and arrays are exact there, and no value passes through a
Python object. A column has two renderings: ``plain``, for values that JSON can hold, and ``careful``, which nulls the
others (NaN, infinities) and writes years before Christ. ``is_plain`` says which a row needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Sql = Callable[[str], str]

_STRING = {"type": "string"}
_NUMBER = {"type": "number"}
_INTEGER = {"type": "number", "airbyte_type": "integer"}
_DATE = {"type": "string", "format": "date"}
_TIMESTAMP = {"type": "string", "format": "date-time", "airbyte_type": "timestamp_without_timezone"}
_TIMESTAMPTZ = {"type": "string", "format": "date-time", "airbyte_type": "timestamp_with_timezone"}
_TIME = {"type": "string", "format": "time", "airbyte_type": "time_without_timezone"}
_TIMETZ = {"type": "string", "format": "time", "airbyte_type": "time_with_timezone"}


@dataclass(frozen=True)
class PgType:
    """A row of pg_type with a type modifier; domains are resolved to what they are made of."""

    name: str
    modifier: int = -1
    element: PgType | None = None  # of an array


@dataclass(frozen=True)
class Rendering:
    """What a column is in a catalog and how it is put into a record. Functions take and give SQL expressions."""

    schema: dict[str, Any]
    plain: Sql
    careful: Sql
    #: SQL condition under which ``plain`` is right; None where it always is.
    is_plain: Sql | None = None
    #: SQL condition under which the value has no JSON form and becomes null; None where that cannot be.
    is_lost: Sql | None = None
    #: SQL condition that keeps out values a cursor must not take (they would be its maximum for ever).
    is_cursor: Sql | None = None
    #: Whether the column may be a cursor: ordered, and its JSON form can be compared again.
    orderable: bool = False
    #: Whether row_to_json of the bare column gives the same as ``plain``, in arrays too.
    native: bool = False


def _same(column: str) -> str:
    return column


def _text(column: str) -> str:
    return f"{column}::text"


def _fixed(schema: dict[str, Any], sql: Sql = _same, *, orderable: bool = False, native: bool = False) -> Rendering:
    """A type all of whose values have a JSON form."""
    return Rendering(schema, sql, sql, orderable=orderable, native=native)


def _calendar(schema: dict[str, Any], pattern: str) -> Rendering:
    """date, timestamp, timestamptz: infinities have no JSON form; to_char leaves the BC mark to us."""

    def plain(column: str) -> str:
        return f"to_char({column}, '{pattern}')"

    def careful(column: str) -> str:
        era = f"CASE WHEN {column} < '0001-01-01' THEN ' BC' ELSE '' END"
        return f"CASE WHEN isfinite({column}) THEN to_char({column}, '{pattern}') || {era} END"

    return Rendering(
        schema,
        plain,
        careful,
        is_plain=lambda column: f"{column} >= '0001-01-01' AND {column} < 'infinity'",
        is_lost=lambda column: f"NOT isfinite({column})",
        is_cursor=lambda column: f"{column} < 'infinity'",
        orderable=True,
    )


def _decimal(schema: dict[str, Any], *, infinities: bool) -> Rendering:
    lost = "('NaN', 'Infinity', '-Infinity')" if infinities else "('NaN')"
    return Rendering(
        schema,
        _same,
        lambda column: f"CASE WHEN {column} NOT IN {lost} THEN {column} END",
        is_plain=lambda column: f"{column} NOT IN {lost}",
        is_lost=lambda column: f"{column} IN {lost}",
        is_cursor=lambda column: f"{column} < '{'Infinity' if infinities else 'NaN'}'",
        orderable=True,
    )


_RENDERINGS: dict[str, Rendering] = {
    "bool": _fixed({"type": "boolean"}, native=True),
    **dict.fromkeys(("int2", "int4", "int8"), _fixed(_INTEGER, orderable=True, native=True)),
    "oid": _fixed(_INTEGER, lambda column: f"{column}::int8", orderable=True),
    **dict.fromkeys(("float4", "float8"), _decimal(_NUMBER, infinities=True)),
    "money": _fixed(_NUMBER, lambda column: f"{column}::numeric"),
    **dict.fromkeys(("text", "varchar", "bpchar", "uuid"), _fixed(_STRING, orderable=True, native=True)),
    "hstore": _fixed(_STRING, lambda column: f"{column}::json::text"),
    "date": _calendar(_DATE, "YYYY-MM-DD"),
    "timestamp": _calendar(_TIMESTAMP, 'YYYY-MM-DD"T"HH24:MI:SS.US'),
    "timestamptz": _calendar(_TIMESTAMPTZ, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    # 24:00 is a time for Postgres only.
    "time": _fixed(
        _TIME,
        lambda column: f"CASE WHEN {column} = '24:00' THEN '23:59:59.999999999' ELSE {column}::text END",
        orderable=True,
    ),
    # Postgres leaves the minutes out of a whole-hour offset.
    "timetz": _fixed(_TIMETZ, lambda column: f"regexp_replace({column}::text, '([+-][0-9][0-9])$', '\\1:00')"),
}
#: Everything else (enums, JSON, ranges, network addresses, intervals, geometry, bytea, composites) is its text.
_OTHER = _fixed(_STRING, _text)


def rendering(pg_type: PgType, server_version: int) -> Rendering:
    """The rendering of ``pg_type``; ``server_version`` as libpq's, for example 160004."""
    if pg_type.element is not None:
        return _array(rendering(pg_type.element, server_version))
    if pg_type.name == "numeric":
        return _numeric(pg_type.modifier, server_version)
    return _RENDERINGS.get(pg_type.name, _OTHER)


def _numeric(modifier: int, server_version: int) -> Rendering:
    """numeric(p, s): the scale is eleven signed bits of the modifier. Only an unconstrained one can be infinite, and
    only since Postgres 14."""
    if modifier < 0:
        return _decimal(_NUMBER, infinities=server_version >= 140000)
    scale = (((modifier - 4) & 0x7FF) ^ 0x400) - 0x400
    return _decimal(_INTEGER if scale <= 0 else _NUMBER, infinities=False)


def _array(element: Rendering) -> Rendering:
    """A JSON array. Elements that need no SQL of their own leave the array, of any dimensions, to Postgres; the others
    are rendered one by one, those of a multi-dimensional array as Postgres does."""
    schema = {"type": "array", "items": element.schema}
    if element.native:
        return _fixed(schema)

    def each(column: str) -> str:
        elements = f"SELECT {element.careful('u.e')} FROM unnest({column}) WITH ORDINALITY AS u(e, n) ORDER BY u.n"
        return (
            f"CASE WHEN array_ndims({column}) > 1 THEN to_json({column}) "
            f"WHEN {column} IS NOT NULL THEN to_json(ARRAY({elements})) END"
        )

    if element.is_lost is None:
        return _fixed(schema, each)
    lost = element.is_lost("u.e")

    def any_lost(column: str) -> str:
        return (
            f"(coalesce(array_ndims({column}), 0) = 1 AND EXISTS (SELECT FROM unnest({column}) AS u(e) WHERE {lost}))"
        )

    return Rendering(schema, each, each, is_plain=lambda column: f"NOT {any_lost(column)}", is_lost=any_lost)


def resolve(oid: int, modifier: int, types: Mapping[int, Mapping[str, Any]]) -> PgType:
    """The type ``oid``, domains and arrays resolved, from rows of pg_type by oid."""
    row = types[oid]
    if row["typtype"] == "d":
        return resolve(row["typbasetype"], row["typtypmod"], types)
    if row["typcategory"] == "A" and row["typelem"]:
        return PgType(row["typname"], modifier, resolve(row["typelem"], modifier, types))
    # A type of a user's own may bear a built-in's name.
    builtin = row["builtin"] or row["typname"] == "hstore"
    return PgType(row["typname"] if builtin else "", modifier)
