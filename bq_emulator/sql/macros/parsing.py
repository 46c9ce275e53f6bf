"""Strings to other types: Google's accepted forms are narrower than DuckDB's."""

from __future__ import annotations

#: A zone's name in a text; Google takes those of the time zone database (https://www.iana.org/time-zones).
_ZONE = "([A-Za-z]{2,}[A-Za-z0-9]*(?:/[A-Za-z0-9_+-]+)*)"

#: DuckDB takes no sign before 0x.
_INT64 = r"""TRY_CAST(CASE WHEN contains(s, 'x') OR contains(s, 'X')
    THEN CAST(CASE WHEN contains(s, '-') THEN -1 ELSE 1 END * TRY_CAST(trim(s, E' \t\n\r+-') AS HUGEINT) AS VARCHAR)
    ELSE trim(s, E' \t\n\r') END AS BIGINT)"""

MACROS: dict[str, tuple[str, str]] = {
    "bq_string_to_int64": (
        "s",
        rf"""bq_check(regexp_full_match(s, '\s*[+-]?([0-9]+|0[xX][0-9a-fA-F]+)\s*') AND {_INT64} IS NOT NULL,
        'Bad int64 value: ' || (s), {_INT64})""",
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
    "bq_parse_timestamp": (
        "s, zone",
        rf"""CASE WHEN regexp_full_match(s, '\s*[0-9]{{4}}-[0-9]{{1,2}}-[0-9]{{1,2}}([ Tt][0-9:.]*)?\s*')
          THEN bq_instant(TRY_CAST(s AS TIMESTAMP), zone)
        WHEN regexp_matches(s, '([Zz]|:[0-9.]+\s*[+-][0-9:]+|(?i:UTC))\s*$')
          THEN TRY_CAST(regexp_replace(trim(s), '(?i)\s*(UTC|Z)$', '+00') AS TIMESTAMPTZ)
        WHEN regexp_full_match(trim(s), '[0-9]{{4}}-[0-9]{{1,2}}-[0-9]{{1,2}}\s*[+-][0-9:]+')
          THEN TRY_CAST(regexp_replace(trim(s), '\s*([+-][0-9:]+)$', ' 00:00:00\1') AS TIMESTAMPTZ)
        WHEN regexp_matches(s, '\s{_ZONE}\s*$')
          THEN CASE WHEN TRY_CAST(trim(s) AS TIMESTAMPTZ) IS NOT NULL
            THEN bq_instant(TRY_CAST(regexp_replace(s, '\s+{_ZONE}\s*$', '') AS TIMESTAMP),
              regexp_extract(s, '{_ZONE}\s*$', 1)) END END""",
    ),
    # zone: the one to assume where the text names none
    "bq_string_to_timestamp": (
        "s, zone",
        rf"""list_transform([CASE WHEN regexp_full_match(s, '\s*[0-9]{{4}}-[0-9]{{1,2}}-[0-9]{{1,2}}'
            '([ Tt][0-9]{{1,2}}:[0-9]{{1,2}}:[0-9]{{1,2}}(\.[0-9]{{0,6}})?)?'
            '(\s*([Zz]|[+-][0-9]{{1,2}}(:?[0-9]{{2}})?|(?i:UTC))|\s+{_ZONE})?\s*')
            THEN bq_parse_timestamp(s, zone) END],
        lambda t: bq_check(t IS NOT NULL OR (s) IS NULL, 'Invalid timestamp: ''' || (s) || '''', t))[1]""",
    ),
}
