"""Calls of every function signature that the emulator maps, with edge values: queries for the comparison with Google.

The signatures come from the analyzer itself, so a new table entry is tested without a line here; what is written down
are the values, and the arguments that only certain functions understand.
"""

# ruff: noqa: E501, SIM905 (tables)
from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from bq_emulator.sql.functions import registry
from bq_emulator.sql.signatures import Argument, Signature

VALUES = {
    "INT64": "0 1 -1 2 7 -13 100 2147483648 9007199254740993 9223372036854775807 -9223372036854775808".split(),
    "FLOAT64": [
        "0.0", "-0.0", "1.5", "-2.5", "0.1", "3.0", "1e20", "-1e-7", "1e308", "5e-324", "123456789.987654321", "2.5",
        "CAST('nan' AS FLOAT64)", "CAST('inf' AS FLOAT64)", "CAST('-inf' AS FLOAT64)",
    ],
    "NUMERIC": [
        f"NUMERIC '{text}'"
        for text in "0 1 -1 1.5 -2.5 0.000000001 -0.000000001 123456789.987654321 12345678901234567890.5 "
        "99999999999999999999999999999.999999999 -99999999999999999999999999999.999999999".split()
    ],
    "BIGNUMERIC": [
        f"BIGNUMERIC '{text}'"
        for text in "0 1 -1 1.5 -2.5 0.00000000000000000000000000000000000001 123456789.987654321 "
        "12345678901234567890123456789.5 -99999999999999999999.12345678901234567890123456789 "
        "578960446186580977117854925043439539266.34992332820282019728792003956564819967".split()
    ],
    "STRING": [
        "''", "'a'", "'abc'", "'Hello World'", "' \\t x\\n'", "'é'", "'straße'", "'日本語'", "'😀z'", "'a,b,,c'", "'12'",
        "'-1.5'", "'%a_b'", "'İI'", "'abcabc'",
    ],
    "BYTES": ["b''", "b'a'", "b'abc'", "b'\\x00\\xff'", "b'a,b'", "b'Hello'", "b'\\xc3\\xa9'", "b'  x '"],
    "BOOL": ["TRUE", "FALSE"],
    "DATE": [
        f"DATE '{text}'"
        for text in "0001-01-01 1969-12-31 1970-01-01 2020-02-29 2021-01-03 2021-12-31 2024-12-30 9999-12-31".split()
    ],
    "DATETIME": [
        f"DATETIME '{text}'"
        for text in (
            "0001-01-01 00:00:00", "1969-12-31 23:59:59.999999", "2020-02-29 12:34:56.5", "2021-01-31 00:00:00.000001",
            "2021-12-31 23:59:59", "9999-12-31 23:59:59.999999",
        )
    ],
    "TIMESTAMP": [
        f"TIMESTAMP '{text}+00'"
        for text in (
            "0001-01-01 00:00:00", "1969-12-31 23:59:59.999999", "1970-01-01 00:00:00", "2020-02-29 12:34:56.5",
            "2021-03-14 10:00:00", "2021-12-31 23:59:59.123456", "9999-12-31 23:59:59.999999",
        )
    ],
    "TIME": [f"TIME '{text}'" for text in ("00:00:00", "12:34:56.789", "23:59:59.999999", "01:02:03")],
    "JSON": [
        f"JSON '{text}'"
        for text in (
            "null", "true", "1", "-5", "1.5", "1e20", '"text"', '"12"', "[]", "[1, 2.5, null]", "{}", '{"b": 1, "a": [true]}',
            '{"a": {"b": "c"}, "n": 1.0}',
        )
    ],
    "INTERVAL": [
        "INTERVAL 1 YEAR", "INTERVAL -3 MONTH", "INTERVAL 40 DAY", "INTERVAL '1-2 3 4:5:6.789' YEAR TO SECOND",
        "INTERVAL 0 SECOND", "INTERVAL -90 MINUTE",
    ],
}  # fmt: skip
BASE_TYPES = ("INT64", "STRING", "FLOAT64", "NUMERIC", "BIGNUMERIC", "DATE", "TIMESTAMP", "BOOL", "BYTES")

