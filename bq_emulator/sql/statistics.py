"""Sums and statistics of NUMERIC and BIGNUMERIC in whole numbers: exact until the one rounding at their end.

Values come as units: 10^-9 for NUMERIC, 10^-38 for BIGNUMERIC.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from bq_emulator.sql import bignumeric

_NUMERIC_LIMIT = 10**38
#: Stands for NaN, which DuckDB takes for NULL where Python gives it.
NO_CORRELATION = 2.0


def _units(value: Decimal) -> int:
    sign, digits, exponent = value.as_tuple()
    whole = int("".join(map(str, digits))) * 10 ** (int(exponent) + 9)
    return -whole if sign else whole


def numeric_total(small: int | None, large: Sequence[Decimal | None]) -> int:
    """SUM of NUMERIC in units, from the sum of all ``small`` values and each ``large`` one.

    Raises:
        ValueError: beyond NUMERIC.
    """
    total = (small or 0) + sum(_units(each) for each in large if each is not None)
    if abs(total) >= _NUMERIC_LIMIT:
        raise ValueError("numeric overflow: SUM")
    return total


def numeric_mean(small: int | None, large: Sequence[Decimal | None], count: int) -> int:
    """AVG of ``count`` NUMERICs in units; their sum may be beyond NUMERIC."""
    total = (small or 0) + sum(_units(each) for each in large if each is not None)
    return bignumeric.rounded(total, count)


def numeric_statistic(name: str, values: Sequence[Any] | None) -> float | None:
    return _statistic(name, values, _units, 10**9)


def big_statistic(name: str, values: Sequence[Any] | None) -> float | None:
    return _statistic(name, values, bignumeric.decode, bignumeric.ONE)


def _statistic(name: str, values: Sequence[Any] | None, units: Callable[[Any], int], one: int) -> float | None:
    """VAR_POP, STDDEV_SAMP, CORR and their like of values, or of structs of two; NULL for too few of them."""
    found = [each for each in values or () if each is not None]
    pairs = [tuple(each.values()) if isinstance(each, dict) else (each, each) for each in found]
    xs, ys = [units(x) for x, _ in pairs], [units(y) for _, y in pairs]
    divisor = len(pairs) - (name.endswith("_samp") or name == "corr")
    if divisor < 1:
        return None
    if name == "corr":
        spread = _products(xs, xs) * _products(ys, ys)
        if spread == 0:
            return NO_CORRELATION
        share = math.sqrt(Fraction(_products(xs, ys) ** 2, spread))
        return share if _products(xs, ys) >= 0 else -share
    variance = Fraction(_products(xs, ys), len(pairs) * divisor * one * one)
    return math.sqrt(variance) if name.startswith("stddev") else float(variance)


def _products(xs: list[int], ys: list[int]) -> int:
    """The sum of the products of the distances from the means, times the number of values."""
    return len(xs) * sum(x * y for x, y in zip(xs, ys, strict=True)) - sum(xs) * sum(ys)
