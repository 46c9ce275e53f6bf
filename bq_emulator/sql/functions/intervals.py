"""Aggregates of INTERVAL: months, days and microseconds are added apart, as BigQuery does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bq_emulator.sql.functions.aggregates import AggregateCall
from bq_emulator.sql.functions.evaluated import program
from bq_emulator.sql.types import Type


def _sum(call: AggregateCall) -> str:
    value = call.args[0]
    months, days, micros = (
        call.build("sum", [text])
        for text in (f"bq_interval_months({value})", f"datepart('day', {value})", f"bq_interval_micros({value})")
    )
    return (
        f"(to_months(CAST({months} AS INTEGER)) + to_days(CAST({days} AS INTEGER)) + to_microseconds({micros}::BIGINT))"
    )


def _avg(call: AggregateCall) -> str:
    quotient = replace(call, args=[_sum(call), f"nullif({call.build('count')}, 0)"])
    return program(quotient, "({0} / {1})", [Type("INTERVAL"), Type("INT64")], computed=(0, 1))


AGGREGATE: dict[str, Callable[[AggregateCall], str]] = {"FN_SUM_INTERVAL": _sum, "FN_AVG_INTERVAL": _avg}
