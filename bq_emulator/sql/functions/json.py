"""JSON functions. A JSON value is DuckDB JSON; the STRING forms parse their argument first and give NULL for text
that is not JSON."""

from __future__ import annotations

import re

from bq_emulator.model import BigQueryError
from bq_emulator.sql import literal
from bq_emulator.sql.functions.spec import Call, Template
from bq_emulator.sql.types import Type


def _path(call: Call) -> str:
    """The JSONPath; the legacy ``$['key']`` becomes DuckDB's ``$."key"``."""
    if len(call.args) < 2:
        return "'$'"
    path = call.constant(1)
    return "NULL" if path is None else literal.text(re.sub(r"\['((?:[^'\\]|\\.)*)'\]", r'."\1"', path))


def _value(call: Call) -> str:
    """JSON_VALUE, JSON_EXTRACT_SCALAR: a scalar as STRING, else NULL."""
    document = (
        call.args[0] if call.type(0).name == "JSON" else call.context.apply("bq_json_or_null({0})", call.args[:1])
    )
    return call.context.apply("bq_json_scalar({0}, {1})", [document, _path(call)])


def _query(call: Call) -> str:
    if call.type(0).name == "JSON":
        return f"json_extract({call.args[0]}, {_path(call)})"
    document = call.context.apply("bq_json_or_null({0})", call.args[:1])
    found = f"json_extract({document}, {_path(call)})"
    # JSON null is SQL NULL in the STRING form.
    return f"nullif(CAST({found} AS VARCHAR), 'null')"


def _array(element: str) -> Template:
    def array(call: Call) -> str:
        is_json = call.type(0).name == "JSON"
        document = call.args[0] if is_json else call.context.apply("bq_json_or_null({0})", call.args[:1])

        def body(bound: list[str]) -> str:
            inside = f"json_extract({bound[0]}, {bound[1]})"
            items = f"CAST({inside} AS JSON[])"
            if element == "value":
                items = f"list_transform({items}, lambda e: bq_json_scalar(e, '$'))"
            elif not is_json:
                items = f"list_transform({items}, lambda e: CAST(e AS VARCHAR))"
            return f"CASE WHEN json_type({inside}) = 'ARRAY' THEN {items} END"

        return call.context.bind([document, _path(call)], body)

    return array


def _subscript(call: Call) -> str:
    if call.type(1).name == "INT64":
        return f"json_extract({call.args[0]}, '$[' || {call.args[1]} || ']')"
    return f"json_extract({call.args[0]}, '$.\"' || {call.args[1]} || '\"')"


def text(context_call: Call, operand: str, kind: Type, wide: bool) -> str:
    """``operand`` as compact JSON text (VARCHAR); SQL NULL is ``null``.

    ``wide`` numbers print as numbers (TO_JSON); else (TO_JSON_STRING) an INT64 or NUMERIC that is not a whole number
    within ±2^53 prints as a string.
    """
    from bq_emulator.sql.functions.casts import cast_to_string

    context = context_call.context
    name = kind.name
    if name == "JSON":
        return f"coalesce(CAST({operand} AS VARCHAR), 'null')"
    if name == "BOOL":
        return f"coalesce(CAST({operand} AS VARCHAR), 'null')"
    if name in ("INT64", "NUMERIC") and wide:
        return f"coalesce({cast_to_string(context, operand, kind)}, 'null')"
    if name == "INT64":
        return context.apply(
            "coalesce(CASE WHEN abs({0}) > 9007199254740992 THEN '\"' || {0} || '\"' ELSE CAST({0} AS VARCHAR) END, "
            "'null')",
            [operand],
        )
    if name == "FLOAT64":
        return context.apply(
            "CASE WHEN {0} IS NULL THEN 'null' WHEN isnan({0}) THEN '\"NaN\"' WHEN isinf({0}) THEN CASE WHEN {0} > 0 "
            "THEN '\"Infinity\"' ELSE '\"-Infinity\"' END ELSE bq_float_to_string({0}) END",
            [operand],
        )
    if name == "NUMERIC":
        printed = cast_to_string(context, "{0}", kind)
        quoted = "abs({0}) > 9007199254740992 OR {0} <> trunc({0})"
        return context.apply(
            f"coalesce(CASE WHEN {quoted} THEN '\"' || {printed} || '\"' ELSE {printed} END, 'null')", [operand]
        )
    if name == "STRING":
        return f"coalesce(CAST(to_json({operand}) AS VARCHAR), 'null')"
    if name == "BYTES":
        return f"coalesce('\"' || to_base64({operand}) || '\"', 'null')"
    if name in ("DATE", "TIME"):
        return f"coalesce('\"' || {cast_to_string(context, operand, kind)} || '\"', 'null')"
    if name in ("DATETIME", "TIMESTAMP"):
        clock = operand if name == "DATETIME" else f"({operand} AT TIME ZONE 'UTC')"
        zone = "Z" if name == "TIMESTAMP" else ""
        printed = context.apply("replace(bq_datetime_to_string({0}), ' ', 'T')", [clock])
        return f"coalesce('\"' || {printed} || '{zone}\"', 'null')"
    if name == "ARRAY":
        item = context.fresh("e")
        items = f"list_transform({operand}, lambda {item}: {text(context_call, item, kind.item, wide)})"
        return f"coalesce('[' || array_to_string({items}, ',') || ']', 'null')"
    if name == "STRUCT":
        return context.bind([operand], lambda bound: _struct_text(context_call, bound[0], kind, wide))
    raise BigQueryError("notImplemented", f"TO_JSON of {kind} is not supported by this emulator", "query")


