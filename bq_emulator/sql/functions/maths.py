"""Arithmetic and mathematical functions. INT64 and NUMERIC are exact and fail on overflow, as DuckDB's are."""

from __future__ import annotations

from bq_emulator.sql import types
from bq_emulator.sql.functions.evaluated import Evaluated
from bq_emulator.sql.functions.spec import Call, Template, render
from bq_emulator.sql.resolved import Node


def _integer_operand(call: Call, place: int) -> str | None:
    """The INT64 text under an implicit cast to NUMERIC, if that is what the argument is."""
    node = call.nodes[place]
    if node.kind != "Cast" or types.from_proto(node.expr.type).name != "INT64" or node.return_null_on_error:
        return None
    from bq_emulator.sql.translate.expr import expression

    return expression(call.context, node.expr)


def _small_constant(node: Node) -> str | None:
    """A NUMERIC constant with as few digits after the point as it needs."""
    from bq_emulator.sql import literal

    if node.kind != "Literal":
        return None
    value = literal.from_proto(node.value.value, types.from_proto(node.type))
    if value is None:
        return None
    whole, _, fraction = f"{value:f}".partition(".")
    fraction = fraction.rstrip("0")
    digits = max(len(whole.lstrip("-0")) + len(fraction), len(fraction) + 1)
    if len(fraction) > 4 or digits > 18:
        return None
    return f"({whole}{f'.{fraction}' if fraction else ''})::DECIMAL({digits},{len(fraction)})"


def _multiply_numeric(call: Call) -> str:
    """DECIMAL(38,9) × DECIMAL(38,9) has 18 digits after the point in DuckDB, takes long to be rounded to 9 of them and
    overflows at 10^20: a whole factor needs none, a product of small ones is put together of narrower ones, and
    products that do overflow are computed the long way."""
    for place in (0, 1):
        whole = _integer_operand(call, place)
        if whole is not None:
            return f"({call.args[1 - place]} * {whole})"
    for place in (0, 1):
        constant = _small_constant(call.nodes[place])
        if constant is not None and constant.endswith(",0)"):
            return f"({call.args[1 - place]} * {constant})"
    wide = "bq_numeric_mul_wide({0}, {1})"
    args = [_small_constant(node) or arg for node, arg in zip(call.nodes, call.args, strict=True)]
    fast = "bq_numeric_mul_small({0}, {1}), TRY(CAST({0} * {1} AS DECIMAL(38,9)))"
    return call.context.apply(f"coalesce({fast}, {wide.replace('{0}', '({0})::DECIMAL(38,9)')})", args)


def _divide_numeric(call: Call) -> str:
    """A whole number by a constant one needs no more than 64 bits."""
    whole = _integer_operand(call, 0)
    divisor = _small_constant(call.nodes[1])
    if whole is not None and divisor is not None and divisor.endswith(",0)") and 1 <= call.constant(1) <= 2**31:
        return call.context.apply(f"bq_numeric_of_ratio({{0}}, {int(call.constant(1))})", [whole])
    return call.context.apply("bq_numeric_div({0}, {1})", call.args)


def _round_numeric(call: Call) -> str:
    """DuckDB wants the number of digits constant and 0 to 9, and takes a tenth of the time for 64-bit decimals."""
    digits = call.constant(1) if len(call.args) > 1 and call.nodes[1].kind == "Literal" else 0
    if len(call.args) > 1 and (call.nodes[1].kind != "Literal" or digits is None or not 0 <= digits <= 8):
        return call.context.apply("bq_numeric_round({0}, {1})", call.args)
    small, any_ = (f"CAST(round({x}, {digits}) AS DECIMAL(38,9))" for x in ("TRY_CAST({0} AS DECIMAL(18,9))", "{0}"))
    return call.context.apply(f"coalesce({small}, {any_})", call.args[:1])


def _round_double(call: Call) -> str:
    """DuckDB leaves as it is what overflows when digits before the point are rounded."""
    if call.nodes[1].kind == "Literal" and (call.constant(1) or 0) >= 0:
        return render("round({0}, CAST({1} AS INTEGER))", call.args)
    return Evaluated("ROUND({*})")(call)


def _unary(function: str) -> dict[str, Template]:
    return {f"FN_{function.upper()}_DOUBLE": f"{function}({{0}})"}


def _divide_double(call: Call) -> str:
    if call.nodes[1].kind == "Literal" and abs(call.constant(1) or 0) >= 1:
        return render("({0} / {1})", call.args)
    return call.context.apply("bq_float_div({0}, {1})", call.args)