DATE_PARTS = ["DAY", "WEEK", "WEEK(MONDAY)", "WEEK(SATURDAY)", "ISOWEEK", "MONTH", "QUARTER", "YEAR", "ISOYEAR"]
TIME_PARTS = ["MICROSECOND", "MILLISECOND", "SECOND", "MINUTE", "HOUR"]
PARTS = {
    "date": DATE_PARTS,
    "datetime": DATE_PARTS + TIME_PARTS,
    "timestamp": ["DAY", *TIME_PARTS],
    "timestamp_trunc": DATE_PARTS + TIME_PARTS,
    "time": TIME_PARTS,
    "last_day": [part for part in DATE_PARTS if part != "DAY"],
    "generate_date_array": ["DAY", "WEEK", "MONTH", "QUARTER", "YEAR"],
    "generate_timestamp_array": ["DAY", "HOUR", "MINUTE"],
    "interval_constructor": ["DAY", "MONTH", "YEAR", "HOUR", "SECOND", "WEEK", "QUARTER"],
}
PATHS = ["'$'", "'$.a'", "'$.a.b'", "'$[1]'", "'$.z'", "'$.a[0]'"]
DOCUMENTS = [
    "'{\"a\": {\"b\": \"c\"}}'", "'[1, 2.50, \"x\", null]'", "'\"text\"'", "'1.50'", "'1e3'", "'null'", "'not json'", "'{\"a\": [1, {\"b\": 2}]}'",
    "'{\"b\": 1.10, \"a\": 12345678901234567890}'", "''", "'true'", "'[1, null, [2]]'",
]  # fmt: skip
PATTERNS = ["r'[a-c]+'", "r'(b)'", "r'^$'", "r'\\s'", "r'.'", "r'(?i)HELLO'", "r'[^a]*'"]
BYTE_PATTERNS = [f"b{each[1:]}" for each in PATTERNS]
ZONES = ["'UTC'", "'America/New_York'", "'Asia/Kolkata'", "'+05:30'", "'Europe/Berlin'"]
SMALL = ["0", "1", "2", "3", "-1", "5"]
DATE_FORMATS = ["'%Y-%m-%d'", "'%F'", "'%A, %d %B %y'", "'%D %j %U %W %u %w'", "'%G-W%V'", "'%e|%b|%C|%Q'", "'%x%%'"]
TIME_FORMATS = ["'%H:%M:%S'", "'%T'", "'%I:%M %p'", "'%R'", "'%E*S'", "'%E3S'", "'%X'"]

