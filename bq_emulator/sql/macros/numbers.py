"""NUMERIC as whole numbers of 10^-9 units, and FLOAT64 that fails where it would become infinite."""

from __future__ import annotations

#: One NUMERIC as a whole number of 10^-9 units, and back.
_UNITS = "CAST(replace(CAST((x) AS VARCHAR), '.', '') AS HUGEINT)"
_FROM_UNITS = """CAST((u) // 1000000000 AS DECIMAL(38,9)) + CAST((u) % 1000000000 AS DECIMAL(10,0)) * 0.000000001"""


def _small(x: str) -> str:
    """A NUMERIC as DuckDB's 64-bit decimal, whose conversions take a fifth of the time; NULL if it does not fit."""
    return f"TRY_CAST({x} AS DECIMAL(18,9))"


_SMALL = _small("x")
_IS_SMALL = "(x) BETWEEN -999999999 AND 999999999"
_SMALL_AND_WHOLE = f"CASE WHEN {_IS_SMALL} THEN {_SMALL} = trunc({_SMALL}) END"
_WHOLE_TO_STRING = f"CAST(CAST({_SMALL} AS BIGINT) AS VARCHAR)"


def _has_digits(digits: int) -> str:
    """That a small NUMERIC has no more digits than these after the point."""
    return f"TRY_CAST(CAST({_SMALL} AS DECIMAL(18,{digits})) AS DECIMAL(18,9)) = {_SMALL}"


#: Of one that is not whole. Taking zeros from a text's end takes DuckDB three times as long as printing it.
_SMALL_TO_STRING = f"""CASE WHEN {_has_digits(1)} THEN CAST(CAST({_SMALL} AS DECIMAL(18,1)) AS VARCHAR)
    WHEN {_has_digits(2)} THEN CAST(CAST({_SMALL} AS DECIMAL(18,2)) AS VARCHAR)
    ELSE rtrim(CAST({_SMALL} AS VARCHAR), '0') END"""


def _whole_part(x: str) -> str:
    return f"CAST(trunc({_small(x)}) AS DECIMAL(9,0))"


def _fraction(x: str) -> str:
    return f"CAST({_small(x)} - CAST(trunc({_small(x)}) AS DECIMAL(18,9)) AS DECIMAL(9,9))"


