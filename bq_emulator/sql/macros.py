"""DuckDB settings and macros that the translated SQL relies on. Run :data:`SETUP_SQL` on every connection or cursor
(macros are temporary; everything is idempotent), after ``python_functions.register`` once per database.

A macro's argument is expanded as often as the body names it, so the translator binds arguments that are more than a
column or constant before it calls one (see ``translate.context.bind``).
"""

from __future__ import annotations

from bq_emulator.sql.errors import CHECK_MARK

SETTINGS = (
    "SET TimeZone = 'UTC'",
    "SET max_expression_depth = 20000",
    # It moves expressions that occur twice out of TRY and COALESCE, so that what must not fail does.
    "SET disabled_optimizers = 'common_subexpressions'",
)

#: ``bq_check(ok, message, value)``: value where ``ok`` is true or NULL, else the error ``message``.
_CHECK = f"""CASE WHEN CASE WHEN (ok) IS NOT FALSE THEN true ELSE CAST('{CHECK_MARK}' || (message) AS BOOLEAN) END
    THEN (value) END"""

#: One NUMERIC as a whole number of 10^-9 units, and back.
_UNITS = "CAST(replace(CAST((x) AS VARCHAR), '.', '') AS HUGEINT)"
_FROM_UNITS = """CAST((u) // 1000000000 AS DECIMAL(38,9)) + CAST((u) % 1000000000 AS DECIMAL(10,0)) * 0.000000001"""