#: Function → arguments by position, each inline (constant) alternatives; None leaves the position to VALUES.
ARGUMENTS: dict[str, list[list[str] | None]] = {
    **{
        name: [None, PATHS]
        for name in (
            "json_value", "json_query", "json_extract", "json_extract_scalar", "json_value_array", "json_query_array",
            "json_extract_array", "json_extract_string_array",
        )
    },
    "json_set": [None, PATHS, None],
    "json_remove": [None, PATHS[1:]],
    "json_array_append": [None, PATHS, None],
    "json_array_insert": [None, ["'$[1]'", "'$.a[0]'"], None],
    "json_strip_nulls": [None, ["'$'", "'$.a'"], ["include_arrays => FALSE", "include_arrays => TRUE"]],
    "json_keys": [None, ["1", "2", "NULL"], ["mode => 'strict'", "mode => 'lax'", "mode => 'lax recursive'"]],
    "json_flatten": [None],
    "json_object": [["'a'", "'b'"]],
    "parse_json": [None, ["wide_number_mode => 'exact'", "wide_number_mode => 'round'"]],
    "regexp_contains": [None, PATTERNS], "regexp_extract": [None, PATTERNS, ["1", "2"], ["1", "2"]],
    "regexp_extract_all": [None, PATTERNS], "regexp_replace": [None, PATTERNS, None],
    "regexp_instr": [None, PATTERNS, ["1", "2"], ["1", "2"], ["0", "1"]],
    "substr": [None, [*SMALL, "-2", "9"], SMALL], "left": [None, SMALL], "right": [None, SMALL],
    "lpad": [None, ["0", "2", "7", "-1"]], "rpad": [None, ["0", "2", "7", "-1"]], "repeat": [None, SMALL],
    "chr": [["0", "97", "233", "128512", "-1"]], "code_points_to_string": [["[97, 233]", "[]", "[128512]"]],
    "code_points_to_bytes": [["[97, 233]", "[]", "[256]"]],
    "instr": [None, None, ["1", "2", "-1"], ["1", "2"]],
    "from_base64": [["'YWJj'", "''", "'YQ=='", "'!'"]], "from_base32": [["'MFRGG==='", "''", "'!'"]],
    "from_hex": [["'00fF'", "''", "'123'", "'xy'"]],
    "parse_numeric": [["'1.5'", "' - 12 '", "'1,234.5'", "'1e3'", "'x'"]],
    "parse_bignumeric": [["'1.5'", "' - 12 '", "'1,234.5'", "'1e-30'", "'x'"]],
    "normalize": [None, ["NFC", "NFD", "NFKC", "NFKD"]], "normalize_and_casefold": [None, ["NFC", "NFKC"]],
    "format": [["'%s|'", "'%t'", "'%T'", "'%10d'", "'%-8s|'", "'%.2f'", "'%x'", "'%e'", "'%P'", "'%i %d'", "'%%'"]],
    "round": [None, [*SMALL, "-2", "9", "40"], ["'ROUND_HALF_EVEN'", "'ROUND_HALF_AWAY_FROM_ZERO'"]],
    "trunc": [None, [*SMALL, "-2", "9", "40"]],
    "pow": [None, ["0", "1", "2", "-1", "0.5"]],
    "format_date": [DATE_FORMATS], "format_datetime": [DATE_FORMATS + TIME_FORMATS], "format_time": [TIME_FORMATS],
    "format_timestamp": [DATE_FORMATS + TIME_FORMATS + ["'%s'", "'%Ez'", "'%z'"], None, ZONES],
    "parse_date": [["'%Y-%m-%d'", "'%d %b %Y'", "'%m/%d/%y'"], ["'2020-02-29'", "'5 Mar 2021'", "'12/31/99'", "'x'", "''"]],
    "parse_datetime": [["'%Y-%m-%d %H:%M:%S'", "'%Y-%m-%d %I:%M %p'"], ["'2020-02-29 1:2:3'", "'2020-02-29 11:30 pm'", "'x'"]],
    "parse_time": [["'%H:%M:%S'", "'%I %p'", "'%H:%M:%E*S'"], ["'23:59:59'", "'3 AM'", "'1:2:3.5'", "'25:00:00'"]],
    "parse_timestamp": [
        ["'%Y-%m-%d %H:%M:%S'", "'%Y-%m-%dT%H:%M:%E*S%Ez'", "'%s'"],
        ["'2020-02-29 01:02:03'", "'2020-02-29T01:02:03.456+02:00'", "'1600000000'", "'x'"], ZONES,
    ],
    "date": [None, ZONES], "time": [None, ZONES], "datetime": [None, ZONES], "timestamp": [None, ZONES],
    "string": [None, ZONES], "current_date": [ZONES], "timestamp_trunc": [None, None, ZONES],
    "generate_array": [["1", "-3", "0"], ["5", "-3"], ["1", "2", "-1", "0"]],
    "generate_date_array": [["DATE '2021-01-31'"], ["DATE '2021-05-01'", "DATE '2020-01-01'"], ["INTERVAL 1 DAY", "INTERVAL 1 MONTH", "INTERVAL -1 WEEK"]],
    "generate_timestamp_array": [["TIMESTAMP '2021-01-31 00:00:00+00'"], ["TIMESTAMP '2021-02-02 12:00:00+00'"], ["INTERVAL 7 HOUR", "INTERVAL 1 DAY"]],
    "range_bucket": [None, None],
    "net.ip_from_string": [["'1.2.3.4'", "'::1'", "'x'"]], "net.safe_ip_from_string": [["'1.2.3.4'", "'::1'", "'x'"]],
    "net.ip_to_string": [["b'\\x01\\x02\\x03\\x04'", "b'x'"]], "net.ip_trunc": [["b'\\x01\\x02\\x03\\x04'"], ["8", "31", "33"]],
    "net.ip_net_mask": [["4", "16", "5"], ["0", "20", "40"]], "net.ipv4_to_int64": [["b'\\x01\\x02\\x03\\x04'", "b'x'"]],
    "net.ipv4_from_int64": [["0", "4294967295", "-1"]],
    "timestamp_seconds": [["0", "1600000000", "-62135596800", "253402300800"]],
    "unix_seconds": [None], "date_from_unix_date": [["0", "-1", "18262", "2932896", "2932897"]],
    "timestamp_from_unix_seconds": [["0", "-1"]],
    "make_interval": [["1", "0"], ["2", "-14"], ["3"], ["4", "-5"], ["5"], ["6"]],
    "approx_top_count": [None, ["1", "2"]], "approx_top_sum": [None, None, ["2"]], "approx_quantiles": [None, ["1", "2", "4"]],
    "ntile": [["1", "2", "3"]], "lag": [None, ["1", "2", "0"]], "lead": [None, ["1", "2", "0"]], "nth_value": [None, ["1", "2", "9"]],
    "percentile_cont": [None, ["0", "0.5", "1", "0.3"]], "percentile_disc": [None, ["0", "0.5", "1", "0.3"]],
    "string_agg": [None, ["','", "''"]],
    "error": [["'boom'"]],
    "date_bucket": [None, ["INTERVAL 2 DAY", "INTERVAL 1 MONTH"]], "datetime_bucket": [None, ["INTERVAL 2 DAY", "INTERVAL 90 MINUTE"]],
    "timestamp_bucket": [None, ["INTERVAL 2 DAY", "INTERVAL 90 MINUTE"]],
    "int64": [["JSON '1'", "JSON '1.0'", "JSON '\"1\"'", "JSON 'null'"]],
    "array_slice": [None, ["0", "1", "-2"], ["1", "-1", "5"]],
    "$multiply": [None, None],
    "edit_distance": [None, None, ["max_distance => 1", "max_distance => 9"]],
    "to_json": [None, ["stringify_wide_numbers => FALSE", "stringify_wide_numbers => TRUE"]],
    "to_json_string": [None, ["FALSE", "TRUE"]],
    "float64": [None, ["wide_number_mode => 'exact'", "wide_number_mode => 'round'"]],
    "float64_array": [None, ["wide_number_mode => 'round'"]],
}  # fmt: skip
#: Arguments of their BYTES signatures.
BYTES_ARGUMENTS = {
    "regexp_contains": [None, BYTE_PATTERNS], "regexp_extract": [None, BYTE_PATTERNS, ["1", "2"], ["1", "2"]],
    "regexp_extract_all": [None, BYTE_PATTERNS], "regexp_replace": [None, BYTE_PATTERNS, None],
    "regexp_instr": [None, BYTE_PATTERNS, ["1"], ["1"], ["0", "1"]],
}  # fmt: skip
STRING_DOCUMENT = re.compile(r"(LAX_|PARSE_)?JSON|JSON_(VALUE|QUERY|EXTRACT)")

