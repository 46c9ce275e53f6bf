"""Dates and times. TIMESTAMP is an instant (DuckDB TIMESTAMPTZ), DATETIME a wall clock (DuckDB TIMESTAMP).

TIMESTAMP_DIFF counts whole units elapsed; DATE_DIFF and DATETIME_DIFF count the boundaries crossed.
"""

from __future__ import annotations

from zetasql.wasi._pb2.zetasql.public.functions import datetime_pb2

from bq_emulator.model import BigQueryError
from bq_emulator.sql.functions import formats, zones
from bq_emulator.sql.functions.spec import Call, Template, by_count

#: First day of the week (Sunday = 0) for each kind of week.
WEEKS = {
    "WEEK": 0,
    "WEEK_MONDAY": 1,
    "WEEK_TUESDAY": 2,
    "WEEK_WEDNESDAY": 3,
    "WEEK_THURSDAY": 4,
    "WEEK_FRIDAY": 5,
    "WEEK_SATURDAY": 6,
    "ISOWEEK": 1,
}
MICROSECONDS = {
    "MICROSECOND": 1,
    "MILLISECOND": 1_000,
    "SECOND": 1_000_000,
    "MINUTE": 60_000_000,
    "HOUR": 3_600_000_000,
    "DAY": 86_400_000_000,
}
#: DuckDB type → macro that keeps a value within the years 1 to 9999.
RANGED = {"DATE": "bq_date", "TIMESTAMP": "bq_datetime", "TIMESTAMPTZ": "bq_timestamp"}
#: DuckDB type → how messages call it and, as DuckDB text, write it.
_SHOWN = {
    "DATE": ("date", "CAST({0} AS VARCHAR)"),
    "TIMESTAMP": ("datetime", "bq_datetime_to_string({0})"),
    "TIMESTAMPTZ": ("timestamp", "strftime({0} AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M:%S.%f+00')"),
}
MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}


def part(call: Call, position: int) -> str:
    """The name of a date part argument."""
    return str(datetime_pb2.DateTimestampPart.Name(call.constant(position)))


def _unsupported(call: Call, name: str) -> BigQueryError:
    return BigQueryError("notImplemented", f"{call.name} with {name} is not supported by this emulator", "query")


def _interval(call: Call, amount: str, name: str) -> str:
    if name in MONTHS:
        return f"to_months(CAST({amount} * {MONTHS[name]} AS INTEGER))"
    if name in ("DAY", "WEEK"):
        return f"to_days(CAST({amount} * {7 if name == 'WEEK' else 1} AS INTEGER))"
    if name in MICROSECONDS:
        return f"to_microseconds({amount} * {MICROSECONDS[name]})"
    raise _unsupported(call, name)


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


def truncated(value: str, name: str) -> str | None:
    """A DATE or wall-clock TIMESTAMP (text) truncated, as DuckDB TIMESTAMP or DATE; None for an unknown part."""
    if name in WEEKS:
        return f"bq_sunday({value}, {WEEKS[name]})"
    if name == "ISOYEAR":
        return f"date_trunc('week', make_date(isoyear({value}), 1, 4))"
    if name in MICROSECONDS or name in MONTHS:
        return f"date_trunc('{name.lower()}', {value})"
    return None


def _trunc(result: str) -> Template:
    def trunc(call: Call) -> str:
        name = part(call, 1)
        zone = call.args[2] if len(call.args) > 2 else "'UTC'"

        def body(bound: list[str]) -> str:
            local = zones.local(bound[0], bound[1]) if result == "TIMESTAMPTZ" else bound[0]
            cut = truncated(local, name)
            if cut is None:
                raise _unsupported(call, name)
            if result == "TIMESTAMPTZ":
                cut = zones.instant(f"CAST({cut} AS TIMESTAMP)", bound[1])
            # Only the start of a week or of an ISO year lies in another year than the day.
            return f"{RANGED[result]}({cut})" if name in WEEKS or name == "ISOYEAR" else f"CAST({cut} AS {result})"

        return call.context.bind([call.args[0], zone], body)

    return trunc


def _boundaries(call: Call) -> str:
    """DATE_DIFF and DATETIME_DIFF."""
    name = part(call, 2)

    def body(bound: list[str]) -> str:
        later, earlier = bound
        if name in WEEKS:
            return f"(datediff('day', {truncated(earlier, name)}, {truncated(later, name)}) // 7)"
        if name == "ISOYEAR":
            return f"(isoyear({later}) - isoyear({earlier}))"
        if name in MICROSECONDS or name in MONTHS:
            return f"datediff('{name.lower()}', {earlier}, {later})"
        raise _unsupported(call, name)

    return call.context.bind(call.args[:2], body)


