# ruff: noqa: E501 (a table: a value to a line)
"""Every Postgres type with its awkward values, and what BigQuery holds of each after a sync.

A value is written as an SQL literal, and expected as BigQuery's own text of it (CAST AS STRING, of JSON TO_JSON_STRING).
"""

from __future__ import annotations

from typing import NamedTuple

#: Why a value arrives as NULL, or as another: change and reason in ``_airbyte_meta.changes``.
NOT_FINITE = "NULLED SOURCE_RETRIEVAL_ERROR"
TOO_LARGE = "NULLED DESTINATION_FIELD_SIZE_LIMITATION"
ROUNDED = "TRUNCATED DESTINATION_FIELD_SIZE_LIMITATION"


class Value(NamedTuple):
    """``literal`` in Postgres is ``expected`` in BigQuery; ``change`` None means exactly."""

    literal: str
    expected: str | None
    change: str | None = None


class Type(NamedTuple):
    """A column of the Postgres type ``sql`` becomes one of type ``bigquery``."""

    sql: str
    bigquery: str
    values: list[Value]


def same(*texts: str) -> list[Value]:
    """Texts that Postgres and BigQuery write alike."""
    return [Value("E'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'", text) for text in texts]


SETUP = """
CREATE EXTENSION hstore WITH SCHEMA public;
CREATE EXTENSION citext WITH SCHEMA public;
CREATE TYPE mood AS ENUM ('ok', 'so so', 'NULL', '🙂');
CREATE TYPE pair AS (a int, b text);
CREATE TYPE "date" AS ENUM ('no date');
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE DOMAIN price AS numeric(10, 2);
CREATE DOMAIN shelf AS price CHECK (value > 0);
CREATE DOMAIN numbers AS int[];
CREATE TYPE floatrange AS RANGE (subtype = float8);
"""

N29, N9 = "9" * 29, "9" * 9