#: Functions written as operators or with words.
OPERATORS = {
    "$add": "{0} + {1}", "$subtract": "{0} - {1}", "$multiply": "{0} * {1}", "$divide": "{0} / {1}", "$equal": "{0} = {1}",
    "$not_equal": "{0} != {1}", "$less": "{0} < {1}", "$less_or_equal": "{0} <= {1}", "$greater": "{0} > {1}",
    "$greater_or_equal": "{0} >= {1}", "$and": "{0} AND {1}", "$or": "{0} OR {1}", "$not": "NOT {0}",
    "$unary_minus": "-{0}", "$bitwise_and": "{0} & {1}", "$bitwise_or": "{0} | {1}", "$bitwise_xor": "{0} ^ {1}",
    "$bitwise_not": "~{0}", "$bitwise_left_shift": "{0} << {1}", "$bitwise_right_shift": "{0} >> {1}",
    "$concat_op": "{0} || {1}", "$like": "{0} LIKE {1}", "$is_null": "{0} IS NULL", "$is_true": "{0} IS TRUE",
    "$is_false": "{0} IS FALSE", "$between": "{0} BETWEEN {1} AND {2}", "$in": "{0} IN ({1}, {2})",
    "$in_array": "{0} IN UNNEST({1})", "$is_distinct_from": "{0} IS DISTINCT FROM {1}",
    "$is_not_distinct_from": "{0} IS NOT DISTINCT FROM {1}", "$make_array": "[{0}, {1}]",
    "$array_at_offset": "{0}[OFFSET({1})]", "$array_at_ordinal": "{0}[ORDINAL({1})]",
    "$safe_array_at_offset": "{0}[SAFE_OFFSET({1})]", "$safe_array_at_ordinal": "{0}[SAFE_ORDINAL({1})]",
    "$case_no_value": "CASE WHEN {0} THEN {1} ELSE {2} END", "$case_with_value": "CASE {0} WHEN {1} THEN {2} ELSE {3} END",
    "$extract": "EXTRACT({1} FROM {0})", "$extract_date": "EXTRACT(DATE FROM {0})", "$extract_time": "EXTRACT(TIME FROM {0})",
    "$extract_datetime": "EXTRACT(DATETIME FROM {0})", "$subscript": "{0}[{1}]", "$interval": "INTERVAL {0} {1}",
    "$count_star": "COUNT(*)",
    **{name: f"{name.upper()}({{0}}, INTERVAL {{1}} {{2}})" for name in
       ("date_add", "date_sub", "datetime_add", "datetime_sub", "timestamp_add", "timestamp_sub", "time_add", "time_sub")},
}  # fmt: skip
#: Not comparable: another value each time, or none; or never called by this name.
LEFT_OUT = {
    "rand", "generate_uuid", "session_user", "any_value", "current_timestamp", "current_date", "current_datetime", "current_time",
    "approx_count_distinct", "grouping", "array_transform", "array_filter",
}  # fmt: skip


