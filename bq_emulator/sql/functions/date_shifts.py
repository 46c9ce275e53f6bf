"""Adding and subtracting: dates and times with amounts and INTERVALs, INTERVALs with each other, arrays of dates."""

from __future__ import annotations

from bq_emulator.sql.functions.date_parts import MICROSECONDS, MONTHS, RANGED, part, unsupported
from bq_emulator.sql.functions.spec import Call, Template

#: DuckDB type → how messages call it and, as DuckDB text, write it.
_SHOWN = {
    "DATE": ("date", "CAST({0} AS VARCHAR)"),
    "TIMESTAMP": ("datetime", "bq_datetime_to_string({0})"),
    "TIMESTAMPTZ": ("timestamp", "strftime({0} AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M:%S.%f+00')"),
}


def _interval(call: Call, amount: str, name: str) -> str:
    if name in MONTHS:
        return f"to_months(CAST({amount} * {MONTHS[name]} AS INTEGER))"
    if name in ("DAY", "WEEK"):
        return f"to_days(CAST({amount} * {7 if name == 'WEEK' else 1} AS INTEGER))"
    if name in MICROSECONDS:
        return f"to_microseconds({amount} * {MICROSECONDS[name]})"
    raise unsupported(call, name)


def _shift(sign: str, result: str) -> Template:
    """DATE_ADD(x, INTERVAL n part) and its kin."""

    def shift(call: Call) -> str:
        def body(bound: list[str]) -> str:
            name = part(call, 2)
            what, text = _SHOWN[result]
            amount = bound[1] if sign == "+" else f"-({bound[1]})"
            message = f"'Adding ' || {amount} || ' {name} to {what} ' || {text.format(bound[0])} || ' causes overflow'"
            return f"{RANGED[result]}_or({bound[0]} {sign} {_interval(call, bound[1], name)}, {message})"

        return call.context.bind(call.args[:2], body)

    return shift


def _time_shift(sign: str) -> Template:
    def shift(call: Call) -> str:
        unit = MICROSECONDS.get(part(call, 2))
        if unit is None:
            raise unsupported(call, part(call, 2))
        # The clock goes round; whole days are left out, which might overflow.
        return f"({call.args[0]} {sign} to_microseconds({call.args[1]} % {MICROSECONDS['DAY'] // unit} * {unit}))"

    return shift


def _plus(first: int, second: int, sign: str, result: str) -> Template:
    def shifted(call: Call) -> str:
        return call.context.apply(f"{RANGED[result]}({{{first}}} {sign} {{{second}}})", call.args)

    return shifted


def _shifted_timestamp(timestamp: int, sign: str, interval: int) -> str:
    message = "'TIMESTAMP +/- INTERVAL is not supported for intervals with non-zero MONTH or YEAR part.'"
    moved = f"bq_timestamp({{{timestamp}}} {sign} {{{interval}}})"
    return f"bq_check(bq_interval_months({{{interval}}}) = 0, {message}, {moved})"


def _interval_constructor(call: Call) -> str:
    """No field of an INTERVAL goes beyond 10,000 years.
    https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#interval_type"""
    name = part(call, 1)
    unit = MICROSECONDS.get(name, 0) if name != "DAY" else 0
    limit = 120_000 // MONTHS[name] if name in MONTHS else 316_224_000_000_000_000 // unit if unit else 3_660_000
    message = f"'INTERVAL of ' || {{0}} || ' {name} is out of range -{limit} to {limit}'"

    def body(bound: list[str]) -> str:
        return (
            f"bq_check({bound[0]} BETWEEN -{limit} AND {limit}, {message}, {_interval(call, bound[0], name)})".replace(
                "{0}", bound[0]
            )
        )

    return call.context.bind(call.args[:1], body)


def _date_array(call: Call) -> str:
    """GENERATE_DATE_ARRAY(start, end [, INTERVAL step part])."""
    step = call.args[2] if len(call.args) > 2 else "1"
    name = part(call, 3) if len(call.args) > 3 else "DAY"
    interval = _interval(call, f"bq_check({step} <> 0, 'Sequence step cannot be 0.', {step})", name)
    series = f"generate_series(CAST({call.args[0]} AS TIMESTAMP), CAST({call.args[1]} AS TIMESTAMP), {interval})"
    return f"CAST({series} AS DATE[])"


def _timestamp_array(call: Call) -> str:
    return f"generate_series({call.args[0]}, {call.args[1]}, {_interval(call, call.args[2], part(call, 3))})"


SCALAR: dict[str, Template] = {
    "FN_DATE_ADD_DATE": _shift("+", "DATE"),
    "FN_DATE_SUB_DATE": _shift("-", "DATE"),
    "FN_DATETIME_ADD": _shift("+", "TIMESTAMP"),
    "FN_DATETIME_SUB": _shift("-", "TIMESTAMP"),
    "FN_TIMESTAMP_ADD": _shift("+", "TIMESTAMPTZ"),
    "FN_TIMESTAMP_SUB": _shift("-", "TIMESTAMPTZ"),
    "FN_TIME_ADD": _time_shift("+"),
    "FN_TIME_SUB": _time_shift("-"),
    "FN_ADD_DATE_INT64": "bq_date({0} + CAST({1} AS INTEGER))",
    "FN_ADD_INT64_DATE": "bq_date({1} + CAST({0} AS INTEGER))",
    "FN_SUBTRACT_DATE_INT64": "bq_date({0} - CAST({1} AS INTEGER))",
    "FN_ADD_TIMESTAMP_INTERVAL": _shifted_timestamp(0, "+", 1),
    "FN_ADD_INTERVAL_TIMESTAMP": _shifted_timestamp(1, "+", 0),
    "FN_ADD_DATETIME_INTERVAL": "bq_datetime({0} + {1})",
    "FN_ADD_INTERVAL_DATETIME": "bq_datetime({1} + {0})",
    "FN_ADD_DATE_INTERVAL": _plus(0, 1, "+", "TIMESTAMP"),
    "FN_ADD_INTERVAL_DATE": _plus(1, 0, "+", "TIMESTAMP"),
    "FN_SUBTRACT_TIMESTAMP_INTERVAL": _shifted_timestamp(0, "-", 1),
    "FN_ADD_INTERVAL_INTERVAL": "({0} + {1})",
    "FN_SUBTRACT_INTERVAL_INTERVAL": "({0} - {1})",
    "FN_UNARY_MINUS_INTERVAL": "(to_days(0) - {0})",
    "FN_SUBTRACT_DATE": "to_days(CAST(datediff('day', {1}, {0}) AS INTEGER))",
    "FN_SUBTRACT_TIMESTAMP": "to_microseconds(epoch_us({0}) - epoch_us({1}))",
    "FN_SUBTRACT_TIME": "to_microseconds(datediff('microsecond', {1}, {0}))",
    "FN_SUBTRACT_DATETIME_INTERVAL": "bq_datetime({0} - {1})",
    "FN_SUBTRACT_DATE_INTERVAL": _plus(0, 1, "-", "TIMESTAMP"),
    "FN_INTERVAL_CONSTRUCTOR": _interval_constructor,
    "FN_GENERATE_DATE_ARRAY": _date_array,
    "FN_GENERATE_TIMESTAMP_ARRAY": _timestamp_array,
}