def _struct_text(call: Call, operand: str, kind: Type, wide: bool) -> str:
    parts = []
    for place, (name, member) in enumerate(kind.fields, 1):
        key = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '":'
        parts.append(f"{literal.text(key)} || {text(call, f'struct_extract_at({operand}, {place})', member, wide)}")
    inside = " || ',' || ".join(parts)
    return f"CASE WHEN {operand} IS NULL THEN 'null' ELSE '{{' || {inside} || '}}' END" if parts else "'{}'"


def _only_default(call: Call, place: int, what: str) -> None:
    if len(call.args) > place and call.constant(place):
        raise BigQueryError("notImplemented", f"{what} is not supported by this emulator", "query")


def _to_json_string(call: Call) -> str:
    _only_default(call, 1, "TO_JSON_STRING with pretty_print")
    return text(call, call.args[0], call.type(0), wide=False)


def _to_json(call: Call) -> str:
    _only_default(call, 1, "TO_JSON with stringify_wide_numbers")
    return f"CAST({text(call, call.args[0], call.type(0), wide=True)} AS JSON)"


def _scalar_of(kind: str, target: str, what: str) -> Template:
    """INT64(json), BOOL(json), …: the JSON value must be of that type."""
    return (
        f"bq_check({{0}} IS NULL OR json_type({{0}}) IN ({kind}), 'The provided JSON input is not {what}', "
        f"CAST(json_extract_string({{0}}, '$') AS {target}))"
    )


SCALAR: dict[str, Template] = {
    "FN_JSON_VALUE": _value,
    "FN_JSON_VALUE_JSON": _value,
    "FN_JSON_EXTRACT_SCALAR": _value,
    "FN_JSON_EXTRACT_SCALAR_JSON": _value,
    "FN_JSON_QUERY": _query,
    "FN_JSON_QUERY_JSON": _query,
    "FN_JSON_EXTRACT": _query,
    "FN_JSON_EXTRACT_JSON": _query,
    "FN_JSON_VALUE_ARRAY": _array("value"),
    "FN_JSON_VALUE_ARRAY_JSON": _array("value"),
    "FN_JSON_EXTRACT_STRING_ARRAY": _array("value"),
    "FN_JSON_EXTRACT_STRING_ARRAY_JSON": _array("value"),
    "FN_JSON_QUERY_ARRAY": _array("query"),
    "FN_JSON_QUERY_ARRAY_JSON": _array("query"),
    "FN_JSON_EXTRACT_ARRAY": _array("query"),
    "FN_JSON_EXTRACT_ARRAY_JSON": _array("query"),
    "FN_JSON_SUBSCRIPT_INT64": _subscript,
    "FN_JSON_SUBSCRIPT_STRING": _subscript,
    "FN_JSON_TYPE": "CASE json_type({0}) WHEN 'OBJECT' THEN 'object' WHEN 'ARRAY' THEN 'array' WHEN 'VARCHAR' "
    "THEN 'string' WHEN 'BOOLEAN' THEN 'boolean' WHEN 'NULL' THEN 'null' "
    "ELSE CASE WHEN {0} IS NOT NULL THEN 'number' END END",
    "FN_PARSE_JSON": lambda call: call.context.apply("bq_parse_json({0})", call.args[:1]),
    "FN_TO_JSON_STRING": _to_json_string,
    "FN_TO_JSON": _to_json,
    "FN_JSON_TO_INT64": _scalar_of("'BIGINT', 'UBIGINT'", "BIGINT", "an integer"),
    "FN_JSON_TO_DOUBLE": _scalar_of("'BIGINT', 'UBIGINT', 'DOUBLE'", "DOUBLE", "a number"),
    "FN_JSON_TO_BOOL": _scalar_of("'BOOLEAN'", "BOOLEAN", "a boolean"),
    "FN_JSON_TO_STRING": _scalar_of("'VARCHAR'", "VARCHAR", "a string"),
}
