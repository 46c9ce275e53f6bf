"""What depends on a part of a date or time: EXTRACT, truncation, differences, the last day.

TIMESTAMP_DIFF counts whole units elapsed; DATE_DIFF and DATETIME_DIFF count the boundaries crossed.
"""

from __future__ import annotations

from zetasql.wasi._pb2.zetasql.public.functions import datetime_pb2

from bq_emulator.model import BigQueryError
from bq_emulator.sql.functions import zones
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
MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
#: DuckDB type → macro that keeps a value within the years 1 to 9999.
RANGED = {"DATE": "bq_date", "TIMESTAMP": "bq_datetime", "TIMESTAMPTZ": "bq_timestamp"}


def part(call: Call, position: int) -> str:
    """The name of a date part argument."""
    return str(datetime_pb2.DateTimestampPart.Name(call.constant(position)))


def unsupported(call: Call, name: str) -> BigQueryError:
    return BigQueryError("notImplemented", f"{call.name} with {name} is not supported by this emulator", "query")


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
            is_zoned = result == "TIMESTAMPTZ" and bound[1] != "'UTC'"
            if is_zoned and name in MICROSECONDS and name != "DAY":
                # The same hour may come twice.
                passed = f"epoch_us({zones.local(*bound)}) % {MICROSECONDS[name]}"
                start = f"{bound[0]} - to_microseconds(({passed} + {MICROSECONDS[name]}) % {MICROSECONDS[name]})"
                return call.context.bind([start], lambda found: f"{RANGED[result]}({found[0]})")
            local = zones.local(*bound) if result == "TIMESTAMPTZ" else bound[0]
            cut = truncated(local, name)
            if cut is None:
                raise unsupported(call, name)
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
        raise unsupported(call, name)

    return call.context.bind(call.args[:2], body)


def _elapsed(call: Call) -> str:
    """TIMESTAMP_DIFF."""
    name = part(call, 2)
    if name not in MICROSECONDS:
        raise unsupported(call, name)
    return f"((epoch_us({call.args[0]}) - epoch_us({call.args[1]})) // {MICROSECONDS[name]})"


def _time_diff(call: Call) -> str:
    name = part(call, 2)
    if name not in MICROSECONDS or name == "DAY":
        raise unsupported(call, name)
    unit = MICROSECONDS[name]
    later, earlier = (f"(datediff('microsecond', TIME '00:00:00', {arg}) // {unit})" for arg in call.args[:2])
    return f"({later} - {earlier})"


def _time_trunc(call: Call) -> str:
    unit = MICROSECONDS.get(part(call, 1))
    if unit is None:
        raise unsupported(call, part(call, 1))
    micros = f"datediff('microsecond', TIME '00:00:00', {call.args[0]})"
    return f"(TIME '00:00:00' + to_microseconds({micros} // {unit} * {unit}))"


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
        raise unsupported(call, name)
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
            raise unsupported(call, name)
        if name in WEEKS:
            return f"bq_date({start} + 6)"
        if name == "ISOYEAR":
            return f"bq_date(date_trunc('week', make_date(isoyear({bound[0]}) + 1, 1, 4)) - to_days(1))"
        return f"CAST({start} + to_months({MONTHS[name]}) - to_days(1) AS DATE)"

    return call.context.bind(call.args[:1], body)


SCALAR: dict[str, Template] = {
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
        (1, "CAST(make_timestamp(epoch_us({0})) AS DATE)"), (2, "bq_date(bq_local({0}, {1}))")
    ),
    "FN_EXTRACT_DATE_FROM_DATETIME": "CAST({0} AS DATE)",
    "FN_EXTRACT_TIME_FROM_TIMESTAMP": by_count(
        (1, "CAST(make_timestamp(epoch_us({0})) AS TIME)"), (2, "CAST(bq_local({0}, {1}) AS TIME)")
    ),
    "FN_EXTRACT_TIME_FROM_DATETIME": "CAST({0} AS TIME)",
    "FN_EXTRACT_DATETIME_FROM_TIMESTAMP": by_count(
        (1, "make_timestamp(epoch_us({0}))"), (2, "bq_datetime(bq_local({0}, {1}))")
    ),
    "FN_LAST_DAY_DATE": _last_day,
    "FN_LAST_DAY_DATETIME": _last_day,
}
