"""Functions that DuckDB calls back for. Registered once per database; every cursor sees them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
from duckdb import func

from bq_emulator.sql import bignumeric, evaluator, hashes, json_text, statistics, texts


@dataclass(frozen=True)
class PythonFunction:
    """``vectors``: takes and gives Arrow arrays. ``nulls``: is called for NULL arguments, or may give NULL."""

    name: str
    function: Callable[..., Any]
    arguments: Sequence[str]
    result: str
    vectors: bool = False
    nulls: bool = False


_BIG = {
    "add": bignumeric.add,
    "subtract": bignumeric.subtract,
    "multiply": bignumeric.multiply,
    "divide": bignumeric.divide,
    "div": bignumeric.whole_quotient,
    "mod": bignumeric.remainder,
}
_BIG_UNARY = {
    "negate": bignumeric.negate,
    "abs": bignumeric.absolute,
    "sign": bignumeric.sign,
    "ceil": bignumeric.ceil,
    "floor": bignumeric.floor,
}


def numeric_quotient(numerator: int, denominator: int) -> int:
    """The quotient of two NUMERICs, all three in units of 10^-9.

    Raises:
        ValueError: beyond NUMERIC.
    """
    quotient = bignumeric.rounded(numerator * 10**9, denominator)
    if abs(quotient) >= 10**38:
        raise ValueError(f"numeric overflow: {numerator}e-9 / {denominator}e-9")
    return quotient


def numeric_between(left: int, right: int, weight: int) -> int:
    """As :func:`bignumeric.between`, in units of 10^-9."""
    return bignumeric.rounded(left * (10**9 - weight) + right * weight, 10**9)


_NUMERIC = "DECIMAL(38,9)"
FUNCTIONS: tuple[PythonFunction, ...] = (
    PythonFunction("bq_google", evaluator.evaluate, ["VARCHAR", "VARCHAR[]"], "VARCHAR", vectors=True, nulls=True),
    PythonFunction("bq_farm_fingerprint", hashes.farm_fingerprint, ["BLOB"], "BIGINT", vectors=True),
    PythonFunction("bq_sha512", hashes.sha512, ["BLOB"], "BLOB", vectors=True),
    PythonFunction("bq_full_upper", str.upper, ["VARCHAR"], "VARCHAR"),
    PythonFunction("bq_full_lower", str.lower, ["VARCHAR"], "VARCHAR"),
    PythonFunction("bq_to_base32", texts.to_base32, ["BLOB"], "VARCHAR"),
    PythonFunction("bq_from_base32", texts.from_base32, ["VARCHAR"], "BLOB"),
    PythonFunction("bq_casefold", texts.casefold, ["VARCHAR"], "VARCHAR"),
    PythonFunction("bq_json_leaves", texts.json_leaves, ["VARCHAR", "VARCHAR"], "VARCHAR[]", nulls=True),
    PythonFunction("bq_numeric_between", numeric_between, ["HUGEINT", "HUGEINT", "BIGINT"], "HUGEINT"),
    PythonFunction("bq_big_between", bignumeric.between, ["BLOB", "BLOB", "BLOB"], "BLOB"),
    PythonFunction("bq_numeric_quotient", numeric_quotient, ["HUGEINT", "HUGEINT"], "HUGEINT"),
    PythonFunction("bq_numeric_total", statistics.numeric_total, ["HUGEINT", f"{_NUMERIC}[]"], "HUGEINT", nulls=True),
    PythonFunction(
        "bq_numeric_mean", statistics.numeric_mean, ["HUGEINT", f"{_NUMERIC}[]", "BIGINT"], "HUGEINT", nulls=True
    ),
    PythonFunction("bq_json_normal", json_text.normal, ["VARCHAR", "VARCHAR"], "VARCHAR"),
    PythonFunction("bq_json_number", json_text.number, ["DOUBLE"], "VARCHAR"),
    *(PythonFunction(f"bq_big_{name}", function, ["BLOB", "BLOB"], "BLOB") for name, function in _BIG.items()),
    *(PythonFunction(f"bq_big_{name}", function, ["BLOB"], "BLOB") for name, function in _BIG_UNARY.items()),
    PythonFunction("bq_big_round", bignumeric.round_half_away, ["BLOB", "BIGINT"], "BLOB"),
    PythonFunction("bq_big_trunc", bignumeric.truncate, ["BLOB", "BIGINT"], "BLOB"),
    PythonFunction("bq_big_within", bignumeric.within, ["BLOB", "BIGINT", "BIGINT", "VARCHAR"], "BLOB"),
    PythonFunction("bq_big_text", bignumeric.text, ["BLOB"], "VARCHAR"),
    PythonFunction("bq_big_parse", bignumeric.parse, ["VARCHAR"], "BLOB"),
    PythonFunction("bq_big_from_double", bignumeric.from_double, ["DOUBLE"], "BLOB"),
    PythonFunction("bq_big_to_double", bignumeric.to_double, ["BLOB"], "DOUBLE"),
    PythonFunction("bq_big_to_int64", bignumeric.to_int64, ["BLOB"], "BIGINT"),
    PythonFunction("bq_big_to_numeric", bignumeric.to_numeric, ["BLOB"], "VARCHAR"),
    PythonFunction("bq_big_sum", bignumeric.total, ["BLOB[]"], "BLOB", nulls=True),
    *(
        PythonFunction(f"bq_{kind}_{what}", function, ["VARCHAR", f"{given}[]"], "DOUBLE", nulls=True)
        for kind, function, held in (
            ("numeric", statistics.numeric_statistic, _NUMERIC),
            ("big", statistics.big_statistic, "BLOB"),
        )
        for what, given in (("statistic", held), ("correlation", f"STRUCT(x {held}, y {held})"))
    ),
    PythonFunction("bq_big_avg", bignumeric.mean, ["BLOB[]"], "BLOB", nulls=True),
)


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the functions known to the connection's database, once."""
    for each in FUNCTIONS:
        connection.create_function(
            each.name,
            each.function,
            list(each.arguments),
            each.result,
            type=func.ARROW if each.vectors else func.NATIVE,
            null_handling=func.SPECIAL if each.nulls else func.DEFAULT,
            side_effects=False,
        )