@dataclass
class Calls:
    seed: int
    #: Different argument lists per signature.
    rounds: int = 2
    #: Rows per argument list.
    rows: int = 6

    def queries(self, signatures: list[Signature]) -> Iterator[tuple[Signature, str, list[str]]]:
        """(signature, one query over several rows, the same row by row)."""
        for signature in signatures:
            if signature.function in LEFT_OUT or (
                signature.function.startswith("$") and signature.function not in OPERATORS
            ):
                continue
            if signature.name not in {**registry.SCALAR, **registry.AGGREGATE, **registry.ANALYTIC}:
                continue
            chosen = random.Random(f"{self.seed}{signature.function}{signature.name}{signature.arguments}")
            for turn in range(self.rounds):
                made = self._query(signature, chosen, turn)
                if made is not None:
                    yield signature, *made

    def _query(self, signature: Signature, chosen: random.Random, turn: int) -> tuple[str, list[str]] | None:
        base = chosen.choice(BASE_TYPES)
        texts: list[str] = []
        columns: list[list[str]] = []
        special = ARGUMENTS.get(signature.function, [])
        if "BYTES" in signature.name:
            special = BYTES_ARGUMENTS.get(signature.function, special)
        arguments = _expanded(signature, chosen, turn)
        for place, argument in enumerate(arguments):
            inline = special[place] if place < len(special) else None
            if argument.type == "ENUM" and inline is None:
                inline = _parts(signature, arguments[0].type)
                if inline is None:
                    return None
            if inline is not None:
                if place == 0 and argument.type == "STRING" and not re.match("format|parse_", signature.function):
                    columns.append(chosen.choices(inline, k=self.rows))
                    texts.append(f"a{len(columns) - 1}")
                else:
                    texts.append(chosen.choice(inline))
                continue
            values = _values(signature, argument, base, place, chosen, self.rows)
            if values is None:
                return None
            columns.append(values)
            texts.append(f"a{len(columns) - 1}")
        call = OPERATORS.get(signature.function)
        if call is not None:
            try:
                text = call.format(*(f"({each})" if each.startswith("a") else each for each in texts))
            except IndexError:
                return None
        else:
            text = f"{signature.function.upper()}({', '.join(texts)})"
        if not columns:
            return f"SELECT {text}", []
        rows = list(zip(*columns, strict=True))
        if signature.mode == "SCALAR":
            return f"SELECT {text} FROM {_source(rows)}", [f"SELECT {text} FROM {_source([row])}" for row in rows]
        if signature.name in registry.ANALYTIC:
            return (
                f"SELECT o, {text} OVER ({'' if 'PERCENTILE' in signature.name else 'ORDER BY o'}) FROM {_source(rows)} WITH OFFSET o",
                [],
            )
        return f"SELECT {text} FROM {_source(rows)}", []


