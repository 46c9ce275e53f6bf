"""All function tables in one place."""

from __future__ import annotations

from collections.abc import Callable

from bq_emulator.sql.functions import aggregates, arrays, dates, json, maths, operators, strings, windows
from bq_emulator.sql.functions.aggregates import AggregateCall
from bq_emulator.sql.functions.spec import Template

__all__ = ["AGGREGATE", "ANALYTIC", "SCALAR", "AggregateCall"]

#: Signature → DuckDB.
SCALAR: dict[str, Template] = {
    **operators.SCALAR,
    **maths.SCALAR,
    **strings.SCALAR,
    **dates.SCALAR,
    **json.SCALAR,
    **arrays.SCALAR,
}
AGGREGATE: dict[str, Callable[[AggregateCall], str]] = aggregates.AGGREGATE
ANALYTIC: dict[str, Callable[[AggregateCall], str]] = windows.ANALYTIC
