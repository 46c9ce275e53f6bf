"""The SQL of reading. Rows come in binary, or as CSV, whose texts are the same as those of logical replication."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from source_postgres.catalog import Column, Table

_ROW = "t"


def identifier(*parts: str) -> str:
    return sql.Identifier(*parts).as_string()


def literal(value: object, sql_type: str) -> str:
    return f"{sql.quote(str(value))}::{sql_type}"


def literal_text(text: str) -> str:
    return sql.quote(text)


def column(name: str) -> str:
    """A column of the table being read."""
    return identifier(_ROW, name)


def relation(table: Table) -> str:
    """The table being read, in a FROM clause."""
    return f"{identifier(table.namespace, table.name)} AS {_ROW}"


def copy_rows(table: Table, columns: Iterable[str], where: str = "", order: str = "", *, binary: bool = False) -> str:
    """COPY … TO STDOUT of the named columns."""
    tail = (f" WHERE {where}" if where else "") + (f" ORDER BY {order}" if order else "")
    values = ", ".join(_binary(table.columns[name]) if binary else column(name) for name in columns)
    return f"COPY (SELECT {values} FROM {relation(table)}{tail}) TO STDOUT (FORMAT {'binary' if binary else 'csv'})"


def _binary(of: Column) -> str:
    """The column in the type whose binary format is decoded, or its text.

    Casts to the type that the column has cost nothing. Where it has been changed since the catalog was read, they keep
    its bytes from being taken for something else.
    """
    value, name = column(of.name), of.type.binary
    if name is None:
        # As the type's output function has it, which a cast to text does not use for all types.
        return f"CASE WHEN {value} IS DISTINCT FROM NULL THEN pg_catalog.format('%s', {value}) END"
    return f"{value}::{of.sql_type if name == 'enum' else f'pg_catalog.{name}'}"


def copy_by_key(table: Table, names: Iterable[str], keys: list[list[str]]) -> str:
    """COPY … TO STDOUT of the named columns of the rows whose key columns have the values ``keys`` (one list for each
    key column, as texts), each with its number in the lists, from 1. Rows that are gone are left out."""
    given = ", ".join(f"{sql.Literal(values).as_string()}::text[]" for values in keys)
    aliases = [f"k{i}" for i in range(len(keys))]
    matching = " AND ".join(
        f"{column(name)} = k.{alias}::{table.columns[name].sql_type}"
        for name, alias in zip(table.primary_key, aliases, strict=True)
    )
    selected = ", ".join(["k.number", *map(column, names)])
    return (
        f"COPY (SELECT {selected} FROM unnest({given}) WITH ORDINALITY AS k({', '.join(aliases)}, number) "
        f"JOIN {relation(table)} ON {matching}) TO STDOUT"
    )


def changed_since(transaction: int) -> str:
    """Rows written by ``transaction`` (64 bits) or a later one: its age, and theirs, are counted from the same newest.

    Holds while fewer than 2^31 transactions lie between, which the caller has made sure of. Rows that vacuum froze long
    ago may look new after a wraparound: they are read once more, none is missed.
    """
    # 0 to 2 are no ordinary transactions.
    return f"age({_ROW}.xmin) <= age('{max(transaction % 2**32, 3)}'::xid)"