def _elapsed(call: Call) -> str:
    """TIMESTAMP_DIFF."""
    name = part(call, 2)
    if name not in MICROSECONDS:
        raise _unsupported(call, name)
    return f"((epoch_us({call.args[0]}) - epoch_us({call.args[1]})) // {MICROSECONDS[name]})"


def _time_diff(call: Call) -> str:
    name = part(call, 2)
    if name not in MICROSECONDS or name == "DAY":
        raise _unsupported(call, name)
    unit = MICROSECONDS[name]
    later, earlier = (f"(datediff('microsecond', TIME '00:00:00', {arg}) // {unit})" for arg in call.args[:2])
    return f"({later} - {earlier})"


#: EXTRACT(part FROM x): DuckDB text of a DATE or wall clock {0}.
EXTRACTED = {
    "YEAR": "year({0})",
    "MONTH": "month({0})",
    "DAY": "day({0})",
    "QUARTER": "quarter({0})",
    "DAYOFWEEK": "(dayofweek({0}) + 1)",
    "DAYOFYEAR": "dayofyear({0})",
    "ISOWEEK": "week({0})",
    "ISOYEAR": "isoyear({0})",
    "HOUR": "hour({0})",
    "MINUTE": "minute({0})",
    "SECOND": "second({0})",
    "MILLISECOND": "(millisecond({0}) % 1000)",
    "MICROSECOND": "(microsecond({0}) % 1000000)",
    **{
        name: f"((dayofyear({{0}}) + 6 - (dayofweek({{0}}) - {first} + 7) % 7) // 7)"
        for name, first in WEEKS.items()
        if name != "ISOWEEK"
    },
}


def _extract(call: Call) -> str:
    name = part(call, 1)
    if name not in EXTRACTED:
        raise _unsupported(call, name)
    value = call.args[0]
    if call.type(0).name == "TIMESTAMP":
        zone = call.args[2] if len(call.args) > 2 else "'UTC'"
        return call.context.bind([value, zone], lambda bound: _extracted(call, zones.local(*bound), name))
    return _extracted(call, value, name)


def _extracted(call: Call, value: str, name: str) -> str:
    return f"CAST({call.context.apply(EXTRACTED[name], [value])} AS BIGINT)"


def _last_day(call: Call) -> str:
    name = part(call, 1) if len(call.args) > 1 else "MONTH"

    def body(bound: list[str]) -> str:
        start = truncated(bound[0], name)
        if start is None:
            raise _unsupported(call, name)
        if name in WEEKS:
            return f"bq_date({start} + 6)"
        if name == "ISOYEAR":
            return f"bq_date(date_trunc('week', make_date(isoyear({bound[0]}) + 1, 1, 4)) - to_days(1))"
        return f"CAST({start} + to_months({MONTHS[name]}) - to_days(1) AS DATE)"

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


def _time_shift(sign: str) -> Template:
    def shift(call: Call) -> str:
        unit = MICROSECONDS.get(part(call, 2))
        if unit is None:
            raise _unsupported(call, part(call, 2))
        # The clock goes round; whole days are left out, which might overflow.
        return f"({call.args[0]} {sign} to_microseconds({call.args[1]} % {MICROSECONDS['DAY'] // unit} * {unit}))"

    return shift


def _time_trunc(call: Call) -> str:
    unit = MICROSECONDS.get(part(call, 1))
    if unit is None:
        raise _unsupported(call, part(call, 1))
    micros = f"datediff('microsecond', TIME '00:00:00', {call.args[0]})"
    return f"(TIME '00:00:00' + to_microseconds({micros} // {unit} * {unit}))"


def _formatted(zoned: bool) -> Template:
    def formatted(call: Call) -> str:
        value = call.args[1]
        if zoned:
            zone = call.args[2] if len(call.args) > 2 else "'UTC'"
            return formats.format_text(call, value, zone)
        return formats.format_text(call, value, None)

    return formatted


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


def _plus(first: int, second: int, sign: str, result: str) -> Template:
    def shifted(call: Call) -> str:
        return call.context.apply(f"{RANGED[result]}({{{first}}} {sign} {{{second}}})", call.args)

    return shifted


