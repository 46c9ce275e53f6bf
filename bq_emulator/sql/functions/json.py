"""JSON functions. A JSON value is DuckDB JSON; the STRING forms parse their argument first and give NULL for text
that is not JSON."""

from __future__ import annotations

import re

from bq_emulator.model import BigQueryError
from bq_emulator.sql import literal
from bq_emulator.sql.functions.evaluated import Evaluated, program
from bq_emulator.sql.functions.spec import Call, Template
from bq_emulator.sql.functions.zones import local
from bq_emulator.sql.types import Type


def _path(call: Call) -> str:
    """The JSONPath; the legacy ``$['key']`` becomes DuckDB's ``$."key"``."""
    if len(call.args) < 2:
        return "'$'"
    path = call.constant(1)
    if path is not None and not path.startswith("$"):
        raise BigQueryError("invalidQuery", "JSONPath must start with '$'", "query")
    return "NULL" if path is None else literal.text(re.sub(r"\['((?:[^'\\]|\\.)*)'\]", r'."\1"', path))


#: Text that DuckDB and Google read alike: JSON without fractions, exponents and integers beyond INT64.
_PLAIN_JSON = "json_valid({0}) AND NOT regexp_matches({0}, '[0-9][.eE]|[0-9]{19}')"


def _from_text(call: Call, native: str) -> str:
    """``native`` for a text {0} where that is Google's answer. Else Google is asked: its STRING forms keep numbers as
    they are written, and find a path in text that is no JSON further on."""
    others = Evaluated(f"{call.name.removeprefix('FN_')}({{*}})")

    def choose(bound: list[str]) -> str:
        call.args[0] = bound[0]
        plain = _PLAIN_JSON.replace("{0}", bound[0])
        # DuckDB folds a branch of constants whether or not it is taken, so no branch may fail.
        text = native.replace("{0}", f"(CASE WHEN json_valid({bound[0]}) THEN {bound[0]} END)")
        return f"CASE WHEN {bound[0]} IS NULL THEN NULL WHEN {plain} THEN {text} ELSE {others(call)} END"

    return call.context.bind(call.args[:1], choose)


def _value(call: Call) -> str:
    """JSON_VALUE, JSON_EXTRACT_SCALAR: a scalar as STRING, else NULL."""
    if call.type(0).name == "JSON":
        return call.context.apply("bq_json_scalar({0}, {1})", [call.args[0], _path(call)])
    return _from_text(call, f"bq_json_scalar({{0}}, {_path(call)})")


def _query(call: Call) -> str:
    if call.type(0).name == "JSON":
        return call.context.apply("bq_json_get({0}, {1})", [call.args[0], _path(call)])
    # JSON null is SQL NULL in the STRING form.
    return _from_text(call, f"nullif(CAST(json_extract({{0}}, {_path(call)}) AS VARCHAR), 'null')")


def _array(element: str) -> Template:
    def array(call: Call) -> str:
        is_json = call.type(0).name == "JSON"

        def body(bound: list[str]) -> str:
            inside = f"bq_json_get({bound[0]}, {bound[1]})" if is_json else f"json_extract({bound[0]}, {bound[1]})"
            items = f"CAST({inside} AS JSON[])"
            if element == "value":
                items = f"list_transform({items}, lambda e: bq_json_scalar(e, '$'))"
            elif is_json:  # JSON null is a value, and no SQL NULL
                items = f"list_transform({items}, lambda e: coalesce(e, 'null'::JSON))"
            else:
                items = f"list_transform({items}, lambda e: CAST(e AS VARCHAR))"
            return f"CASE WHEN json_type({inside}) = 'ARRAY' THEN {items} END"

        if is_json:
            return call.context.bind([call.args[0], _path(call)], body)
        return _from_text(call, body(["{0}", _path(call)]))

    return array