_LOG_CHECK = (
    "CASE WHEN {0} = '-inf'::DOUBLE THEN 'nan'::DOUBLE ELSE "
    "bq_check({0} > 0, 'Floating point error in function: LN(' || bq_float_to_string({0}) || ')', ln({0})) END"
)


def _range_bucket(call: Call) -> str:
    known = "{0} IS NOT NULL" + (" AND NOT isnan({0})" if call.type(0).name == "FLOAT64" else "")
    return call.context.apply(
        f"CASE WHEN len({{1}}) >= 0 AND {known} THEN "
        "bq_check(list_sort({1}) = {1}, 'Elements in input array to RANGE_BUCKET must be in ascending order.', "
        "CAST(len(list_filter({1}, lambda e: e <= {0})) AS BIGINT)) END",
        call.args,
    )


def _logarithm(call: Call) -> str:
    return Evaluated("LOG({*})")(call) if len(call.args) > 1 else call.context.apply(_LOG_CHECK, call.args)


SCALAR: dict[str, Template] = {
    "FN_ADD_INT64": "({0} + {1})",
    "FN_ADD_DOUBLE": "bq_float_add({0}, {1})",
    "FN_ADD_NUMERIC": "({0} + {1})",
    "FN_SUBTRACT_INT64": "({0} - {1})",
    "FN_SUBTRACT_DOUBLE": "bq_float_subtract({0}, {1})",
    "FN_SUBTRACT_NUMERIC": "({0} - {1})",
    "FN_MULTIPLY_INT64": "({0} * {1})",
    "FN_MULTIPLY_DOUBLE": "bq_float_multiply({0}, {1})",
    "FN_MULTIPLY_NUMERIC": _multiply_numeric,
    "FN_DIVIDE_DOUBLE": _divide_double,
    "FN_DIVIDE_NUMERIC": _divide_numeric,
    # Not "- x": DuckDB widens that to HUGEINT for a constant.
    "FN_UNARY_MINUS_INT64": "(0::BIGINT - {0})",
    "FN_UNARY_MINUS_DOUBLE": "(- {0})",
    "FN_UNARY_MINUS_NUMERIC": "(- {0})",
    "FN_SAFE_ADD_INT64": "TRY({0} + {1})",
    **{
        f"FN_SAFE_{name}_DOUBLE": f"CASE WHEN isfinite({{0}} {sign} {{1}}) "
        f"OR NOT (isfinite({{0}}) AND isfinite({{1}})) THEN {{0}} {sign} {{1}} END"
        for name, sign in (("ADD", "+"), ("SUBTRACT", "-"), ("MULTIPLY", "*"))
    },
    "FN_SAFE_ADD_NUMERIC": "TRY({0} + {1})",
    "FN_SAFE_SUBTRACT_INT64": "TRY({0} - {1})",
    "FN_SAFE_SUBTRACT_NUMERIC": "TRY({0} - {1})",
    "FN_SAFE_MULTIPLY_INT64": "TRY({0} * {1})",
    "FN_SAFE_MULTIPLY_NUMERIC": lambda call: f"TRY({_multiply_numeric(call)})",
    "FN_SAFE_UNARY_MINUS_INT64": "TRY(0::BIGINT - {0})",
    "FN_SAFE_UNARY_MINUS_DOUBLE": "(- {0})",
    "FN_SAFE_UNARY_MINUS_NUMERIC": "TRY(- {0})",
    "FN_SAFE_DIVIDE_DOUBLE": "bq_float_safe_div({0}, {1})",
    "FN_SAFE_DIVIDE_NUMERIC": "TRY(bq_numeric_div({0}, nullif({1}, 0)))",
    "FN_IEEE_DIVIDE_DOUBLE": "({0} / {1})",
    "FN_DIV_INT64": "bq_check({1} <> 0, 'division by zero: ' || {0} || ' / ' || {1}, {0} // {1})",
    "FN_DIV_NUMERIC": "bq_numeric_whole_quotient({0}, {1})",
    "FN_MOD_INT64": "bq_check({1} <> 0, 'division by zero: MOD(' || {0} || ', ' || {1} || ')', "
    "CASE WHEN {1} = -1 THEN {0} - {0} ELSE {0} % {1} END)",
    "FN_MOD_NUMERIC": "bq_check({1} <> 0, 'division by zero: MOD(' || bq_units_to_string(bq_units({0})) || ', 0)', "
    "{0} % {1})",
    "FN_BITWISE_AND_INT64": "({0} & {1})",
    "FN_BITWISE_OR_INT64": "({0} | {1})",
    "FN_BITWISE_XOR_INT64": "xor({0}, {1})",
    "FN_BITWISE_NOT_INT64": "(~ {0})",
    "FN_BIT_COUNT_INT64": "CAST(bit_count({0}) AS BIGINT)",
    "FN_ABS_INT64": "abs({0})",
    "FN_ABS_DOUBLE": "abs({0})",
    "FN_ABS_NUMERIC": "abs({0})",
    "FN_SIGN_INT64": "CAST(sign({0}) AS BIGINT)",
    "FN_SIGN_DOUBLE": "CASE WHEN isnan({0}) THEN {0} ELSE CAST(sign({0}) AS DOUBLE) END",
    "FN_SIGN_NUMERIC": "CAST(sign({0}) AS DECIMAL(38,9))",
    "FN_ROUND_DOUBLE": "round({0})",
    "FN_ROUND_WITH_DIGITS_DOUBLE": _round_double,
    "FN_ROUND_NUMERIC": _round_numeric,
    "FN_ROUND_WITH_DIGITS_NUMERIC": _round_numeric,
    "FN_TRUNC_DOUBLE": "trunc({0})",
    "FN_TRUNC_WITH_DIGITS_DOUBLE": Evaluated("TRUNC({*})"),
    "FN_TRUNC_NUMERIC": "CAST(trunc({0}) AS DECIMAL(38,9))",
    "FN_TRUNC_WITH_DIGITS_NUMERIC": "bq_numeric_trunc({0}, {1})",
    "FN_CEIL_DOUBLE": "ceil({0})",
    "FN_CEIL_NUMERIC": "CAST(ceil({0}) AS DECIMAL(38,9))",
    "FN_FLOOR_DOUBLE": "floor({0})",
    "FN_FLOOR_NUMERIC": "CAST(floor({0}) AS DECIMAL(38,9))",
    "FN_POW_DOUBLE": "bq_check((isfinite(pow({0}, {1})) OR NOT isfinite({0}) OR NOT isfinite({1})) "
    "AND NOT ({0} = 0 AND {1} < 0), 'Floating point error in function: POW(' || bq_float_to_string({0}) || ', ' "
    "|| bq_float_to_string({1}) || ')', pow({0}, {1}))",
    "FN_SQRT_DOUBLE": "bq_check({0} >= 0 OR isnan({0}), "
    "'Argument to SQRT cannot be negative: ' || bq_float_to_string({0}), sqrt({0}))",
    "FN_EXP_DOUBLE": "bq_check(isfinite(exp({0})) OR NOT isfinite({0}), "
    "'Floating point error in function: EXP(' || bq_float_to_string({0}) || ')', exp({0}))",
    "FN_NATURAL_LOGARITHM_DOUBLE": _LOG_CHECK,
    "FN_DECIMAL_LOGARITHM_DOUBLE": _LOG_CHECK.replace("LN", "LOG10").replace("ln(", "log10("),
    "FN_LOGARITHM_DOUBLE": _logarithm,
    "FN_CBRT_DOUBLE": Evaluated("CBRT({*})"),
    "FN_PI_DOUBLE": "pi()",
    "FN_IS_NAN": "isnan({0})",
    "FN_IS_INF": "isinf({0})",
    "FN_RANGE_BUCKET": _range_bucket,
    "FN_RAND": "random()",
    "FN_ATAN2_DOUBLE": "atan2({0}, {1})",
    **{
        entry: template
        for name in ("sin", "cos", "tan", "atan", "tanh", "asinh")
        for entry, template in _unary(name).items()
    },
    **{
        f"FN_{name.upper()}_DOUBLE": f"bq_check({allowed} OR NOT isfinite({{0}}), 'Floating point error in function: "
        f"{name.upper()}(' || bq_float_to_string({{0}}) || ')', {name}({{0}}))"
        for name, allowed in (
            ("acos", "abs({0}) <= 1"),
            ("asin", "abs({0}) <= 1"),
            ("acosh", "{0} >= 1"),
            ("atanh", "abs({0}) < 1"),
            ("sinh", "isfinite(sinh({0})) OR NOT isfinite({0})"),
            ("cosh", "isfinite(cosh({0})) OR NOT isfinite({0})"),
        )
    },
    **{
        f"FN_{name}_{kind}": template
        for kind in ("INT64", "DOUBLE", "NUMERIC")
        for name, template in (("ZEROIFNULL", "coalesce({0}, 0)"), ("NULLIFZERO", "nullif({0}, 0)"))
    },
}
