"""The years 1 to 9999, time zones, weeks, and dates, times and INTERVALs as text."""

from __future__ import annotations

MACROS: dict[str, tuple[str, str]] = {
    "bq_floor_div": ("n, unit", "(((n) - (((n) % (unit)) + (unit)) % (unit)) // (unit))"),
    # Nothing before the year 1 or after 9999
    "bq_date_or": (
        "d, message",
        "bq_check((d) BETWEEN DATE '0001-01-01' AND DATE '9999-12-31', message, CAST(d AS DATE))",
    ),
    "bq_date": ("d", "bq_date_or(d, 'Date overflow: out of the range of DATE')"),
    "bq_datetime_or": (
        "d, message",
        """bq_check((d) BETWEEN TIMESTAMP '0001-01-01 00:00:00' AND TIMESTAMP '9999-12-31 23:59:59.999999', message,
        CAST(d AS TIMESTAMP))""",
    ),
    "bq_datetime": ("d", "bq_datetime_or(d, 'Datetime overflow: out of the range of DATETIME')"),
    "bq_timestamp_or": (
        "t, message",
        """bq_check(epoch_us(t) BETWEEN -62135596800000000 AND 253402300799999999, message, CAST(t AS TIMESTAMPTZ))""",
    ),
    "bq_timestamp": (
        "t",
        """bq_timestamp_or(t, 'Timestamp overflow: ' || epoch_us(t)
        || ' is out of the range -62135596800000000 to 253402300799999999 (microseconds)')""",
    ),
    # A zone is a name, or an offset that DuckDB does not take: [+-]H[H][:MM]
    "bq_zone_minutes": (
        "zone",
        r"""CASE WHEN starts_with(zone, '-') THEN -1 ELSE 1 END
        * (TRY_CAST(regexp_extract(zone, '[0-9]+') AS INTEGER) * 60
        + coalesce(TRY_CAST(regexp_extract(zone, ':([0-9]+)$', 1) AS INTEGER), 0))""",
    ),
    "bq_is_offset": ("zone", "regexp_full_match(zone, '[+-][0-9]{1,2}(:[0-9]{2})?')"),
    "bq_local": (
        "t, zone",
        """CASE WHEN bq_is_offset(zone) THEN t AT TIME ZONE 'UTC' + to_minutes(bq_zone_minutes(zone))
        ELSE t AT TIME ZONE (zone) END""",
    ),
    "bq_with_former_offset": (
        "d, zone, t",
        "((t - to_hours(25)) + ((d) - (t - to_hours(25)) AT TIME ZONE (zone)))",
    ),
    # Of two instants at which a clock that was set back shows the same, Google means the first, DuckDB (t) the second:
    # the first has the offset of the day before.
    "bq_first_instant": (
        "d, zone, t",
        """CASE WHEN (t - to_hours(25)) AT TIME ZONE (zone) = (d) - to_hours(25) THEN t
        WHEN bq_with_former_offset(d, zone, t) AT TIME ZONE (zone) = (d) THEN bq_with_former_offset(d, zone, t)
        ELSE t END""",
    ),
    "bq_instant": (
        "d, zone",
        """CASE WHEN (zone) = 'UTC' THEN bq_timestamp((d) AT TIME ZONE 'UTC') WHEN bq_is_offset(zone)
        THEN bq_timestamp(((d) - to_minutes(bq_zone_minutes(zone))) AT TIME ZONE 'UTC')
        ELSE list_transform([(d) AT TIME ZONE (zone)], lambda t: bq_timestamp(bq_first_instant(d, zone, t)))[1] END""",
    ),
    # Fractions of a second print with none, three or six digits. DuckDB's own text, which takes half the time, has as
    # many as are needed.
    "bq_datetime_to_string": (
        "x",
        """CASE WHEN epoch_us(x) % 10 <> 0 OR epoch_us(x) % 1000000 = 0 THEN CAST(x AS VARCHAR)
        WHEN epoch_us(x) % 1000 = 0 THEN strftime(x, '%Y-%m-%d %H:%M:%S.%g')
        ELSE strftime(x, '%Y-%m-%d %H:%M:%S.%f') END""",
    ),
    "bq_datetime_to_json": (
        "x, zone",
        """CASE WHEN epoch_us(x) % 1000 <> 0 THEN strftime(x, '"%Y-%m-%dT%H:%M:%S.%f' || (zone) || '"')
        WHEN epoch_us(x) % 1000000 <> 0 THEN strftime(x, '"%Y-%m-%dT%H:%M:%S.%g' || (zone) || '"')
        ELSE strftime(x, '"%Y-%m-%dT%H:%M:%S' || (zone) || '"') END""",
    ),
    "bq_time_to_string": (
        "x",
        r"""regexp_replace(regexp_replace(
        strftime(DATE '1970-01-01' + (x), '%H:%M:%S.%f'), '000$', ''), '\.000$', '')""",
    ),
    # The offset has no seconds; those of the zones' local mean times are left out.
    "bq_zoned_string": (
        "utc, local",
        """bq_datetime_to_string((utc) + to_minutes(datesub('minute', utc, local)))
        || CASE WHEN (local) >= (utc) THEN '+' ELSE '-' END
        || lpad(CAST(abs(datesub('minute', utc, local)) // 60 AS VARCHAR), 2, '0')
        || CASE WHEN abs(datesub('minute', utc, local)) % 60 = 0 THEN ''
           ELSE ':' || lpad(CAST(abs(datesub('minute', utc, local)) % 60 AS VARCHAR), 2, '0') END""",
    ),
    "bq_interval_from_parts": (
        "s",
        """list_transform([string_split(s, ',')], lambda p: CASE WHEN (s) IS NOT NULL THEN
        to_months(CAST(p[1] AS INTEGER)) + to_days(CAST(p[2] AS INTEGER)) + to_microseconds(CAST(p[3] AS BIGINT))
        END)[1]""",
    ),
    # Y-M D H:M:S[.F], each of the three parts with its own sign
    "bq_interval_months": ("x", "(datepart('year', x) * 12 + datepart('month', x))"),
    "bq_interval_micros": (
        "x",
        "(datepart('hour', x) * 3600000000 + datepart('minute', x) * 60000000 + datepart('microsecond', x))",
    ),
    "bq_interval_to_string": (
        "x",
        """CASE WHEN bq_interval_months(x) < 0 THEN '-' ELSE '' END || abs(bq_interval_months(x)) // 12 || '-'
        || abs(bq_interval_months(x)) % 12 || ' ' || datepart('day', x) || ' '
        || CASE WHEN bq_interval_micros(x) < 0 THEN '-' ELSE '' END || abs(bq_interval_micros(x)) // 3600000000 || ':'
        || abs(bq_interval_micros(x)) // 60000000 % 60 || ':' || abs(bq_interval_micros(x)) // 1000000 % 60
        || CASE WHEN bq_interval_micros(x) % 1000000 = 0 THEN ''
           ELSE regexp_replace('.' || lpad(CAST(abs(bq_interval_micros(x)) % 1000000 AS VARCHAR), 6, '0'), '000$', '')
           END""",
    ),
    "bq_sunday": ("d, first", "CAST(d AS DATE) - CAST((dayofweek(d) - (first) + 7) % 7 AS INTEGER)"),
}