def _parts(signature: Signature, operand: str | None) -> list[str] | None:
    """The parts that a date function takes, by its name or by the type it is applied to."""
    name = signature.function
    if name == "$interval":
        return PARTS["interval_constructor"]
    if name == "$extract":
        name = {"TIMESTAMP": "timestamp_trunc"}.get(operand or "", (operand or "").lower())
    return PARTS.get(name) or PARTS.get(name.partition("_")[0])


def _source(rows: list[tuple[str, ...]]) -> str:
    names = [f" AS a{place}" for place in range(len(rows[0]))]
    first = ", ".join(value + name for value, name in zip(rows[0], names, strict=True))
    rest = "".join(f", STRUCT({', '.join(row)})" for row in rows[1:])
    return f"UNNEST([STRUCT({first}){rest}])"


def _expanded(signature: Signature, chosen: random.Random, turn: int) -> list[Argument]:
    """The arguments of one call: optional ones now and then, repeated ones once or twice."""
    arguments: list[Argument] = []
    for argument in signature.arguments:
        if argument.cardinality == "OPTIONAL":
            if turn % 2 == 0:
                break
            arguments.append(argument)
        elif argument.cardinality == "REPEATED":
            arguments += [argument] * chosen.choice((1, 2) if len(signature.arguments) < 3 else (0, 1))
        else:
            arguments.append(argument)
    return arguments


def _values(
    signature: Signature, argument: Argument, base: str, place: int, chosen: random.Random, rows: int
) -> list[str] | None:
    """One value a row; typed NULL in the last."""
    kind = argument.type
    if kind is None:
        kind = base
    if kind == "STRING" and place == 0 and STRING_DOCUMENT.match(signature.name.removeprefix("FN_")):
        pool, sql = DOCUMENTS, "STRING"
    elif kind.startswith("ARRAY"):
        inner = kind[6:-1] or base
        if inner not in VALUES:
            return None
        pool = [f"ARRAY<{inner}>[{', '.join(chosen.choices(VALUES[inner], k=size))}]" for size in (0, 1, 2, 3)]
        sql = f"ARRAY<{inner}>"
    elif kind in VALUES:
        pool, sql = VALUES[kind], kind
    else:
        return None
    return [*(chosen.choice(pool) for _ in range(rows - 1)), f"CAST(NULL AS {sql})"]
