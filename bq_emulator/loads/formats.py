"""dateFormat, datetimeFormat, timeFormat and timestampFormat of a load job, as strptime formats
(cloud.google.com/bigquery/docs/reference/standard-sql/format-elements#format_elements_date_time).
"""

from __future__ import annotations

import re

from bq_emulator.model import BigQueryError

_ELEMENTS = {
    "YYYY": "%Y",
    "YY": "%y",
    "MONTH": "%B",
    "MON": "%b",
    "MM": "%m",
    "DDD": "%j",
    "DD": "%d",
    "DAY": "%A",
    "DY": "%a",
    "HH24": "%H",
    "HH12": "%I",
    "HH": "%I",
    "MI": "%M",
    "SS": "%S",
    "AM": "%p",
    "PM": "%p",
    "TZH:TZM": "%z",
    "TZH": "%z",
    "TZR": "%Z",
    **{f"FF{digits}": "%f" for digits in range(1, 7)},
}
_TOKEN = re.compile("|".join(sorted(_ELEMENTS, key=len, reverse=True)) + r'|"[^"]*"|[-./,;: TZ]', re.IGNORECASE)


def strptime_format(text: str) -> str:
    """Raises BigQueryError invalid for an element that is not known here."""
    parts, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise BigQueryError("invalid", f"Invalid format element at position {position + 1} of {text!r}.")
        token = match[0]
        parts.append(_ELEMENTS.get(token.upper(), token.strip('"').replace("%", "%%")))
        position = match.end()
    return "".join(parts)