TYPES = [
    # ---------------------------------------------------------------- numbers
    Type("boolean", "BOOL", [Value("true", "true"), Value("false", "false")]),
    Type("smallint", "INT64", same("-32768", "32767", "0")),
    Type("integer", "INT64", same("-2147483648", "2147483647")),
    Type("bigint", "INT64", same("-9223372036854775808", "9223372036854775807", "0", "-1")),
    Type("oid", "INT64", same("0", "4294967295")),
    Type("positive", "INT64", same("1")),
    Type("numeric", "NUMERIC", [
        *same("0", "1.1", "-0.000000001", f"{N29}.{N9}", f"-{N29}.{N9}"),
        Value("-0.0", "0"),
        Value("1.10", "1.1"),
        Value("1e28", "1" + "0" * 28),
        Value("0.0000000005", "0.000000001", ROUNDED),
        Value("-0.0000000005", "-0.000000001", ROUNDED),
        Value("0.0000000004999", "0", ROUNDED),
        Value("1e-16383", "0", ROUNDED),
        Value(f"{N29}.{N9}4", f"{N29}.{N9}", ROUNDED),
        Value(f"{N29}.{N9}5", None, TOO_LARGE),
        Value("1e29", None, TOO_LARGE),
        Value("-1e29", None, TOO_LARGE),
        Value("1e131071", None, TOO_LARGE),
        Value("'NaN'", None, NOT_FINITE),
        Value("'Infinity'", None, NOT_FINITE),
        Value("'-Infinity'", None, NOT_FINITE),
    ]),
    Type("numeric(12,2)", "NUMERIC", [*same("9999999999.99", "-0.01", "0"), Value("'NaN'", None, NOT_FINITE)]),
    Type("numeric(38,9)", "NUMERIC", same(f"{N29}.{N9}", f"-{N29}.{N9}")),
    Type("numeric(38,10)", "NUMERIC", [
        Value("1234567890123456789012345678.1234567891", "1234567890123456789012345678.123456789", ROUNDED),
        Value("0.0000000005", "0.000000001", ROUNDED),
        Value("0.1", "0.1"),
        Value("'NaN'", None, NOT_FINITE),
    ]),
    Type("numeric(60,30)", "NUMERIC", [
        Value("1", "1"),
        Value("-0.000000000000000000000000000001", "0", ROUNDED),
        Value("9" * 30, None, TOO_LARGE),
        Value("'NaN'", None, NOT_FINITE),
    ]),
    Type("numeric(18,0)", "INT64", [*same("9" * 18, "-" + "9" * 18), Value("'NaN'", None, NOT_FINITE)]),
    Type("numeric(38,0)", "INT64", [
        *same("9223372036854775807", "-9223372036854775808"),
        Value("9223372036854775808", None, TOO_LARGE),
        Value("-" + "9" * 38, None, TOO_LARGE),
        Value("'NaN'", None, NOT_FINITE),
    ]),
    Type("numeric(5,-2)", "INT64", [Value("12345", "12300"), Value("'NaN'", None, NOT_FINITE)]),
    Type("numeric(3,5)", "NUMERIC", same("0.00123", "-0.00999")),
    Type("price", "NUMERIC", [Value("1.5", "1.5")]),
    Type("shelf", "NUMERIC", [Value("99999999.99", "99999999.99"), Value("'NaN'", None, NOT_FINITE)]),
    Type("double precision", "NUMERIC", [
        *same("0.1", "-1.5", "100000"),
        Value("1e20", "1" + "0" * 20),
        Value("0.30000000000000004", "0.3", ROUNDED),
        Value("'-0'", "0"),
        Value("1e-9", "0.000000001"),
        Value("5e-324", "0", ROUNDED),
        Value("1.7976931348623157e308", None, TOO_LARGE),
        Value("'NaN'", None, NOT_FINITE),
        Value("'Infinity'", None, NOT_FINITE),
        Value("'-Infinity'", None, NOT_FINITE),
    ]),
    Type("real", "NUMERIC", [
        *same("0.1", "16777216"),
        Value("1e-20", "0", ROUNDED),
        Value("3.4028235e38", None, TOO_LARGE),
        Value("'NaN'", None, NOT_FINITE),
        Value("'-Infinity'", None, NOT_FINITE),
    ]),
    Type("money", "NUMERIC", [
        Value("'$1,234.56'", "1234.56"),
        Value("'-92233720368547758.08'", "-92233720368547758.08"),
        Value("0", "0"),
    ]),
    # ---------------------------------------------------------------- texts
    Type("text", "STRING", same(
        "", " ", "NULL", "null", "\\N", "\\.", "\\n", "\\\\", '"', '""', "'", ",", "\t", "\n", "\r\n", "\r", "\x01\x1f\x7f",
        "\x08\x0c", "a\u0085b\u2028c", "\ufeffBOM", "\uffff", "🛍️👩‍👩‍👧‍👦", "e\u0301 é", "שלום", "“ÿ”", "{a,b}", "</script>", "x" * 100_000,
    )),
    Type("varchar(5)", "STRING", same("", "a b", "🛍🛍🛍🛍🛍")),
    Type("char(3)", "STRING", [Value("'EU'", "EU "), Value("''", "   ")]),
    Type("bpchar", "STRING", same("a")),
    Type('"char"', "STRING", [*same("x"), Value("''", "")]),
    Type("name", "STRING", same("Odd \"name\"")),
    Type("citext", "STRING", same("MiXeD")),
    Type("uuid", "STRING", [Value("'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")]),
    Type("mood", "STRING", same("ok", "so so", "NULL", "🙂")),
    Type("public.date", "STRING", same("no date")),
    Type("xml", "STRING", []),  # the embedded Postgres is built without libxml: it takes the type, but no value
    Type("json", "STRING", same('{"z":1,\n "z": 2.10, "é":"\\u00e9"}', "null", '"x"', "[]", "1e400")),
    Type("jsonb", "STRING", [
        *same('{"a": [1, {"b": "\\"é\\""}], "n": 12345678901234567890.10}', "null", '""', "{}"),
        Value("""'{"b":1.10,"a":null,"b":2}'""", '{"a": null, "b": 2}'),
    ]),
    Type("jsonpath", "STRING", same('$."a"[*]?(@ > 1)')),
    Type("hstore", "STRING", [
        Value("""'a=>1, b=>NULL, "c ""d"=>"\\"é\\\\"'""".replace('""d', "d"), '{"a": "1", "b": null, "c d": "\\"é\\\\"}'),
        Value("''", "{}"),
    ]),
    Type("bytea", "STRING", [Value("'\\x00ff10'", "\\x00ff10"), Value("''", "\\x")]),
    Type("bit(3)", "STRING", [Value("B'101'", "101")]),
    Type("bit varying", "STRING", [Value("B'10110'", "10110"), Value("B''", "")]),
    Type("inet", "STRING", same("10.0.0.1/8", "192.168.0.1", "2001:db8::1/64")),
    Type("cidr", "STRING", same("10.0.0.0/8", "2001:db8::/32")),
    Type("macaddr", "STRING", same("08:00:2b:01:02:03")),
    Type("macaddr8", "STRING", same("08:00:2b:01:02:03:04:05")),
    Type("tsvector", "STRING", same("'a':1A 'fat':2,4B,5C 'it''s'")),
    Type("tsquery", "STRING", same("'fat' & ( 'rat' | 'cat' )")),
    Type("pair", "STRING", [Value("ROW(1, 'a \"b\", c')", '(1,"a ""b"", c")'), Value("ROW(NULL, '')", '(,"")')]),
    Type("pg_lsn", "STRING", same("16/B374D848")),
    Type("regclass", "STRING", same("pg_class")),
    # ---------------------------------------------------------------- ranges
    Type("int4range", "STRING", [*same("[1,5)", "empty", "(,)"), Value("'(1,5]'", "[2,6)")]),
    Type("numrange", "STRING", same("[1.10,2.20)")),
    Type("tsrange", "STRING", [Value("'[2024-01-01,infinity)'", '["2024-01-01 00:00:00",infinity)')]),
    Type("tstzrange", "STRING", [Value("'[2024-01-01 00:00+01,)'", '["2023-12-31 23:00:00+00",)')]),
    Type("daterange", "STRING", same("[2024-01-01,2024-02-01)")),
    Type("int8multirange", "STRING", same("{[1,3),[5,9)}", "{}")),
    Type("floatrange", "STRING", same("[0.1,NaN]")),
    # ---------------------------------------------------------------- geometry
    Type("point", "STRING", same("(1,2.5)", "(NaN,Infinity)")),
    Type("line", "STRING", same("{1,-1,0}")),
    Type("lseg", "STRING", same("[(0,0),(1,1)]")),
    Type("box", "STRING", same("(2,2),(1,1)")),
    Type("path", "STRING", same("((0,0),(1,1))", "[(0,0),(1,1)]")),
    Type("polygon", "STRING", same("((0,0),(1,1),(2,0))")),
    Type("circle", "STRING", same("<(0,0),2>")),
    # ---------------------------------------------------------------- dates and times
    Type("pg_catalog.date", "DATE", [
        *same("2024-02-29", "0001-01-01", "9999-12-31"),
        Value("'0001-12-31 BC'", None, TOO_LARGE),
        Value("'4713-01-01 BC'", None, TOO_LARGE),
        Value("'10000-01-01'", None, TOO_LARGE),
        Value("'5874897-12-31'", None, TOO_LARGE),
        Value("'infinity'", None, NOT_FINITE),
        Value("'-infinity'", None, NOT_FINITE),
    ]),
    Type("timestamp", "DATETIME", [
        *same("2024-01-01 10:00:00", "0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "1970-01-01 00:00:00.000001"),
        *same("2024-03-31 02:30:00", "2024-10-27 02:30:00.123456"),  # an hour that Berlin had not, and one it had twice
        Value("'2024-01-01 00:00:00.1234567'", "2024-01-01 00:00:00.123457"),
        Value("'0001-12-31 23:59:59.999999 BC'", None, TOO_LARGE),
        Value("'10000-01-01'", None, TOO_LARGE),
        Value("'294276-12-31 23:59:59.999999'", None, TOO_LARGE),
        Value("'infinity'", None, NOT_FINITE),
        Value("'-infinity'", None, NOT_FINITE),
    ]),
    Type("timestamptz", "TIMESTAMP", [
        Value("'2024-10-27 02:30:00+02'", "2024-10-27 00:30:00+00"),
        Value("'2024-10-27 02:30:00+01'", "2024-10-27 01:30:00+00"),
        Value("'2024-03-31 02:30:00 Europe/Berlin'", "2024-03-31 01:30:00+00"),
        Value("'1800-01-01 00:00:00 Europe/Amsterdam'", "1799-12-31 23:42:30+00"),
        Value("'0001-01-01 00:00:00Z'", "0001-01-01 00:00:00+00"),
        Value("'9999-12-31 23:59:59.999999Z'", "9999-12-31 23:59:59.999999+00"),
        Value("'2016-12-31 23:59:60Z'", "2017-01-01 00:00:00+00"),
        Value("'0001-01-01 00:00:00+02'", None, TOO_LARGE),
        Value("'9999-12-31 23:59:59-01'", None, TOO_LARGE),
        Value("'0044-03-15 12:00:00.5Z BC'", None, TOO_LARGE),
        Value("'infinity'", None, NOT_FINITE),
        Value("'-infinity'", None, NOT_FINITE),
    ]),
    Type("time", "TIME", [
        *same("00:00:00", "23:59:59.999999", "10:00:00.500"),
        Value("'24:00'", "23:59:59.999999", ROUNDED),
    ]),
    Type("timetz", "STRING", [
        Value("'10:00+02'", "10:00:00+02:00"),
        Value("'10:00:00.000001-05:30'", "10:00:00.000001-05:30"),
        Value("'24:00Z'", "23:59:59.999999999+00:00"),
    ]),
    Type("interval", "STRING", [
        *same("1 year 2 mons 3 days 04:05:06.789", "-1 days +02:03:00", "00:00:00", "infinity"),
        Value("'-178000000 years'", "-178000000 years"),
    ]),
    # ---------------------------------------------------------------- arrays
    Type("boolean[]", "JSON", [Value("'{t,f,NULL}'", "[true,false,null]")]),
    Type("bigint[]", "JSON", [
        Value("'{9223372036854775807,-9223372036854775808,NULL}'", "[9223372036854775807,-9223372036854775808,null]"),
        Value("'{}'", "[]"),
        Value("'{{1,2},{3,NULL}}'", "[[1,2],[3,null]]"),
        Value("'[2:3][0:0]={{1},{2}}'", "[[1],[2]]"),
        Value("'{{{1}}}'", "[[[1]]]"),
    ]),
    Type("numeric[]", "JSON", [
        Value("'{1.50,NULL}'", "[1.5,null]"),
        Value("'{NaN,1}'", "[null,1]", NOT_FINITE),
        Value("'{-Infinity}'", "[null]", NOT_FINITE),
        Value("'{0.12345678901234567890,12345678901234567890}'", "[0.12345678901234568,12345678901234567890]"),
        Value("'{123456789012345678901234567890}'", "[1.2345678901234568e+29]"),
        Value("'{1e400}'", None, TOO_LARGE),
    ]),
    Type("numeric(6,2)[]", "JSON", [Value("'{1.5,-0.01}'", "[1.5,-0.01]")]),
    Type("float8[]", "JSON", [
        Value("'{0.1,1e-300,5e-324}'", "[0.1,1e-300,5e-324]"),
        Value("'{1,NaN,Infinity}'", "[1,null,null]", NOT_FINITE),
    ]),
    Type("real[]", "JSON", [Value("'{0.1,1e20}'", "[0.1,1e+20]")]),
    Type("money[]", "JSON", [Value("""'{"$1,234.50","-$0.01"}'""", "[1234.5,-0.01]")]),
    Type("text[]", "JSON", [
        Value("ARRAY['a', NULL, '', 'NULL', 'null', '\"', '\\', '{}', 'a,b', ' ', E'\\n\\t\\x01', '🛍️']",
              '["a",null,"","NULL","null","\\"","\\\\","{}","a,b"," ","\\n\\t\\u0001","🛍️"]'),
        Value("""'{{"a;b","c"},{"\\"","(1,2)"}}'""", '[["a;b","c"],["\\"","(1,2)"]]'),
        Value("ARRAY['((1,2),(3,4))', '(1']", '["((1,2),(3,4))","(1"]'),
    ]),
    Type("mood[]", "JSON", [Value("""'{ok,"NULL",NULL,"so so",🙂}'""", '["ok","NULL",null,"so so","🙂"]')]),
    Type("uuid[]", "JSON", [
        Value("'{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}'", '["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]'),
    ]),
    Type("jsonb[]", "JSON", [Value("""ARRAY['{"a": "\\"b"}', 'null', NULL]::jsonb[]""", '["{\\"a\\": \\"\\\\\\"b\\"}","null",null]')]),
    Type("hstore[]", "JSON", [Value("""ARRAY['a=>"b c"']::hstore[]""", '["{\\"a\\": \\"b c\\"}"]')]),
    Type("bytea[]", "JSON", [Value("ARRAY['\\x00ff'::bytea]", '["\\\\x00ff"]')]),
    Type("pg_catalog.date[]", "JSON", [
        Value("'{2024-01-01,NULL,0044-03-15 BC}'", '["2024-01-01",null,"0044-03-15 BC"]'),
        Value("'{infinity}'", "[null]", NOT_FINITE),
    ]),
    Type("timestamp[]", "JSON", [
        Value("'{2024-01-01 10:00:00.5,0044-03-15 BC}'", '["2024-01-01T10:00:00.500000","0044-03-15T00:00:00.000000 BC"]'),
    ]),
    Type("timestamptz[]", "JSON", [
        Value("'{2024-01-01 10:00:00+02,NULL}'", '["2024-01-01T08:00:00.000000Z",null]'),
        Value("'{-infinity}'", "[null]", NOT_FINITE),
    ]),
    Type("time[]", "JSON", [Value("'{10:00,24:00}'", '["10:00:00","23:59:59.999999999"]')]),
    Type("timetz[]", "JSON", [Value("'{10:00+02,24:00Z}'", '["10:00:00+02:00","23:59:59.999999999+00:00"]')]),
    Type("interval[]", "JSON", [Value("'{1 day 02:03}'", '["1 day 02:03:00"]')]),
    Type("int4range[]", "JSON", [Value("""'{"[1,5)",empty}'""", '["[1,5)","empty"]')]),
    Type("int4multirange[]", "JSON", [Value("""'{"{[1,2),[4,5)}"}'""", '["{[1,2),[4,5)}"]')]),
    Type("point[]", "JSON", [Value("""'{"(1,2)","(3,4)"}'""", '["(1,2)","(3,4)"]')]),
    Type("box[]", "JSON", [
        Value("'{(2,2),(1,1);(4,4),(3,3)}'", '["(2,2),(1,1)","(4,4),(3,3)"]'),
        Value("'{{(2,2),(1,1)};{NULL}}'", '[["(2,2),(1,1)"],[null]]'),
        Value("'{NULL;(2,2),(1,1)}'", '[null,"(2,2),(1,1)"]'),
    ]),
    Type("circle[]", "JSON", [Value("""'{"<(0,0),2>"}'""", '["<(0,0),2>"]')]),
    Type("pair[]", "JSON", [Value("""ARRAY[ROW(1, 'a "b"'), NULL]::pair[]""", '["(1,\\"a \\"\\"b\\"\\"\\")",null]')]),
    Type("positive[]", "JSON", [Value("'{1,2}'", "[1,2]")]),
    Type("numbers", "JSON", [Value("'{1,NULL}'", "[1,null]")]),
    Type("numbers[]", "JSON", [Value("""'{"{1,2}",NULL,"{}"}'""", "[[1,2],null,[]]")]),
    Type("int2vector", "STRING", same("1 2")),
    Type("bit(1)[]", "JSON", [Value("ARRAY[B'1', B'0']", '["1","0"]')]),
    Type("inet[]", "JSON", [Value("'{10.0.0.1/8}'", '["10.0.0.1/8"]')]),
]  # fmt: skip
