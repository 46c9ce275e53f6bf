"""Functions that exist only over a window."""

from __future__ import annotations

from bq_emulator.sql.functions.aggregates import AggregateCall, Template


def _plain(function: str) -> Template:
    return lambda call: f"{function}({', '.join(call.args)}) OVER {call.over}"


def _value(function: str) -> Template:
    """FIRST_VALUE, LAST_VALUE, NTH_VALUE with their NULL handling."""

    def build(call: AggregateCall) -> str:
        ignore = " IGNORE NULLS" if call.nulls == "IGNORE_NULLS" else ""
        return f"{function}({', '.join(call.args)}{ignore}) OVER {call.over}"

    return build


def _percentile(function: str) -> Template:
    def build(call: AggregateCall) -> str:
        if call.nulls == "RESPECT_NULLS":
            raise call.refuse("RESPECT NULLS")
        return f"{function}({', '.join(call.args)}) OVER {call.over}"

    return build


ANALYTIC: dict[str, Template] = {
    "FN_ROW_NUMBER": _plain("row_number"),
    "FN_RANK": _plain("rank"),
    "FN_DENSE_RANK": _plain("dense_rank"),
    "FN_PERCENT_RANK": _plain("percent_rank"),
    "FN_CUME_DIST": _plain("cume_dist"),
    "FN_NTILE": _plain("ntile"),
    "FN_LAG": _plain("lag"),
    "FN_LEAD": _plain("lead"),
    "FN_FIRST_VALUE": _value("first_value"),
    "FN_LAST_VALUE": _value("last_value"),
    "FN_NTH_VALUE": _value("nth_value"),
    "FN_PERCENTILE_CONT": _percentile("quantile_cont"),
    "FN_PERCENTILE_DISC": _percentile("quantile_disc"),
}