def _subscript(call: Call) -> str:
    if call.type(1).name == "INT64":
        template = "CASE WHEN {1} >= 0 THEN bq_json_get({0}, '$[' || {1} || ']') END"
    else:
        template = "bq_json_get({0}, '/' || replace(replace({1}, '~', '~0'), '/', '~1'))"
    return call.context.apply(template, call.args)


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
    if name in ("NUMERIC", "BIGNUMERIC") and wide:
        printed = cast_to_string(context, operand, kind)
        return f"coalesce(bq_json_normal({printed}, 'exact'), 'null')"
    if name == "INT64" and wide:
        return f"coalesce({cast_to_string(context, operand, kind)}, 'null')"
    if name == "INT64":
        return context.apply(
            "coalesce(CASE WHEN {0} BETWEEN -9007199254740992 AND 9007199254740992 THEN CAST({0} AS VARCHAR) "
            "ELSE '\"' || {0} || '\"' END, 'null')",
            [operand],
        )
    if name == "FLOAT64":
        return context.apply(
            "CASE WHEN {0} IS NULL THEN 'null' WHEN isnan({0}) THEN '\"NaN\"' WHEN isinf({0}) THEN CASE WHEN {0} > 0 "
            "THEN '\"Infinity\"' ELSE '\"-Infinity\"' END ELSE "
            f"{'bq_json_number' if wide else 'bq_float_to_string'}({{0}}) END",
            [operand],
        )
    if name == "BIGNUMERIC":
        return context.apply(
            "coalesce(CASE WHEN contains({0}, '.') OR length({0}) > 16 THEN '\"' || {0} || '\"' ELSE {0} END, 'null')",
            [cast_to_string(context, operand, kind)],
        )
    if name == "NUMERIC":
        return context.apply("coalesce(bq_numeric_to_json({0}), 'null')", [operand])
    if name == "STRING":
        return f"coalesce(CAST(to_json({operand}) AS VARCHAR), 'null')"
    if name == "BYTES":
        return f"coalesce('\"' || to_base64({operand}) || '\"', 'null')"
    if name == "DATE":
        return f"coalesce(strftime({operand}, '\"%Y-%m-%d\"'), 'null')"
    if name == "TIME":
        return f"coalesce('\"' || {cast_to_string(context, operand, kind)} || '\"', 'null')"
    if name in ("DATETIME", "TIMESTAMP"):
        clock, zone = ("{0}", "") if name == "DATETIME" else (local("{0}", "'UTC'"), "Z")
        printed = context.apply(f"bq_datetime_to_json({clock}, '{zone}')", [operand])
        return f"coalesce({printed}, 'null')"
    if name == "ARRAY":
        item = context.fresh("e")
        items = f"list_transform({operand}, lambda {item}: {text(context_call, item, kind.item, wide)})"
        return f"coalesce('[' || array_to_string({items}, ',') || ']', 'null')"
    if name == "STRUCT":
        return context.bind([operand], lambda bound: _struct_text(context_call, bound[0], kind, wide))
    if name == "INTERVAL":
        one = Call(context, "TO_JSON_STRING", [operand], [], Type("STRING"))
        return f"coalesce({program(one, 'TO_JSON_STRING({0})', [kind])}, 'null')"
    raise BigQueryError("notImplemented", f"TO_JSON of {kind} is not supported by this emulator", "query")


def _struct_text(call: Call, operand: str, kind: Type, wide: bool) -> str:
    if not kind.fields:
        return "'{}'"
    fields = [f"struct_extract_at({operand}, {place})" for place in range(1, len(kind.fields) + 1)]
    return f"CASE WHEN {operand} IS NULL THEN 'null' ELSE {_object(call, fields, kind, wide)} END"


def _object(call: Call, fields: list[str], kind: Type, wide: bool) -> str:
    """The JSON object of a STRUCT of these ``fields``."""
    members = [(name, field, member) for (name, member), field in zip(kind.fields, fields, strict=True)]
    if wide:  # a JSON value has its keys in order, and the first of those that repeat
        first = {member[0]: member for member in reversed(members)}
        members = [first[name] for name in sorted(first)]
    parts = []
    for place, (name, field, member) in enumerate(members):
        key = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '":'
        parts += [literal.text(("," if place else "{") + key), text(call, field, member, wide)]
    return f"concat({', '.join(parts)}, '}}')"  # no part is NULL; a chain of || would copy the text for each


def _whole(call: Call, wide: bool) -> str:
    """The call's first argument as JSON. A row, or another STRUCT put together on the spot, need not become one."""
    from bq_emulator.sql.translate.expr import expression

    node, kind = call.nodes[0], call.type(0)
    if node.kind == "MakeStruct" and call.args[0].startswith("struct_pack("):
        return _object(call, [expression(call.context, each) for each in node.field_list], kind, wide)
    return text(call, call.args[0], kind, wide)


def _is_default(call: Call, place: int) -> bool:
    """True if an optional argument is left out, or as it would be then."""
    return len(call.args) <= place or (call.nodes[place].kind == "Literal" and not call.constant(place))


def _to_json_string(call: Call) -> str:
    if not _is_default(call, 1):
        return Evaluated("TO_JSON_STRING({*})")(call)
    return _whole(call, wide=False)


def _to_json(call: Call) -> str:
    if not _is_default(call, 1):
        return Evaluated("TO_JSON({0}, stringify_wide_numbers => {1})")(call)
    return f"CAST({_whole(call, wide=True)} AS JSON)"


def _parse_json(call: Call) -> str:
    mode = call.args[1] if len(call.args) > 1 else "'exact'"
    return f"CAST(bq_json_normal({call.args[0]}, {mode}) AS JSON)"


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
    "FN_PARSE_JSON": _parse_json,
    "FN_TO_JSON_STRING": _to_json_string,
    "FN_TO_JSON": _to_json,
    "FN_JSON_TO_INT64": "bq_check({0} IS NULL OR json_type({0}) IN ('BIGINT', 'UBIGINT') OR (json_type({0}) = 'DOUBLE' "
    "AND CAST({0} AS DOUBLE) = trunc(CAST({0} AS DOUBLE))), 'The provided JSON input is not an integer', "
    "CAST(json_extract_string({0}, '$') AS BIGINT))",
    "FN_JSON_TO_DOUBLE": _scalar_of("'BIGINT', 'UBIGINT', 'DOUBLE'", "DOUBLE", "a number"),
    "FN_JSON_TO_BOOL": _scalar_of("'BOOLEAN'", "BOOLEAN", "a boolean"),
    "FN_JSON_TO_STRING": _scalar_of("'VARCHAR'", "VARCHAR", "a string"),
}
