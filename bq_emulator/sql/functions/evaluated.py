"""Functions that Google's reference evaluator computes (see ``sql.evaluator``): the long tail that DuckDB has no equal
of. Slower than DuckDB's own by a factor of a hundred, and exactly Google's.

Arguments and results travel as STRING: scalars as CAST prints them, BYTES in hexadecimal, TIMESTAMP in microseconds,
ARRAY and STRUCT as a JSON array of such texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from zetasql.wasi._pb2.zetasql.public.functions import datetime_pb2

from bq_emulator.model import BigQueryError
from bq_emulator.sql import literal
from bq_emulator.sql.functions.spec import Call, Template
from bq_emulator.sql.types import Type

#: Type → DuckDB text of an argument {0} as VARCHAR, where a plain cast is not it.
_ENCODED = {
    "STRING": "{0}",
    "BIGNUMERIC": "bq_big_text({0})",
    "BYTES": "hex({0})",
    "TIMESTAMP": "CAST(epoch_us({0}) AS VARCHAR)",
    "INTERVAL": "bq_interval_to_string({0})",
}
#: Type → GoogleSQL that reads such a text, where a plain cast does not.
_READ = {
    "STRING": "{0}",
    "BYTES": "FROM_HEX({0})",
    "TIMESTAMP": "TIMESTAMP_MICROS(CAST({0} AS INT64))",
    "JSON": "PARSE_JSON({0}, wide_number_mode=>'round')",
}
#: Type → GoogleSQL that prints a result, where a plain cast does not.
PRINTED = {
    "STRING": "{0}",
    "BYTES": "TO_HEX({0})",
    "TIMESTAMP": "CAST(UNIX_MICROS({0}) AS STRING)",
    "JSON": "(SELECT IF(v IS NULL, NULL, TO_JSON_STRING(v)) FROM (SELECT {0} AS v))",
    "INTERVAL": "(SELECT FORMAT('%d,%d,%d', EXTRACT(YEAR FROM v) * 12 + EXTRACT(MONTH FROM v), EXTRACT(DAY FROM v), "
    "((EXTRACT(HOUR FROM v) * 60 + EXTRACT(MINUTE FROM v)) * 60 + EXTRACT(SECOND FROM v)) * 1000000 "
    "+ EXTRACT(MICROSECOND FROM v)) FROM (SELECT {0} AS v))",
}
#: Type → DuckDB text that reads a result, where a plain cast does not.
_DECODED = {
    "STRING": "{0}",
    "BIGNUMERIC": "bq_big_parse({0})",
    "BYTES": "unhex({0})",
    "TIMESTAMP": "make_timestamptz(CAST({0} AS BIGINT))",
    "INTERVAL": "bq_interval_from_parts({0})",
}


def _encode(call: Call, text: str, kind: Type) -> str:
    if kind.name == "ARRAY":
        item = call.context.fresh("e")
        items = f"list_transform({text}, lambda {item}: {_encode(call, item, kind.item)})"
        return f"CASE WHEN {text} IS NOT NULL THEN CAST(to_json({items}) AS VARCHAR) END"
    if kind.name == "STRUCT":
        members = (
            _encode(call, f"struct_extract_at({text}, {place})", member)
            for place, (_, member) in enumerate(kind.fields, 1)
        )
        return f"CASE WHEN {text} IS NOT NULL THEN CAST(to_json([{', '.join(members)}]::VARCHAR[]) AS VARCHAR) END"
    return _ENCODED.get(kind.name, "CAST({0} AS VARCHAR)").replace("{0}", text)


def _read(text: str, kind: Type) -> str:
    if kind.name == "ARRAY":
        items = (
            f"ARRAY(SELECT {_read('e', kind.item)} FROM UNNEST(JSON_VALUE_ARRAY({text})) e WITH OFFSET o ORDER BY o)"
        )
        return f"IF({text} IS NULL, NULL, {items})"
    if kind.name == "STRUCT":
        members = (_read(f"JSON_VALUE({text}, '$[{place}]')", member) for place, (_, member) in enumerate(kind.fields))
        return f"IF({text} IS NULL, NULL, {_type_name(kind)}({', '.join(members)}))"
    return _READ.get(kind.name, f"CAST({{0}} AS {kind})").replace("{0}", text)


def _type_name(kind: Type) -> str:
    if kind.name == "ARRAY":
        return f"ARRAY<{_type_name(kind.item)}>"
    if kind.name == "STRUCT":
        members = (f"{f'`{name}` ' if name else ''}{_type_name(member)}" for name, member in kind.fields)
        return f"STRUCT<{', '.join(members)}>"
    return kind.name


def _printed(text: str, kind: Type) -> str:
    if kind.name == "ARRAY":
        items = f"ARRAY(SELECT {_printed('e', kind.item)} FROM UNNEST(v) e WITH OFFSET o ORDER BY o)"
        return f"(SELECT IF(v IS NULL, NULL, TO_JSON_STRING({items})) FROM (SELECT {text} AS v))"
    if kind.name == "STRUCT":
        members = ", ".join(_printed(f"v.`{name}`", member) for name, member in kind.fields)
        return f"(SELECT IF(v IS NULL, NULL, TO_JSON_STRING([{members}])) FROM (SELECT {text} AS v))"
    return PRINTED.get(kind.name, "CAST({0} AS STRING)").replace("{0}", text)


def _decode(call: Call, text: str, kind: Type) -> str:
    if kind.name == "ARRAY":
        item = call.context.fresh("e")
        decoded = _decode(call, item, kind.item)
        return f"list_transform(CAST(CAST({text} AS JSON) AS VARCHAR[]), lambda {item}: {decoded})"
    if kind.name == "STRUCT":
        item = call.context.fresh("e")
        members = [_decode(call, f"{item}[{place}]", member) for place, (_, member) in enumerate(kind.fields, 1)]
        packed = literal.struct_of(kind, members)
        return (
            f"list_transform([CAST(CAST({text} AS JSON) AS VARCHAR[])], "
            f"lambda {item}: CASE WHEN {item} IS NOT NULL THEN {packed} END)[1]"
        )
    return _DECODED.get(kind.name, f"CAST({{0}} AS {kind.duckdb()})").replace("{0}", text)


def google_text(value: str) -> str:
    """A GoogleSQL string literal."""
    escaped = re.sub(r"[\x00-\x1f\\']", lambda found: f"\\x{ord(found[0]):02x}", value)
    return f"'{escaped}'"


def _constant(call: Call, place: int, kind: Type) -> str | None:
    """GoogleSQL text of an argument that is a constant (some must be), None for any other."""
    node = call.nodes[place]
    if kind.name == "ENUM":
        return _enum(call, place, kind)
    if node.kind != "Literal" or kind.name not in ("STRING", "INT64", "BOOL", "FLOAT64"):
        return None
    value = call.constant(place)
    if value is None:
        return f"CAST(NULL AS {kind})"
    if kind.name == "STRING":
        return google_text(value)
    if kind.name == "FLOAT64":
        return f"CAST('{value!r}' AS FLOAT64)"
    return str(value)


def _enum(call: Call, place: int, kind: Type) -> str:
    number = call.constant(place)
    if kind.enum == "DateTimestampPart":
        name: str = datetime_pb2.DateTimestampPart.Name(number)
        return re.sub(r"^WEEK_(\w+)$", r"WEEK(\1)", name)
    from zetasql.wasi._pb2.zetasql.public.functions import normalize_mode_pb2, rounding_mode_pb2

    enums = {"NormalizeMode": normalize_mode_pb2.NormalizeMode, "RoundingMode": rounding_mode_pb2.RoundingMode}
    if kind.enum not in enums:
        raise BigQueryError("notImplemented", f"An argument of type {kind.enum} is not supported by this emulator")
    name = enums[kind.enum].Name(number)
    return f"'{name}'" if kind.enum == "RoundingMode" else name


def program(call: Call, pattern: str, kinds: list[Type] | None = None, computed: tuple[int, ...] = ()) -> str:
    """DuckDB text of ``pattern``, GoogleSQL with {0}, {1}, … for the call's arguments, {*} for all of them, {-1} for
    the last and {*-1} for all but the last. ``kinds`` are the types of ``call.args`` where those are no translations
    of ``call.nodes``, ``computed`` the places of arguments that are none."""
    kinds = kinds or [call.type(place) for place in range(len(call.args))]
    arguments: list[str] = []
    encoded: list[tuple[str, Type]] = []
    for place, kind in enumerate(kinds):
        constant = _constant(call, place, kind) if place < len(call.nodes) and place not in computed else None
        if constant is None:
            constant = _read(f"a{len(encoded)}", kind)
            encoded.append((call.args[place], kind))
        arguments.append(constant)
    if not arguments:
        text = pattern
    else:
        holes = {"*": ", ".join(arguments), "-1": arguments[-1], "*-1": ", ".join(arguments[:-1])}
        holes |= {str(place): text for place, text in enumerate(arguments)}
        text = re.sub(r"\{(\*-1|\*|-?\d+)\}", lambda hole: holes[hole[1]], pattern)
    source = literal.text(_printed(text, call.result))

    def body(bound: list[str]) -> str:
        texts = [_encode(call, text, kind) for text, (_, kind) in zip(bound, encoded, strict=True)]
        given = f"[{', '.join(texts)}]::VARCHAR[]"
        return call.context.apply(_decode(call, "{0}", call.result), [f"bq_google({source}, {given})"])

    return call.context.bind([text for text, _ in encoded], body)


class Evaluated:
    """A table entry that hands the call to Google's evaluator; a class so that the support table can tell it."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern

    def __call__(self, call: Call) -> str:
        return program(call, self.pattern)


