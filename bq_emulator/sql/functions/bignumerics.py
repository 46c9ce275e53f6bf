"""BIGNUMERIC functions; values and arithmetic are those of ``sql.bignumeric``."""

from __future__ import annotations

from collections.abc import Callable

from bq_emulator.sql import bignumeric, literal
from bq_emulator.sql.functions.aggregates import AggregateCall
from bq_emulator.sql.functions.spec import Template
from bq_emulator.sql.types import Type

_ZERO = literal.sql(bignumeric.ZERO, Type("BIGNUMERIC"))

SCALAR: dict[str, Template] = {
    "FN_ADD_BIGNUMERIC": "bq_big_add({0}, {1})",
    "FN_SUBTRACT_BIGNUMERIC": "bq_big_subtract({0}, {1})",
    "FN_MULTIPLY_BIGNUMERIC": "bq_big_multiply({0}, {1})",
    "FN_DIVIDE_BIGNUMERIC": "bq_big_divide({0}, {1})",
    "FN_UNARY_MINUS_BIGNUMERIC": "bq_big_negate({0})",
    "FN_SAFE_ADD_BIGNUMERIC": "TRY(bq_big_add({0}, {1}))",
    "FN_SAFE_SUBTRACT_BIGNUMERIC": "TRY(bq_big_subtract({0}, {1}))",
    "FN_SAFE_MULTIPLY_BIGNUMERIC": "TRY(bq_big_multiply({0}, {1}))",
    "FN_SAFE_DIVIDE_BIGNUMERIC": "TRY(bq_big_divide({0}, {1}))",
    "FN_SAFE_UNARY_MINUS_BIGNUMERIC": "TRY(bq_big_negate({0}))",
    "FN_DIV_BIGNUMERIC": "bq_big_div({0}, {1})",
    "FN_MOD_BIGNUMERIC": "bq_big_mod({0}, {1})",
    "FN_ABS_BIGNUMERIC": "bq_big_abs({0})",
    "FN_SIGN_BIGNUMERIC": "bq_big_sign({0})",
    "FN_ROUND_BIGNUMERIC": "bq_big_round({0}, 0)",
    "FN_ROUND_WITH_DIGITS_BIGNUMERIC": "bq_big_round({0}, {1})",
    "FN_TRUNC_BIGNUMERIC": "bq_big_trunc({0}, 0)",
    "FN_TRUNC_WITH_DIGITS_BIGNUMERIC": "bq_big_trunc({0}, {1})",
    "FN_CEIL_BIGNUMERIC": "bq_big_ceil({0})",
    "FN_FLOOR_BIGNUMERIC": "bq_big_floor({0})",
    "FN_ZEROIFNULL_BIGNUMERIC": f"coalesce({{0}}, {_ZERO})",
    "FN_NULLIFZERO_BIGNUMERIC": f"nullif({{0}}, {_ZERO})",
}


def _of_list(function: str) -> Callable[[AggregateCall], str]:
    def build(call: AggregateCall) -> str:
        call.plain()
        return f"{function}({call.build('list')})"

    return build


AGGREGATE: dict[str, Callable[[AggregateCall], str]] = {
    "FN_SUM_BIGNUMERIC": _of_list("bq_big_sum"),
    "FN_AVG_BIGNUMERIC": _of_list("bq_big_avg"),
}