def _shifted_timestamp(timestamp: int, sign: str, interval: int) -> str:
    message = "'TIMESTAMP +/- INTERVAL is not supported for intervals with non-zero MONTH or YEAR part.'"
    moved = f"bq_timestamp({{{timestamp}}} {sign} {{{interval}}})"
    return f"bq_check(bq_interval_months({{{interval}}}) = 0, {message}, {moved})"


SCALAR: dict[str, Template] = {
    "FN_CURRENT_TIMESTAMP": "now()",
    "FN_CURRENT_DATE": by_count(
        (0, "CAST(now() AT TIME ZONE 'UTC' AS DATE)"), (1, "CAST(bq_local(now(), {0}) AS DATE)")
    ),
    "FN_CURRENT_DATETIME": by_count((0, "(now() AT TIME ZONE 'UTC')"), (1, "bq_local(now(), {0})")),
    "FN_CURRENT_TIME": by_count(
        (0, "CAST(now() AT TIME ZONE 'UTC' AS TIME)"), (1, "CAST(bq_local(now(), {0}) AS TIME)")
    ),
    "FN_DATE_FROM_YEAR_MONTH_DAY": "make_date({0}, {1}, {2})",
    "FN_DATE_FROM_TIMESTAMP": by_count((1, "CAST({0} AT TIME ZONE 'UTC' AS DATE)"), (2, "bq_date(bq_local({0}, {1}))")),
    "FN_DATE_FROM_DATETIME": "CAST({0} AS DATE)",
    "FN_DATE_FROM_DATE": "{0}",
    "FN_DATE_FROM_STRING": "bq_string_to_date({0})",
    "FN_DATETIME_FROM_YEAR_MONTH_DAY_HOUR_MINUTE_SECOND": "make_timestamp({0}, {1}, {2}, {3}, {4}, "
    "CAST({5} AS DOUBLE))",
    "FN_DATETIME_FROM_DATE_AND_TIME": "({0} + {1})",
    "FN_DATETIME_FROM_TIMESTAMP": by_count((1, "({0} AT TIME ZONE 'UTC')"), (2, "bq_datetime(bq_local({0}, {1}))")),
    "FN_DATETIME_FROM_DATE": "CAST({0} AS TIMESTAMP)",
    "FN_DATETIME_FROM_DATETIME": "{0}",
    "FN_DATETIME_FROM_STRING": "bq_string_to_datetime({0})",
    "FN_TIMESTAMP_FROM_STRING": by_count(
        (1, "bq_string_to_timestamp({0}, 'UTC')"), (2, "bq_string_to_timestamp({0}, {1})")
    ),
    "FN_TIMESTAMP_FROM_DATE": by_count(
        (1, "(CAST({0} AS TIMESTAMP) AT TIME ZONE 'UTC')"), (2, "bq_instant(CAST({0} AS TIMESTAMP), {1})")
    ),
    "FN_TIMESTAMP_FROM_DATETIME": by_count((1, "({0} AT TIME ZONE 'UTC')"), (2, "bq_instant({0}, {1})")),
    "FN_TIMESTAMP_FROM_TIMESTAMP": "{0}",
    "FN_TIME_FROM_HOUR_MINUTE_SECOND": "make_time({0}, {1}, CAST({2} AS DOUBLE))",
    "FN_TIME_FROM_TIMESTAMP": by_count(
        (1, "CAST({0} AT TIME ZONE 'UTC' AS TIME)"), (2, "CAST(bq_local({0}, {1}) AS TIME)")
    ),
    "FN_TIME_FROM_DATETIME": "CAST({0} AS TIME)",
    "FN_TIME_FROM_TIME": "{0}",
    "FN_STRING_FROM_TIMESTAMP": by_count(
        (1, "(bq_datetime_to_string({0} AT TIME ZONE 'UTC') || '+00')"),
        (
            2,
            "bq_zoned_string({0} AT TIME ZONE 'UTC', bq_local({0}, {1}))",
        ),
    ),
    "FN_STRING_FROM_DATE": "strftime({0}, '%Y-%m-%d')",
    "FN_STRING_FROM_DATETIME": "bq_datetime_to_string({0})",
    "FN_STRING_FROM_TIME": "bq_time_to_string({0})",
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
    "FN_TIMESTAMP_FROM_UNIX_SECONDS_TIMESTAMP": "{0}",
    "FN_TIMESTAMP_FROM_UNIX_MILLIS_TIMESTAMP": "{0}",
    "FN_TIMESTAMP_FROM_UNIX_MICROS_TIMESTAMP": "{0}",
    "FN_SUBTRACT_DATETIME_INTERVAL": "bq_datetime({0} - {1})",
    "FN_SUBTRACT_DATE_INTERVAL": _plus(0, 1, "-", "TIMESTAMP"),
    "FN_INTERVAL_CONSTRUCTOR": _interval_constructor,
    "FN_DATE_DIFF_DATE": _boundaries,
    "FN_DATETIME_DIFF": _boundaries,
    "FN_TIMESTAMP_DIFF": _elapsed,
    "FN_TIME_DIFF": _time_diff,
    "FN_DATE_TRUNC_DATE": _trunc("DATE"),
    "FN_DATETIME_TRUNC": _trunc("TIMESTAMP"),
    "FN_TIMESTAMP_TRUNC": _trunc("TIMESTAMPTZ"),
    "FN_TIME_TRUNC": _time_trunc,
    "FN_EXTRACT_FROM_DATE": _extract,
    "FN_EXTRACT_FROM_DATETIME": _extract,
    "FN_EXTRACT_FROM_TIMESTAMP": _extract,
    "FN_EXTRACT_FROM_TIME": _extract,
    "FN_EXTRACT_DATE_FROM_TIMESTAMP": by_count(
        (1, "CAST({0} AT TIME ZONE 'UTC' AS DATE)"), (2, "bq_date(bq_local({0}, {1}))")
    ),
    "FN_EXTRACT_DATE_FROM_DATETIME": "CAST({0} AS DATE)",
    "FN_EXTRACT_TIME_FROM_TIMESTAMP": by_count(
        (1, "CAST({0} AT TIME ZONE 'UTC' AS TIME)"), (2, "CAST(bq_local({0}, {1}) AS TIME)")
    ),
    "FN_EXTRACT_TIME_FROM_DATETIME": "CAST({0} AS TIME)",
    "FN_EXTRACT_DATETIME_FROM_TIMESTAMP": by_count(
        (1, "({0} AT TIME ZONE 'UTC')"), (2, "bq_datetime(bq_local({0}, {1}))")
    ),
    "FN_LAST_DAY_DATE": _last_day,
    "FN_LAST_DAY_DATETIME": _last_day,
    "FN_UNIX_SECONDS_FROM_TIMESTAMP": "bq_floor_div(epoch_us({0}), 1000000)",
    "FN_UNIX_MILLIS_FROM_TIMESTAMP": "bq_floor_div(epoch_us({0}), 1000)",
    "FN_UNIX_MICROS_FROM_TIMESTAMP": "epoch_us({0})",
    "FN_UNIX_DATE": "datediff('day', DATE '1970-01-01', {0})",
    "FN_DATE_FROM_UNIX_DATE": "bq_check({0} BETWEEN -719162 AND 2932896, "
    "'DATE_FROM_UNIX_DATE range is -719162 to 2932896 but saw ' || {0}, DATE '1970-01-01' + CAST({0} AS INTEGER))",
    "FN_TIMESTAMP_FROM_INT64_SECONDS": "bq_timestamp(make_timestamptz({0} * 1000000))",
    "FN_TIMESTAMP_FROM_INT64_MILLIS": "bq_timestamp(make_timestamptz({0} * 1000))",
    "FN_TIMESTAMP_FROM_INT64_MICROS": "bq_timestamp(make_timestamptz({0}))",
    "FN_TIMESTAMP_FROM_UNIX_SECONDS_INT64": "bq_timestamp(make_timestamptz({0} * 1000000))",
    "FN_TIMESTAMP_FROM_UNIX_MILLIS_INT64": "bq_timestamp(make_timestamptz({0} * 1000))",
    "FN_TIMESTAMP_FROM_UNIX_MICROS_INT64": "bq_timestamp(make_timestamptz({0}))",
    "FN_GENERATE_DATE_ARRAY": _date_array,
    "FN_GENERATE_TIMESTAMP_ARRAY": _timestamp_array,
    "FN_FORMAT_DATE": _formatted(False),
    "FN_FORMAT_DATETIME": _formatted(False),
    "FN_FORMAT_TIME": _formatted(False),
    "FN_FORMAT_TIMESTAMP": _formatted(True),
    "FN_PARSE_DATE": lambda call: formats.parse_text(call, "DATE"),
    "FN_PARSE_DATETIME": lambda call: formats.parse_text(call, "TIMESTAMP"),
    "FN_PARSE_TIME": lambda call: formats.parse_text(call, "TIME"),
    "FN_PARSE_TIMESTAMP": lambda call: formats.parse_text(call, "TIMESTAMPTZ"),
}
