"""All function tables in one place."""

from __future__ import annotations

from bq_emulator.sql.functions import additional, approximate, bignumerics, evaluated, intervals
from bq_emulator.sql.functions.aggregates import AGGREGATE as AGGREGATES
from bq_emulator.sql.functions.aggregates import AggregateCall
from bq_emulator.sql.functions.aggregates import Template as AggregateTemplate
from bq_emulator.sql.functions.arrays import SCALAR as ARRAYS
from bq_emulator.sql.functions.dates import SCALAR as DATES
from bq_emulator.sql.functions.json import SCALAR as JSON
from bq_emulator.sql.functions.maths import SCALAR as MATHS
from bq_emulator.sql.functions.operators import SCALAR as OPERATORS
from bq_emulator.sql.functions.spec import Template
from bq_emulator.sql.functions.strings import SCALAR as STRINGS
from bq_emulator.sql.functions.windows import ANALYTIC

__all__ = ["AGGREGATE", "ANALYTIC", "SCALAR", "AggregateCall"]

#: Signature → DuckDB.
SCALAR: dict[str, Template] = {
    **evaluated.SCALAR, **OPERATORS, **MATHS, **STRINGS, **DATES, **JSON, **ARRAYS, **bignumerics.SCALAR,
    **additional.SCALAR,
}  # fmt: skip
AGGREGATE: dict[str, AggregateTemplate] = {
    **AGGREGATES, **bignumerics.AGGREGATE, **additional.AGGREGATE, **approximate.AGGREGATE, **intervals.AGGREGATE,
}  # fmt: skip
