"""Approximate aggregates, which are exact here.

https://cloud.google.com/bigquery/docs/reference/standard-sql/approximate_aggregate_functions
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bq_emulator.model import BigQueryError
from bq_emulator.sql import literal
from bq_emulator.sql.functions.aggregates import AggregateCall
from bq_emulator.sql.functions.ordering import sort_keys


def _number(call: AggregateCall, place: int) -> int:
    """The number of results: a positive constant."""
    number = call.constant(place)
    if number is None or number <= 0:
        message = f"The number of results of {call.name.removeprefix('FN_')} must be positive, found {number}"
        raise BigQueryError("invalidQuery", message, "query")
    return int(number)


def _quantiles(call: AggregateCall) -> str:
    """The smallest value, the ones that a part of all values does not exceed, and the largest."""
    number = _number(call, 1)
    skip = None if call.nulls == "RESPECT_NULLS" else f"{call.args[0]} IS NOT NULL"
    ordered = replace(call, order_by=sort_keys(call.args[0], call.type(0)))
    values = ordered.build("list", call.args[:1], where=skip)
    place = f"greatest(1, CAST((i * len({{0}}) + {number - 1}) // {number} AS BIGINT))"
    picked = f"CASE WHEN len({{0}}) > 0 THEN list_transform(range({number + 1}), lambda i: {{0}}[{place}]) END"
    return call.context.apply(picked, [values])


def _top(entries: str, call: AggregateCall, number: int, rank: str) -> str:
    """The first entries (DuckDB structs of ``key`` and ``value``) by ``rank`` of one named e, as the result's type."""
    packed = literal.struct_of(call.result.item, ["e.e.key", "e.e.value"])
    ranked = f"list_sort(list_transform({entries}, lambda e: struct_pack(r := {rank}, e := e)))"
    return f"list_transform(list_slice({ranked}, 1, {number}), lambda e: {packed})"


def _top_count(call: AggregateCall) -> str:
    number = _number(call, 1)
    value, kind = call.args[0], call.type(0).duckdb()
    counted = call.build("histogram", [value])
    nulls = call.build("count", ["*"], where=f"{value} IS NULL")
    # histogram leaves NULL out
    entries = (
        "list_concat(list_transform(coalesce(map_entries({0}), []), "
        f"lambda e: struct_pack(key := e.key::{kind}, value := e.value::BIGINT)), "
        f"CASE WHEN {{1}} > 0 THEN [struct_pack(key := NULL::{kind}, value := {{1}}::BIGINT)] ELSE [] END)"
    )
    return call.context.bind(
        [counted, nulls],
        lambda bound: _top(entries.replace("{0}", bound[0]).replace("{1}", bound[1]), call, number, "-e.value"),
    )


def _top_sum(call: AggregateCall) -> str:
    """Entries whose weights are all NULL have a NULL sum, and come last."""
    number = _number(call, 2)
    kind = call.result.item.fields[1][1].duckdb()
    values, weights = (call.build("list", [call.args[place]]) for place in (0, 1))

    def body(bound: list[str]) -> str:
        pairs = f"list_zip({bound[0]}, {bound[1]})"
        same = f"list_filter({pairs}, lambda p: p[1] IS NOT DISTINCT FROM k)"
        total = f"CAST(list_sum(list_transform({same}, lambda p: p[2])) AS {kind})"
        keys = f"list_concat(list_distinct({bound[0]}), CASE WHEN len({bound[0]}) > list_count({bound[0]}) "
        keys += "THEN [NULL] ELSE [] END)"
        entries = f"list_transform({keys}, lambda k: struct_pack(key := k, value := {total}))"
        return _top(entries, call, number, "coalesce(-e.value, 'inf'::DOUBLE)")

    return call.context.bind([values, weights], body)


AGGREGATE: dict[str, Callable[[AggregateCall], str]] = {
    "FN_APPROX_QUANTILES": _quantiles,
    "FN_APPROX_TOP_COUNT": _top_count,
    **{f"FN_APPROX_TOP_SUM_{kind}": _top_sum for kind in ("INT64", "DOUBLE", "NUMERIC")},
}
