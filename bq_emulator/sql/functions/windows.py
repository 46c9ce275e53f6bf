"""Functions that exist only over a window."""

from __future__ import annotations

import re

from bq_emulator.model import BigQueryError
from bq_emulator.sql.functions.aggregates import AggregateCall, Template
from bq_emulator.sql.functions.ordering import sort_keys
from bq_emulator.sql.functions.spec import render


def _plain(function: str) -> Template:
    return lambda call: f"{function}({', '.join(call.args)}) OVER {call.over}"


def _shifted(function: str) -> Template:
    def build(call: AggregateCall) -> str:
        if any(re.search(r"\b_c\d+", given) for given in call.args[1:]):
            message = f"The offset and the default of {function.upper()} must be constant"
            raise BigQueryError("invalidQuery", message, "query")
        if len(call.args) > 1 and re.fullmatch(r"\(-\d+\)::BIGINT", call.args[1]):
            message = f"The offset to the function {function.upper()} must not be negative"
            raise BigQueryError("invalidQuery", message, "query")
        return _plain(function)(call)

    return build


def _value(function: str) -> Template:
    """FIRST_VALUE, LAST_VALUE, NTH_VALUE with their NULL handling."""

    def build(call: AggregateCall) -> str:
        ignore = " IGNORE NULLS" if call.nulls == "IGNORE_NULLS" else ""
        return f"{function}({', '.join(call.args)}{ignore}) OVER {call.over}"

    return build


def _nth(call: AggregateCall, place: str) -> str:
    """The value at a place (from 0, computed beneath) of the window's values in order."""
    respect = call.nulls == "RESPECT_NULLS"
    window = f"ORDER BY {', '.join(sort_keys(call.args[0], call.type(0)))}"
    over = f"({call.beneath.partition} {window} ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)"
    return f"nth_value({call.args[0]}, {place} + 1{'' if respect else ' IGNORE NULLS'}) OVER {over}"


def _last_place(call: AggregateCall) -> str:
    """The last place among the values that count."""
    counted = "*" if call.nulls == "RESPECT_NULLS" else call.args[0]
    return f"({call.beneath.over_group(f'count({counted})')} - 1)"


def _share(call: AggregateCall) -> str:
    """The percentile; the places that follow from it are exact decimals where it is NUMERIC."""
    share = call.constant(1)
    if share is None or not 0 <= share <= 1:
        message = f"The percentile of {call.name.removeprefix('FN_')} must be between 0 and 1, found {share}"
        raise BigQueryError("invalidQuery", message, "query")
    return call.args[1]


def _percentile_cont(call: AggregateCall) -> str:
    """Between two values by their distance from the place; where one of them is NULL, the other."""
    share, last = _share(call), _last_place(call)
    if call.result.name == "BIGNUMERIC":
        exact = f"bq_big_multiply({share}, bq_big_parse({last}::VARCHAR))"
        below = f"bq_big_to_int64(bq_big_floor({exact}))"
        low, high = _nth(call, below), _nth(call, f"least({below} + 1, {last})")
        weight = f"bq_big_subtract({exact}, bq_big_floor({exact}))"
        mixed = "bq_big_between({0}, {1}, {2})"
    elif call.result.name == "NUMERIC":
        exact = f"(CAST({share} AS DECIMAL(28,9)) * {last})"
        below = f"CAST(floor({exact}) AS BIGINT)"
        low, high = _nth(call, below), _nth(call, f"least({below} + 1, {last})")
        weight = f"({exact} - {below})"
        mixed = "bq_from_units(bq_numeric_between(bq_units({0}), bq_units({1}), CAST({2} * 1000000000 AS BIGINT)))"
    else:
        exact = f"({share} * {last})"
        below = f"CAST(floor({exact}) AS BIGINT)"
        low, high = _nth(call, below), _nth(call, f"least({below} + 1, {last})")
        weight = f"({exact} - {below})"
        mixed = "CASE WHEN {2} = 0 THEN {0} ELSE {0} * (1 - {2}) + {1} * {2} END"
    return call.context.bind(
        [low, high, weight], lambda bound: f"coalesce({render(mixed, bound)}, {bound[0]}, {bound[1]})"
    )


def _percentile_disc(call: AggregateCall) -> str:
    """The first value whose share of all is not less than the percentile."""
    share, last = _share(call), _last_place(call)
    if call.type(1).name == "BIGNUMERIC":
        share = f"bq_big_to_double({share})"
    elif call.type(1).name == "NUMERIC":
        share = f"CAST({share} AS DECIMAL(28,9))"
    return _nth(call, f"greatest(CAST(ceil({share} * ({last} + 1)) AS BIGINT) - 1, 0)")


ANALYTIC: dict[str, Template] = {
    "FN_ROW_NUMBER": _plain("row_number"),
    "FN_RANK": _plain("rank"),
    "FN_DENSE_RANK": _plain("dense_rank"),
    "FN_PERCENT_RANK": _plain("percent_rank"),
    "FN_CUME_DIST": _plain("cume_dist"),
    "FN_NTILE": _plain("ntile"),
    "FN_LAG": _shifted("lag"),
    "FN_LEAD": _shifted("lead"),
    "FN_FIRST_VALUE": _value("first_value"),
    "FN_LAST_VALUE": _value("last_value"),
    "FN_NTH_VALUE": _value("nth_value"),
    **{f"FN_PERCENTILE_CONT{suffix}": _percentile_cont for suffix in ("", "_NUMERIC", "_BIGNUMERIC")},
    **{f"FN_PERCENTILE_DISC{suffix}": _percentile_disc for suffix in ("", "_NUMERIC", "_BIGNUMERIC")},
}
