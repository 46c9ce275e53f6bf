"""Rows that COPY sends in binary are those that it sends as CSV, whatever they hold."""

from __future__ import annotations

import ctypes
import random
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import psycopg
import pytest
from source_postgres import binary, catalog, config, connection, copying, native, query, types
from source_postgres.batches import Batch, Field, from_binary, from_csv

#: Every type that is decoded in binary, and some that come as text.
TYPES = {
    "bool": ["true", "false"],
    "int2": ["-32768", "32767", "0"],
    "int4": ["-2147483648", "2147483647", "7"],
    "int8": ["-9223372036854775808", "9223372036854775807", "1"],
    "oid": ["0", "4294967295"],
    "float8": ["0.1", "-0.0", "1e308", "5e-324", "'NaN'", "'-Infinity'"],
    "float4": ["0.1", "16777217", "1e-45", "'Infinity'"],
    "numeric(12,2)": ["0", "-0.01", "0.10", "9999999999.99", "-9999999999.99", "10000", "99990000", "'NaN'"],
    "numeric(38,0)": ["99999999999999999999999999999999999999", "-1", "10000000000000000000000000000000000000"],
    "numeric(38,38)": ["0.99999999999999999999999999999999999999", "1e-38", "-1e-37"],
    "numeric(38,3)": ["99999999999999999999999999999999999.999", "0.001", "-1234.5"],
    "numeric(5,5)": ["0.00001", "0.1", "-0.99999"],
    "numeric": ["1e400", "0.10", "-0.00", "'NaN'", "'Infinity'"],
    "date": ["'1970-01-01'", "'0001-01-01'", "'9999-12-31'", "'1969-12-31'"],
    "timestamp": ["'1970-01-01'", "'0001-01-01'", "'9999-12-31 23:59:59.999999'", "'1999-12-31 23:59:59.999999'"],
    "timestamptz": ["'2024-10-27 02:30+02'", "'0001-01-01+00'", "'9999-12-31 23:59:59.999999+00'"],
    "uuid": ["'00000000-0000-0000-0000-000000000000'", "'FEDCBA98-7654-3210-0123-456789ABCDEF'"],
    "text": ["''", "E'\\n\\t\\\\,\"'", "repeat('🛍️', 500)", "'PGCOPY'", "E'\\uFEFFx'"],
    "varchar(20)": ["''", "'\\N'", "'NULL'"],
    "char(3)": ["'EU'", "''"],
    "name": ["'a'", "''"],
    "json": ["'{\"a\":  1, \"a\": null}'", "'\"\"'"],
    "jsonb": ["'{\"b\": [1.10, \"\\u0001\"], \"a\": {}}'", "'null'"],
    "mood": ["'sad'", "'o, k'"],
    "money": ["'-$1,234.50'"],
    "time": ["'24:00'", "'00:00:00.000001'"],
    "bytea": ["'\\x00ff'", "''"],
    "inet": ["'10.0.0.1/32'", "'::1'"],
    '"char"': ["'x'", "''"],
    "pair": ["ROW(NULL, NULL)", "ROW(1, 'a \"b')"],
    "text[]": ["'{}'", "ARRAY['a', NULL, '\"']"],
    "price": ["1.5", "-99999999.99"],
    "feeling": ["'sad'"],
}  # fmt: skip
EXTRAORDINARY = {
    "date": ["'4714-11-24 BC'", "'5874897-12-31'", "'0001-12-31 BC'", "'10000-01-01'", "'infinity'", "'-infinity'"],
    "timestamp": ["'4714-11-24 BC'", "'294276-12-31 23:59:59.999999'", "'0001-12-31 23:59:59.9 BC'", "'10000-01-01'"],
    "timestamptz": ["'4714-11-24+00 BC'", "'294276-12-31 23:59:59.9+00'", "'0044-03-15 00:00+00 BC'", "'infinity'"],
}


@pytest.fixture
def opened(source: Any, execute: Any) -> Iterator[tuple[psycopg.Connection[Any], config.Config]]:
    execute("CREATE TYPE mood AS ENUM ('sad', 'o, k'); CREATE TYPE pair AS (a int, b text)")
    execute("CREATE DOMAIN price AS numeric(10, 2); CREATE DOMAIN feeling AS mood")
    parsed = config.parse(source.config)
    with connection.connect(parsed) as opened:
        yield opened, parsed


@pytest.fixture
def read(opened: tuple[psycopg.Connection[Any], config.Config]) -> Callable[..., Batch]:
    """The table ``t`` in the order of its column ``row``: in binary, or as CSV."""
    reader, parsed = opened

    def read(*, in_binary: bool, size: int = 1 << 24) -> list[Batch]:
        (table,) = catalog.tables(reader, parsed)
        fields = tuple(Field(name, column.type) for name, column in table.columns.items())
        statement = query.copy_rows(table, table.columns, order='t."row"', binary=in_binary)
        blocks = list(copying.blocks(reader, statement, size))
        reader.rollback()
        return [from_binary(library(), fields, block) if in_binary else from_csv(fields, block) for block in blocks]

    return read


