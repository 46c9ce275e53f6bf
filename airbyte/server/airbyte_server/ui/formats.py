"""Numbers, times and names as people read them: the filters of the templates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airbyte_server.database import now

_UNITS = ("B", "kB", "MB", "GB", "TB")
_SPANS = ((86400, "d"), (3600, "h"), (60, "min"))

MODES = {
    "full_refresh_overwrite": ("Full refresh", "Overwrite"),
    "full_refresh_append": ("Full refresh", "Append"),
    "full_refresh_overwrite_deduped": ("Full refresh", "Overwrite + Deduped"),
    "incremental_append": ("Incremental", "Append"),
    "incremental_deduped_history": ("Incremental", "Append + Deduped"),
}
"""Upstream's words for a sync mode: how the source reads, how the destination writes."""


def number(value: int) -> str:
    return f"{value:,}"


def counted(value: int, thing: str) -> str:
    """``1 row``, ``2,000 rows``."""
    return f"{number(value)} {thing}" if value == 1 else f"{number(value)} {thing}s"


def size(value: float) -> str:
    """Bytes in powers of 1000, three digits at most: ``1.23 MB``."""
    unit = 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.3g} {_UNITS[unit]}" if unit else f"{int(value)} B"


def span(seconds: float) -> str:
    """A duration in its two largest units: ``1 h 5 min``, ``42 s``, ``0.4 s``."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    if seconds < 60:
        return f"{int(seconds)} s"
    rest, parts = int(seconds), []
    for length, unit in _SPANS:
        count, rest = divmod(rest, length)
        if count:
            parts.append(f"{count} {unit}")
    if rest and len(parts) < 2:
        parts.append(f"{rest} s")
    return " ".join(parts[:2])


def duration(value: timedelta) -> str:
    return span(value.total_seconds())


def ago(moment: datetime) -> str:
    """How long ago, in one unit: ``3 min ago``."""
    seconds = max(0, int((now() - moment).total_seconds()))
    if seconds < 5:
        return "just now"
    for length, unit in _SPANS:
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return f"{seconds} s ago"


def utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def schedule(value: dict[str, Any]) -> str:
    if value["scheduleType"] == "cron":
        return f"Cron {value['cronExpression']}"
    if value["scheduleType"] == "basic":
        every, units, unit = value["basicTiming"].split()
        return f"{every} {units} {unit.lower()}"
    return "Manual"


def field_type(schema: Any) -> str:
    """A field's type in one word, from its JSON Schema."""
    if not isinstance(schema, dict):
        return "any"
    if airbyte_type := schema.get("airbyte_type"):
        return str(airbyte_type).replace("_", " ")
    kinds = schema.get("type") or [choice.get("type") for choice in schema.get("oneOf") or schema.get("anyOf") or []]
    named = [str(kind) for kind in (kinds if isinstance(kinds, list) else [kinds]) if kind and kind != "null"]
    if named == ["string"] and schema.get("format"):
        return str(schema["format"])
    if named == ["array"]:
        return f"array of {field_type(schema.get('items'))}"
    return " or ".join(named) or "any"


def path(value: list[str]) -> str:
    return ".".join(value)


FILTERS = {f.__name__: f for f in (number, counted, size, span, duration, ago, utc, iso, schedule, field_type, path)}