MACROS: dict[str, tuple[str, str]] = {
    "bq_numeric_to_string": (
        "x",
        f"""CASE WHEN {_SMALL_AND_WHOLE} THEN {_WHOLE_TO_STRING} WHEN {_IS_SMALL} THEN {_SMALL_TO_STRING}
        ELSE rtrim(rtrim(CAST(x AS VARCHAR), '0'), '.') END""",
    ),
    # A string where it is no whole number within ±2^53
    "bq_numeric_to_json": (
        "x",
        f"""CASE WHEN {_SMALL_AND_WHOLE} THEN {_WHOLE_TO_STRING} WHEN {_IS_SMALL} THEN '"' || {_SMALL_TO_STRING} || '"'
        WHEN abs(x) > 9007199254740992 OR (x) <> trunc(x) THEN '"' || bq_numeric_to_string(x) || '"'
        ELSE bq_numeric_to_string(x) END""",
    ),
    "bq_units": ("x", _UNITS),
    "bq_from_units": ("u", _FROM_UNITS),
    "bq_units_to_string": ("u", "rtrim(rtrim(CAST(bq_from_units(u) AS VARCHAR), '0'), '.')"),
    # |a|·|b| = a·(whole part of b) + (whole part of a)·(fraction of b) + fractions' product, rounded half up; only the
    # last term needs rounding, and no term overflows unless the result does.
    "bq_mul_units": (
        "a, b",
        """CASE WHEN ((a) < 0) = ((b) < 0) THEN 1 ELSE -1 END * (
        abs(a) * (abs(b) // 1000000000) + (abs(a) // 1000000000) * (abs(b) % 1000000000)
        + ((abs(a) % 1000000000) * (abs(b) % 1000000000) + 500000000) // 1000000000)""",
    ),
    # The remainder times 10^9 must fit; the rare divisor it does not fit for is Python's.
    "bq_div_units": (
        "a, b",
        """CASE WHEN abs(b) > 170141183460469231731687303715 THEN bq_numeric_quotient(a, b)
        ELSE CASE WHEN ((a) < 0) = ((b) < 0) THEN 1 ELSE -1 END * (
        (abs(a) // abs(b)) * 1000000000 + ((abs(a) % abs(b)) * 1000000000) // abs(b)
        + CASE WHEN (((abs(a) % abs(b)) * 1000000000) % abs(b)) * 2 >= abs(b) THEN 1 ELSE 0 END) END""",
    ),
    # Of the terms of a·b = (whole part of a)·b + (fraction of a)·(whole part of b) + fractions' product only the last
    # has more digits than a NUMERIC. For small ones 64 bits hold it: rounding what needs 128 takes longer than all the
    # rest. NULL unless both are small.
    "bq_numeric_mul_small": (
        "a, b",
        f"""{_whole_part("a")} * CAST({_small("b")} AS DECIMAL(38,9))
        + {_fraction("a")} * {_whole_part("b")} + CAST({_fraction("a")} * {_fraction("b")} AS DECIMAL(18,9))""",
    ),
    "bq_numeric_mul_wide": (
        "a, b",
        """list_transform(list_transform([struct_pack(x := bq_units(a), y := bq_units(b))],
        lambda p: bq_mul_units(p.x, p.y)), lambda u: bq_from_units(u))[1]""",
    ),
    "bq_numeric_div": (
        "a, b",
        """list_transform(list_transform([struct_pack(x := bq_units(a), y := bq_units(b))],
        lambda p: bq_check(p.y <> 0, 'division by zero: ' || bq_units_to_string(p.x) || ' / 0',
        bq_div_units(p.x, p.y))), lambda u: bq_from_units(u))[1]""",
    ),
    # n INT64, d a constant from 1 to 2^31
    "bq_numeric_of_ratio": (
        "n, d",
        """CAST((n) // (d) AS DECIMAL(38,9)) + 0.000000001 * CAST(
        (((n) % (d)) * 2000000000 + CASE WHEN (n) < 0 THEN -(d) ELSE (d) END) // (2::BIGINT * (d)) AS DECIMAL(10,0))""",
    ),
    "bq_numeric_whole_quotient": (
        "a, b",
        """bq_check((b) <> 0, 'division by zero: DIV(' || bq_units_to_string(bq_units(a)) || ', 0)',
        CAST(bq_units(a) // bq_units(b) AS DECIMAL(38,9)))""",
    ),
    # total and n of one group; exact, rounded half away from zero
    "bq_numeric_avg": (
        "total, n",
        """list_transform(list_transform([struct_pack(x := bq_units(total), y := CAST(n AS HUGEINT))],
        lambda p: CASE WHEN p.y > 0 THEN CASE WHEN p.x < 0 THEN -1 ELSE 1 END
        * (abs(p.x) // p.y + CASE WHEN abs(p.x) % p.y * 2 >= p.y THEN 1 ELSE 0 END) END
        ), lambda u: bq_from_units(u))[1]""",
    ),
    "bq_numeric_round": (
        "x, digits",
        """bq_from_units(CASE WHEN (digits) >= 9 THEN bq_units(x) WHEN (digits) < -29 THEN 0::HUGEINT ELSE
        CASE WHEN (x) < 0 THEN -1 ELSE 1 END
        * ((abs(bq_units(x)) + CAST('5' || repeat('0', CAST(8 - (digits) AS INTEGER)) AS HUGEINT))
        // CAST('1' || repeat('0', CAST(9 - (digits) AS INTEGER)) AS HUGEINT))
        * CAST('1' || repeat('0', CAST(9 - (digits) AS INTEGER)) AS HUGEINT) END)""",
    ),
    "bq_numeric_trunc": (
        "x, digits",
        """bq_from_units(CASE WHEN (digits) >= 9 THEN bq_units(x) WHEN (digits) < -29 THEN 0::HUGEINT ELSE
        (bq_units(x) // CAST('1' || repeat('0', CAST(9 - (digits) AS INTEGER)) AS HUGEINT))
        * CAST('1' || repeat('0', CAST(9 - (digits) AS INTEGER)) AS HUGEINT) END)""",
    ),
    "bq_float_to_string": (
        "x",
        """CASE WHEN isnan(x) THEN 'nan' WHEN isinf(x) THEN CASE WHEN (x) > 0 THEN 'inf' ELSE '-inf' END
        WHEN (x) = 0 THEN '0' WHEN CAST(format('{:.15g}', x) AS DOUBLE) = (x) THEN format('{:.15g}', x)
        ELSE format('{:.17g}', x) END""",
    ),
    **{
        f"bq_float_{name}": (
            "a, b",
            f"""bq_check(isfinite((a) {sign} (b)) OR NOT (isfinite(a) AND isfinite(b)), 'double overflow: '
            || bq_float_to_string(a) || ' {sign} ' || bq_float_to_string(b), (a) {sign} (b))""",
        )
        for name, sign in (("add", "+"), ("subtract", "-"), ("multiply", "*"))
    },
    # scaled: a sum that is not finite, of values 2^200 times smaller
    "bq_float_total": (
        "scaled",
        f"""bq_check(isfinite((scaled) * {2.0**200!r}::DOUBLE) OR NOT isfinite(scaled), 'double overflow',
        (scaled) * {2.0**200!r}::DOUBLE)""",
    ),
    "bq_float_div": (
        "a, b",
        """bq_check((b) <> 0 AND (isfinite((a) / (b)) OR NOT (isfinite(a) AND isfinite(b))),
        CASE WHEN (b) = 0 THEN 'division by zero: ' ELSE 'double overflow: ' END
        || bq_float_to_string(a) || ' / ' || bq_float_to_string(b), (a) / (b))""",
    ),
    "bq_float_safe_div": (
        "a, b",
        "CASE WHEN (b) <> 0 AND (isfinite((a) / (b)) OR NOT (isfinite(a) AND isfinite(b))) THEN (a) / (b) END",
    ),
}