def library() -> ctypes.CDLL:
    found = native.library()
    assert found is not None
    return found


def create(execute: Any, values: dict[str, list[str]], seed: int, rows: int = 300) -> None:
    """The table ``t`` with a column of each type, a tenth of its values NULL."""
    chosen = random.Random(seed)
    columns = ", ".join(f"c{number} {name}" for number, name in enumerate(values))
    execute(f'CREATE TABLE t ("row" int, {columns})')
    lines = [", ".join(chosen.choice(["NULL", *choices * 9]) for choices in values.values()) for _ in range(rows)]
    execute("INSERT INTO t VALUES " + ", ".join(f"({number}, {line})" for number, line in enumerate(lines)))


def same(left: list[Batch], right: list[Batch]) -> None:
    (one,), (other,) = left, right
    for field, values, expected in zip(one.fields, one.columns, other.columns, strict=True):
        values.validate(full=True)
        assert values.equals(expected), (field, values, expected)
    assert one.changes == other.changes or (one.changes is not None and one.changes.equals(other.changes))
    assert one.arrow().equals(other.arrow())


@pytest.mark.parametrize("seed", range(3))
def test_rows_in_binary_are_those_of_csv(execute: Any, read: Any, seed: int) -> None:
    create(execute, TYPES, seed)
    same(read(in_binary=True), read(in_binary=False))


def test_moments_beyond_arrow_are_those_of_csv(execute: Any, read: Any) -> None:
    create(execute, {name: TYPES[name] + choices for name, choices in EXTRAORDINARY.items()}, 0)
    same(read(in_binary=True), read(in_binary=False))


def test_random_numbers_and_moments_are_those_of_csv(execute: Any, read: Any) -> None:
    """What is spread evenly over a type's range, and over the magnitudes of it."""
    execute(
        'CREATE TABLE t ("row" int, n numeric(38, 9), m numeric(14, 4), f float8, i int8, d date, t timestamp, u uuid)'
    )
    execute(
        "INSERT INTO t SELECT i, (random() * 2 - 1)::numeric * 10 ^ (i % 29), "
        "trunc((random() * 1e10)::numeric, i % 5), exp(random() * 1400 - 700), (random() * 1e18)::int8 >> i % 60, "
        "'0001-01-01'::date + (random() * 3652058)::int, "
        "'0001-01-01'::timestamp + random() * 315537897599 * interval '1 s', gen_random_uuid() "
        "FROM generate_series(1, 20000) i"
    )
    same(read(in_binary=True, size=1 << 30), read(in_binary=False, size=1 << 30))


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9])
def test_blocks_of_any_size_hold_every_row_once(execute: Any, read: Any, rows: int) -> None:
    execute('CREATE TABLE t ("row" int, long text, b bool)')
    execute(f"INSERT INTO t SELECT i, repeat('x', i * 5000), i % 2 = 0 FROM generate_series(1, {rows}) i")
    for size in (1, 4096, 20_000, 1 << 20):
        found = [row for batch in read(in_binary=True, size=size) for row in batch.arrow().to_pylist()]
        assert found == [{"row": i, "long": "x" * 5000 * i, "b": i % 2 == 0} for i in range(1, rows + 1)]


def test_rows_without_columns_or_a_null_in_each(execute: Any, read: Any) -> None:
    create(execute, {name: ["NULL"] for name in TYPES}, 0, rows=9)
    same(read(in_binary=True), read(in_binary=False))


def test_a_column_changed_since_the_catalog_was_read_is_not_taken_for_another(execute: Any, opened: Any) -> None:
    """int8 and timestamptz both have eight bytes."""
    reader, parsed = opened
    execute("CREATE TABLE t (a int8, n numeric(6, 2)); INSERT INTO t VALUES (1, 1.5)")
    (table,) = catalog.tables(reader, parsed)
    reader.rollback()
    fields = tuple(Field(name, column.type) for name, column in table.columns.items())
    statement = query.copy_rows(table, table.columns, binary=True)
    execute("ALTER TABLE t ALTER n TYPE numeric(12, 6); UPDATE t SET n = 1.234567")
    (block,) = copying.blocks(reader, statement, 1 << 20)
    batch = from_binary(library(), fields, block)
    assert batch.arrow().to_pylist()[0]["n"] is None
    assert "SOURCE_RETRIEVAL_ERROR" in batch.changes[0].as_py()
    reader.rollback()
    execute("ALTER TABLE t ALTER a TYPE timestamptz USING now()")
    with pytest.raises(psycopg.errors.CannotCoerce):
        list(copying.blocks(reader, statement, 1 << 20))