MACROS: dict[str, tuple[str, str]] = {
    "bq_check": ("ok, message, value", _CHECK),
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
    # Strings to other types: Google's accepted forms are narrower than DuckDB's.
    "bq_string_to_int64": (
        "s",
        r"""bq_check(regexp_full_match(s, '\s*[+-]?([0-9]+|0[xX][0-9a-fA-F]+)\s*')
            AND TRY_CAST(trim(s, E' \t\n\r') AS BIGINT) IS NOT NULL,
        'Bad int64 value: ' || (s), TRY_CAST(trim(s, E' \t\n\r') AS BIGINT))""",
    ),
    "bq_string_to_float64": (
        "s",
        r"""bq_check(regexp_full_match(s, '(?i)\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+|inf|infinity|nan)(e[+-]?[0-9]+)?\s*'),
        'Bad double value: ' || (s), TRY_CAST(trim(s, E' \t\n\r') AS DOUBLE))""",
    ),
    "bq_string_to_numeric": (
        "s",
        r"""bq_check(regexp_full_match(s, '(?i)\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?\s*')
            AND TRY_CAST(trim(s, E' \t\n\r') AS DECIMAL(38,9)) IS NOT NULL,
        'Invalid NUMERIC value: ' || (s), TRY_CAST(trim(s, E' \t\n\r') AS DECIMAL(38,9)))""",
    ),
    "bq_string_to_bool": (
        "s",
        "bq_check(lower(s) IN ('true', 'false'), 'Bad bool value: ' || (s), lower(s) = 'true')",
    ),
    "bq_string_to_date": (
        "s",
        r"""bq_check(regexp_full_match(s, '\s*[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}\s*') AND TRY_CAST(s AS DATE) IS NOT NULL,
        'Invalid date: ''' || (s) || '''', TRY_CAST(s AS DATE))""",
    ),
    "bq_string_to_time": (
        "s",
        r"""bq_check(regexp_full_match(s, '\s*[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(\.[0-9]{1,6})?\s*')
            AND TRY_CAST(s AS TIME) IS NOT NULL, 'Invalid time string "' || (s) || '"', TRY_CAST(s AS TIME))""",
    ),
    "bq_string_to_datetime": (
        "s",
        r"""bq_check(regexp_full_match(s, '\s*[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}'
            '([ Tt][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(\.[0-9]{0,6})?)?\s*') AND TRY_CAST(s AS TIMESTAMP) IS NOT NULL,
        'Invalid datetime string "' || (s) || '"', TRY_CAST(s AS TIMESTAMP))""",
    ),
    # A zone is a name, or an offset that DuckDB does not take: [+-]H[H][:MM]
    "bq_zone_minutes": (
        "zone",
        r"""CASE WHEN starts_with(zone, '-') THEN -1 ELSE 1 END
        * (CAST(regexp_extract(zone, '[0-9]+') AS INTEGER) * 60
        + coalesce(TRY_CAST(regexp_extract(zone, ':([0-9]+)$', 1) AS INTEGER), 0))""",
    ),
    "bq_is_offset": ("zone", "regexp_full_match(zone, '[+-][0-9]{1,2}(:[0-9]{2})?')"),
    "bq_local": (
        "t, zone",
        """CASE WHEN bq_is_offset(zone) THEN t AT TIME ZONE 'UTC' + to_minutes(bq_zone_minutes(zone))
        ELSE t AT TIME ZONE (zone) END""",
    ),
    "bq_instant": (
        "d, zone",
        """bq_timestamp(CASE WHEN bq_is_offset(zone) THEN ((d) - to_minutes(bq_zone_minutes(zone))) AT TIME ZONE 'UTC'
        ELSE (d) AT TIME ZONE (zone) END)""",
    ),
    "bq_parse_timestamp": (
        "s, zone",
        r"""CASE WHEN regexp_matches(s, '([Zz]|:[0-9.]+\s*[+-][0-9:]+|UTC|[A-Za-z]+/[A-Za-z_/]+)\s*$')
          THEN TRY_CAST(regexp_replace(trim(s), '(?i)\s*(UTC|Z)$', '+00') AS TIMESTAMPTZ)
        WHEN regexp_full_match(trim(s), '[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}\s*[+-][0-9:]+')
          THEN TRY_CAST(regexp_replace(trim(s), '\s*([+-][0-9:]+)$', ' 00:00:00\1') AS TIMESTAMPTZ)
        ELSE bq_instant(TRY_CAST(s AS TIMESTAMP), zone) END""",
    ),
    # zone: the one to assume where the text names none
    "bq_string_to_timestamp": (
        "s, zone",
        r"""bq_check(regexp_full_match(s, '\s*[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([ Tt][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}'
            '(\.[0-9]{0,6})?)?\s*([Zz]|[+-][0-9]{1,2}(:?[0-9]{2})?|(?i:UTC)|[A-Za-z_]+/[A-Za-z_/]+)?\s*')
            AND bq_parse_timestamp(s, zone) IS NOT NULL, 'Invalid timestamp: ''' || (s) || '''',
            bq_parse_timestamp(s, zone))""",
    ),
    # Fractions of a second print with none, three or six digits.
    "bq_datetime_to_string": (
        "x",
        r"""regexp_replace(regexp_replace(strftime(x, '%Y-%m-%d %H:%M:%S.%f'), '000$', ''), '\.000$', '')""",
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
    "bq_substr": (
        "s, start, size",
        """bq_check((size) >= 0 OR (s) IS NULL, 'Third argument in SUBSTR() cannot be negative',
        CASE WHEN (start) > 0 THEN substring(s, start, size) WHEN (start) = 0 THEN substring(s, 1, size)
        WHEN -(start) >= length(s) THEN substring(s, 1, size)
        ELSE substring(s, length(s) + (start) + 1, size) END)""",
    ),
    "bq_substr_from": (
        "s, start",
        """CASE WHEN (start) > 0 THEN substring(s, start) WHEN -(start) >= length(s) OR (start) = 0 THEN s
        ELSE substring(s, length(s) + (start) + 1) END""",
    ),
    "bq_bytes_substr": (
        "b, start, size",
        """bq_check((size) >= 0 OR (b) IS NULL, 'Third argument in SUBSTR() cannot be negative',
        unhex(substring(hex(b), CASE WHEN (start) > 0 THEN 2 * (start) - 1
        WHEN (start) = 0 OR -(start) >= octet_length(b) THEN 1
        ELSE 2 * (octet_length(b) + (start)) + 1 END, 2 * (size))))""",
    ),
    # DuckDB maps one letter to one; only ASCII is left to it
    "bq_upper": ("s", "CASE WHEN strlen(s) = length(s) THEN upper(s) ELSE bq_full_upper(s) END"),
    "bq_lower": ("s", "CASE WHEN strlen(s) = length(s) THEN lower(s) ELSE bq_full_lower(s) END"),
    "bq_initcap": (
        "s, delimiters",
        """CASE WHEN (s) IS NOT NULL THEN list_reduce(list_prepend('', string_split(s, '')),
        lambda text, letter: text || CASE WHEN contains(delimiters, letter) THEN letter
        WHEN text = '' OR contains(delimiters, right(text, 1))
        THEN upper(letter) ELSE lower(letter) END) END""",
    ),
    "bq_array_at": (
        "a, position, shown",
        """bq_check((position) >= 1 AND (position) <= len(a),
        'Array index ' || (shown) || ' is out of bounds', list_extract(a, position))""",
    ),
    "bq_array_safe_at": (
        "a, offset_",
        "CASE WHEN (offset_) >= 0 AND (offset_) < len(a) THEN list_extract(a, (offset_) + 1) END",
    ),
    "bq_array_without_null": (
        "a",
        """bq_check(len(a) = list_count(a), 'Array cannot have a null element; error in writing field', a)""",
    ),
    # leaves: what is found in text by text; NULL unless found where one of them is NULL
    "bq_contains": (
        "leaves, folded",
        """CASE WHEN len(list_filter(leaves, lambda e: contains(bq_casefold(e), folded))) > 0 THEN true
        WHEN len(leaves) = list_count(leaves) THEN false END""",
    ),
    "bq_json_scalar": (
        "js, path",
        """CASE json_type(js, path) WHEN 'OBJECT' THEN NULL WHEN 'ARRAY' THEN NULL WHEN 'NULL' THEN NULL
        WHEN 'DOUBLE' THEN bq_json_number(CAST(json_extract_string(js, path) AS DOUBLE))
        ELSE json_extract_string(js, path) END""",
    ),
    # DuckDB prints some doubles in another way than Google: what holds one is put into the normal form again.
    "bq_json_get": (
        "js, path",
        """list_transform([json_extract(js, path)], lambda j: CASE WHEN regexp_matches(CAST(j AS VARCHAR), '[0-9][.eE]')
        THEN CAST(bq_json_normal(CAST(j AS VARCHAR), 'round') AS JSON) ELSE j END)[1]""",
    ),
    "bq_json_or_null": (
        "s",
        "CASE WHEN json_valid(s) THEN CAST(s AS JSON) END",
    ),
    "bq_parse_json": (
        "s",
        "CAST(bq_json_normal(s, 'exact') AS JSON)",
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

SETUP_SQL: tuple[str, ...] = (
    *SETTINGS,
    *(f"CREATE OR REPLACE TEMP MACRO {name}({parameters}) AS {body}" for name, (parameters, body) in MACROS.items()),
)
