"""Dates and times. TIMESTAMP is an instant (DuckDB TIMESTAMPTZ), DATETIME a wall clock (DuckDB TIMESTAMP)."""

from __future__ import annotations

from bq_emulator.sql.functions import date_parts, date_shifts, formats
from bq_emulator.sql.functions.spec import Call, Template, by_count


def _formatted(zoned: bool) -> Template:
    def formatted(call: Call) -> str:
        value = call.args[1]
        if zoned:
            zone = call.args[2] if len(call.args) > 2 else "'UTC'"
            return formats.format_text(call, value, zone)
        return formats.format_text(call, value, None)

    return formatted


SCALAR: dict[str, Template] = {
    **date_parts.SCALAR,
    **date_shifts.SCALAR,
    "FN_CURRENT_TIMESTAMP": "now()",
    "FN_CURRENT_DATE": by_count(
        (0, "CAST(now() AT TIME ZONE 'UTC' AS DATE)"), (1, "CAST(bq_local(now(), {0}) AS DATE)")
    ),
    "FN_CURRENT_DATETIME": by_count((0, "(now() AT TIME ZONE 'UTC')"), (1, "bq_local(now(), {0})")),
    "FN_CURRENT_TIME": by_count(
        (0, "CAST(now() AT TIME ZONE 'UTC' AS TIME)"), (1, "CAST(bq_local(now(), {0}) AS TIME)")
    ),
    "FN_DATE_FROM_YEAR_MONTH_DAY": "make_date({0}, {1}, {2})",
    "FN_DATE_FROM_TIMESTAMP": by_count(
        (1, "CAST(make_timestamp(epoch_us({0})) AS DATE)"), (2, "bq_date(bq_local({0}, {1}))")
    ),
    "FN_DATE_FROM_DATETIME": "CAST({0} AS DATE)",
    "FN_DATE_FROM_DATE": "{0}",
    "FN_DATE_FROM_STRING": "bq_string_to_date({0})",
    "FN_DATETIME_FROM_YEAR_MONTH_DAY_HOUR_MINUTE_SECOND": "make_timestamp({0}, {1}, {2}, {3}, {4}, "
    "CAST({5} AS DOUBLE))",
    "FN_DATETIME_FROM_DATE_AND_TIME": "({0} + {1})",
    "FN_DATETIME_FROM_TIMESTAMP": by_count(
        (1, "make_timestamp(epoch_us({0}))"), (2, "bq_datetime(bq_local({0}, {1}))")
    ),
    "FN_DATETIME_FROM_DATE": "CAST({0} AS TIMESTAMP)",
    "FN_DATETIME_FROM_DATETIME": "{0}",
    "FN_DATETIME_FROM_STRING": "bq_string_to_datetime({0})",
    "FN_TIMESTAMP_FROM_STRING": by_count(
        (1, "bq_string_to_timestamp({0}, 'UTC')"), (2, "bq_string_to_timestamp({0}, {1})")
    ),
    "FN_TIMESTAMP_FROM_DATE": by_count(
        (1, "make_timestamptz(epoch_us(CAST({0} AS TIMESTAMP)))"), (2, "bq_instant(CAST({0} AS TIMESTAMP), {1})")
    ),
    "FN_TIMESTAMP_FROM_DATETIME": by_count((1, "make_timestamptz(epoch_us({0}))"), (2, "bq_instant({0}, {1})")),
    "FN_TIMESTAMP_FROM_TIMESTAMP": "{0}",
    "FN_TIME_FROM_HOUR_MINUTE_SECOND": "make_time({0}, {1}, CAST({2} AS DOUBLE))",
    "FN_TIME_FROM_TIMESTAMP": by_count(
        (1, "CAST(make_timestamp(epoch_us({0})) AS TIME)"), (2, "CAST(bq_local({0}, {1}) AS TIME)")
    ),
    "FN_TIME_FROM_DATETIME": "CAST({0} AS TIME)",
    "FN_TIME_FROM_TIME": "{0}",
    "FN_STRING_FROM_TIMESTAMP": by_count(
        (1, "(bq_datetime_to_string(make_timestamp(epoch_us({0}))) || '+00')"),
        (
            2,
            "bq_zoned_string({0} AT TIME ZONE 'UTC', bq_local({0}, {1}))",
        ),
    ),
    "FN_STRING_FROM_DATE": "strftime({0}, '%Y-%m-%d')",
    "FN_STRING_FROM_DATETIME": "bq_datetime_to_string({0})",
    "FN_STRING_FROM_TIME": "bq_time_to_string({0})",
    "FN_TIMESTAMP_FROM_UNIX_SECONDS_TIMESTAMP": "{0}",
    "FN_TIMESTAMP_FROM_UNIX_MILLIS_TIMESTAMP": "{0}",
    "FN_TIMESTAMP_FROM_UNIX_MICROS_TIMESTAMP": "{0}",
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
    "FN_FORMAT_DATE": _formatted(False),
    "FN_FORMAT_DATETIME": _formatted(False),
    "FN_FORMAT_TIME": _formatted(False),
    "FN_FORMAT_TIMESTAMP": _formatted(True),
    "FN_PARSE_DATE": lambda call: formats.parse_text(call, "DATE"),
    "FN_PARSE_DATETIME": lambda call: formats.parse_text(call, "TIMESTAMP"),
    "FN_PARSE_TIME": lambda call: formats.parse_text(call, "TIME"),
    "FN_PARSE_TIMESTAMP": lambda call: formats.parse_text(call, "TIMESTAMPTZ"),
}