def test_rows_that_are_not_whole_are_refused_before_anything_is_decoded() -> None:
    integer, text = types.ColumnType({}, "integer", binary="int4"), types.ColumnType({}, binary="text")
    row = struct.pack(">hiii2s", 2, 4, 7, 2, b"ab")
    whole = b"PGCOPY\n\xff\r\n\0" + bytes(8) + row + row + b"\xff\xff"

    def decoded(block: bytes) -> list[list[Any]]:
        return [values.to_pylist() for values, _ in binary.arrays(library(), [integer, text], bytearray(block))]

    assert decoded(whole) == [[7, 7], ["ab", "ab"]]
    assert decoded(whole[:-2]) == [[7, 7], ["ab", "ab"]]
    assert decoded(whole[:19]) == [[], []]
    for damaged in (whole[:-3], whole + b"\0", whole[:19] + b"\0\3" + whole[21:], whole.replace(b"\0\4", b"\0\2")):
        with pytest.raises(AssertionError, match="other columns"):
            decoded(damaged)


def test_random_bytes_are_refused_or_decoded_without_a_crash() -> None:
    kinds = [types.ColumnType({}, "decimal", precision=12, scale=2, binary="numeric"), types.ColumnType({})]
    numbers = np.random.default_rng(0)
    for _ in range(2000):
        block = bytearray(struct.pack(">hihhhhhi", 2, 10, 1, *numbers.integers(-20, 20, 3).tolist(), 9, 3) + b"abc")
        for _ in range(int(numbers.integers(0, 3))):
            block[int(numbers.integers(len(block)))] = int(numbers.integers(256))
        try:
            found = binary.arrays(library(), kinds, block)
        except AssertionError:
            continue
        for values, _ in found:
            values.validate()


def test_a_text_that_is_no_utf8_ends_the_read(
    source: Any, configured: Any, postgres_server: Any, database: Any
) -> None:
    """A database of encoding SQL_ASCII may hold one; arrays are made without looking at texts again."""
    with psycopg.connect(postgres_server.conninfo(), autocommit=True) as superuser:
        superuser.execute(f"DROP DATABASE {database.name}".encode())
        encoding = "ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
        superuser.execute(f"CREATE DATABASE {database.name} OWNER {database.user} {encoding}".encode())
    with psycopg.connect(database.conninfo, autocommit=True, client_encoding="SQL_ASCII") as owner:
        owner.execute(b"CREATE TABLE t (a text); INSERT INTO t VALUES ('\xc3\xa4')")
        assert source("read", catalog=configured()).records("t") == [{"a": "ä"}]
        owner.execute(rb"INSERT INTO t VALUES (E'\xff')")
        run = source("read", catalog=configured())
        assert run.status == 1
        assert 'invalid byte sequence for encoding "UTF8"' in run.errors[0]["message"]
        owner.execute(b'CREATE TABLE "\xe4lter" (id int)')
    assert 'invalid byte sequence for encoding "UTF8"' in source.check()["message"]


def test_without_library_or_compiler_rows_come_as_csv(
    source: Any, execute: Any, configured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute('CREATE TABLE t ("row" int PRIMARY KEY, a text, d date)')
    execute("INSERT INTO t SELECT i, 'x' || i, current_date FROM generate_series(1, 1000) i")
    statements: list[str] = []
    copy_rows = query.copy_rows

    def watched(*arguments: Any, **options: Any) -> str:
        statements.append(copy_rows(*arguments, **options))
        return statements[-1]

    monkeypatch.setattr(query, "copy_rows", watched)
    in_binary = source("read", catalog=configured()).records("t")
    monkeypatch.setattr(native, "library", lambda: None)
    assert source("read", catalog=configured()).records("t") == in_binary
    assert len(in_binary) == 1000
    assert ["FORMAT binary" in statement for statement in statements] == [True, False]


def test_the_library_is_compiled_once_and_anew_for_another_source(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, copy = native._SOURCE.read_text(), tmp_path / "copy_binary.c"
    monkeypatch.setattr(native, "_SOURCE", copy)
    compiled = native.library.__wrapped__
    for content, libraries in [(text, 1), (text + "/* changed */", 2), (text, 2)]:
        copy.write_text(content)
        assert compiled().measure
        assert len(list((tmp_path / "__pycache__").iterdir())) == libraries
    copy.write_text("this is no C")
    assert compiled() is None
    copy.write_text(text + "/* changed again */")
    monkeypatch.setattr(native.importlib.util, "find_spec", lambda name: None)
    assert compiled() is None
