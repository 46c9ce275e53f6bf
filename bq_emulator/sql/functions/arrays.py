"""ARRAY functions."""

from __future__ import annotations

from bq_emulator.sql import types
from bq_emulator.sql.functions.spec import Call, Template


def _make_array(call: Call) -> str:
    return f"[{', '.join(call.args)}]::{call.result.duckdb()}" if call.args else f"[]::{call.result.duckdb()}"


def _concat(call: Call) -> str:
    """NULL if any part is; DuckDB's list_concat skips NULLs."""
    holes = [f"{{{place}}}" for place in range(len(call.args))]
    missing = " OR ".join(f"{hole} IS NULL" for hole in holes)
    return call.context.apply(f"CASE WHEN {missing} THEN NULL ELSE list_concat({', '.join(holes)}) END", call.args)


def _to_string(call: Call) -> str:
    """DuckDB joins only with a constant."""
    items = "list_filter({0}, lambda e: e IS NOT NULL)"
    if len(call.args) > 2:
        items = "list_filter(list_transform({0}, lambda e: coalesce(e, {2})), lambda e: e IS NOT NULL)"
    if call.nodes[1].kind == "Literal":
        return call.context.apply(f"array_to_string({items}, {{1}})", call.args)
    joined = f"list_reduce({items}, lambda text, e: text || {{1}} || e)"
    return call.context.apply(
        f"CASE WHEN len({{0}}) >= 0 AND {{1}} IS NOT NULL "
        f"THEN CASE WHEN len({items}) = 0 THEN '' ELSE {joined} END END",
        call.args,
    )


def _range(call: Call) -> str:
    """GENERATE_ARRAY of INT64 or NUMERIC."""
    step = call.args[2] if len(call.args) > 2 else "1"
    check = "bq_check({2} <> 0, 'Sequence step cannot be 0.', "
    if call.result.item == types.Type("INT64"):
        return call.context.apply(check + "generate_series({0}, {1}, {2}))", [*call.args[:2], step])
    kind = call.result.item.duckdb()
    count = "CAST(floor(({1} - {0}) / {2}) AS BIGINT)"
    series = f"list_transform(generate_series(0, {count}), lambda i: CAST({{0}} + i * {{2}} AS {kind})))"
    return call.context.apply(check + series, [*call.args[:2], f"CAST({step} AS {kind})"])


SCALAR: dict[str, Template] = {
    "FN_MAKE_ARRAY": _make_array,
    "FN_ARRAY_LENGTH": "len({0})",
    "FN_ARRAY_CONCAT": _concat,
    "FN_ARRAY_CONCAT_OP": _concat,
    "FN_ARRAY_REVERSE": "list_reverse({0})",
    "FN_ARRAY_TO_STRING": _to_string,
    "FN_ARRAY_AT_OFFSET": "bq_array_at({0}, {1} + 1, {1})",
    "FN_ARRAY_AT_ORDINAL": "bq_array_at({0}, {1}, {1})",
    "FN_SAFE_ARRAY_AT_OFFSET": "bq_array_safe_at({0}, {1})",
    "FN_SAFE_ARRAY_AT_ORDINAL": "bq_array_safe_at({0}, CASE WHEN {1} > 0 THEN {1} - 1 END)",
    "FN_ARRAY_FIRST": "bq_check(len({0}) > 0, 'ARRAY_FIRST cannot get the first element of an empty array', {0}[1])",
    "FN_ARRAY_LAST": "bq_check(len({0}) > 0, 'ARRAY_LAST cannot get the last element of an empty array', {0}[-1])",
    "FN_ARRAY_INCLUDES": "list_contains({0}, {1})",
    "FN_ARRAY_IS_DISTINCT": "(len(list_distinct(list_filter({0}, lambda e: e IS NOT NULL))) "
    "+ least(len(list_filter({0}, lambda e: e IS NULL)), 1) = len({0}))",
    "FN_ARRAY_TRANSFORM": "list_transform({0}, {1})",
    "FN_ARRAY_FILTER": "list_filter({0}, {1})",
    "FN_GENERATE_ARRAY_INT64": _range,
    "FN_GENERATE_ARRAY_NUMERIC": _range,
    "FN_GENERATE_ARRAY_DOUBLE": _range,
}