def _named(*names: str, suffixes: str = "") -> dict[str, Callable[[Call], str]]:
    """``names`` as they stand, each for the signatures FN_<name>_<suffix>."""
    return {
        f"FN_{name.replace('.', '_')}{f'_{suffix}' if suffix else ''}": Evaluated(f"{name}({{*}})")
        for name in names
        for suffix in suffixes.split(" ")
    }


SCALAR: dict[str, Template] = {
    **_named(
        "LTRIM",
        "RTRIM",
        "TRIM",
        "UPPER",
        "LOWER",
        "REPLACE",
        "REVERSE",
        "REPEAT",
        "STARTS_WITH",
        "ENDS_WITH",
        "LPAD",
        "RPAD",
        "LEFT",
        "RIGHT",
        "TRANSLATE",
        "INSTR",
        "STRPOS",
        "SPLIT",
        "ASCII",
        "REGEXP_CONTAINS",
        "REGEXP_EXTRACT",
        "REGEXP_EXTRACT_ALL",
        "REGEXP_REPLACE",
        "REGEXP_INSTR",
        "TO_CODE_POINTS",
        "BIT_COUNT",
        suffixes="BYTES",
    ),
    **_named("REGEXP_INSTR", "SOUNDEX", "NORMALIZE", "NORMALIZE_AND_CASEFOLD", suffixes="STRING"),
    **_named(
        "SAFE_CONVERT_BYTES_TO_STRING",
        "CODE_POINTS_TO_BYTES",
        "PARSE_NUMERIC",
        "PARSE_BIGNUMERIC",
        "NET.HOST",
        "NET.IP_FROM_STRING",
        "NET.SAFE_IP_FROM_STRING",
        "NET.IP_TO_STRING",
        "NET.IP_NET_MASK",
        "NET.IP_TRUNC",
        "NET.IPV4_FROM_INT64",
        "NET.IPV4_TO_INT64",
        "JUSTIFY_HOURS",
        "JUSTIFY_DAYS",
        "JUSTIFY_INTERVAL",
        "DATE_BUCKET",
        "DATETIME_BUCKET",
        "TIMESTAMP_BUCKET",
        "JSON_ARRAY",
        "JSON_OBJECT",
        "JSON_REMOVE",
        "SAFE_TO_JSON",
        "JSON_FLATTEN",
    ),
    **_named("POW", "SQRT", "CBRT", "EXP", suffixes="NUMERIC BIGNUMERIC"),
    **{f"FN_NATURAL_LOGARITHM_{kind}": Evaluated("LN({*})") for kind in ("NUMERIC", "BIGNUMERIC")},
    **{f"FN_DECIMAL_LOGARITHM_{kind}": Evaluated("LOG10({*})") for kind in ("NUMERIC", "BIGNUMERIC")},
    **{f"FN_LOGARITHM_{kind}": Evaluated("LOG({*})") for kind in ("NUMERIC", "BIGNUMERIC")},
    **{f"FN_ROUND_WITH_ROUNDING_MODE_{kind}": Evaluated("ROUND({*})") for kind in ("NUMERIC", "BIGNUMERIC")},
    "FN_EXTRACT_FROM_INTERVAL": Evaluated("EXTRACT({1} FROM {0})"),
    "FN_MULTIPLY_INTERVAL_INT64": Evaluated("({0} * {1})"),
    "FN_MULTIPLY_INT64_INTERVAL": Evaluated("({0} * {1})"),
    "FN_DIVIDE_INTERVAL_INT64": Evaluated("({0} / {1})"),
    "FN_SUBTRACT_DATETIME": Evaluated("({0} - {1})"),
    "FN_MAKE_INTERVAL": Evaluated("MAKE_INTERVAL({*})"),
    **_named("COT", "COTH", "CSC", "CSCH", "SEC", "SECH", suffixes="DOUBLE"),
    **{
        f"FN_{name}_DISTANCE_{kind}": Evaluated(f"{name}_DISTANCE({{*}})")
        for name in ("COSINE", "EUCLIDEAN")
        for kind in ("DENSE_DOUBLE", "SPARSE_INT64", "SPARSE_STRING")
    },
    "FN_EDIT_DISTANCE": Evaluated("EDIT_DISTANCE({0}, {1}, max_distance => {2})"),
    "FN_ARRAY_TO_BYTES": Evaluated("ARRAY_TO_STRING({*})"),
    "FN_ARRAY_SLICE": Evaluated("ARRAY_SLICE({*})"),
    "FN_BYTE_LIKE": Evaluated("({0} LIKE {1})"),
    "FN_BITWISE_AND_BYTES": Evaluated("({0} & {1})"),
    "FN_BITWISE_OR_BYTES": Evaluated("({0} | {1})"),
    "FN_BITWISE_XOR_BYTES": Evaluated("({0} ^ {1})"),
    "FN_BITWISE_NOT_BYTES": Evaluated("(~{0})"),
    **{f"FN_BITWISE_LEFT_SHIFT_{kind}": Evaluated("({0} << {1})") for kind in ("INT64", "BYTES")},
    **{f"FN_BITWISE_RIGHT_SHIFT_{kind}": Evaluated("({0} >> {1})") for kind in ("INT64", "BYTES")},
    "FN_JSON_OBJECT_ARRAYS": Evaluated("JSON_OBJECT({*})"),
    "FN_JSON_STRIP_NULLS": Evaluated("JSON_STRIP_NULLS({0}, {1}, include_arrays => {2}, remove_empty => {3})"),
    "FN_JSON_KEYS": Evaluated("JSON_KEYS({0}, {1}, mode => {2})"),
    "FN_JSON_SET": Evaluated("JSON_SET({*-1}, create_if_missing => {-1})"),
    "FN_JSON_ARRAY_APPEND": Evaluated("JSON_ARRAY_APPEND({*-1}, append_each_element => {-1})"),
    "FN_JSON_ARRAY_INSERT": Evaluated("JSON_ARRAY_INSERT({*-1}, insert_each_element => {-1})"),
    "FN_JSON_LAX_TO_INT64": Evaluated("LAX_INT64({*})"),
    "FN_JSON_LAX_TO_DOUBLE": Evaluated("LAX_FLOAT64({*})"),
    "FN_JSON_LAX_TO_BOOL": Evaluated("LAX_BOOL({*})"),
    "FN_JSON_LAX_TO_STRING": Evaluated("LAX_STRING({*})"),
    "FN_JSON_TO_INT64_ARRAY": Evaluated("INT64_ARRAY({*})"),
    "FN_JSON_TO_FLOAT64_ARRAY": Evaluated("FLOAT64_ARRAY({0}, wide_number_mode => {1})"),
    "FN_JSON_TO_BOOL_ARRAY": Evaluated("BOOL_ARRAY({*})"),
    "FN_JSON_TO_STRING_ARRAY": Evaluated("STRING_ARRAY({*})"),
    "FN_JSON_LAX_TO_INT64_ARRAY": Evaluated("LAX_INT64_ARRAY({*})"),
    "FN_JSON_LAX_TO_FLOAT64_ARRAY": Evaluated("LAX_FLOAT64_ARRAY({*})"),
    "FN_JSON_LAX_TO_BOOL_ARRAY": Evaluated("LAX_BOOL_ARRAY({*})"),
    "FN_JSON_LAX_TO_STRING_ARRAY": Evaluated("LAX_STRING_ARRAY({*})"),
    "FN_GENERATE_ARRAY_BIGNUMERIC": Evaluated("GENERATE_ARRAY({*})"),
}
