"""OPTIONS(…) of DDL, written into REST's resources."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from bq_emulator.model import BigQueryError


def _days(value: Any) -> str:
    return str(int(value * 86_400_000))


def _interval(value: Any) -> str:
    """An INTERVAL as REST's maxStaleness writes it: ``0-0 0 4:0:0``."""
    months, days, micros = value
    seconds = micros // 1_000_000
    return f"{months // 12}-{months % 12} {days} {seconds // 3600}:{seconds // 60 % 60}:{seconds % 60}"


def _milliseconds(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return str(int(value.timestamp() * 1000))
    raise BigQueryError("invalidQuery", f"expiration_timestamp must be a TIMESTAMP, not {value!r}.", "query")


def apply_table_options(resource: dict[str, Any], options: dict[str, Any]) -> None:
    """Write OPTIONS(…) into a Table resource; NULL removes.

    Raises:
        BigQueryError: notImplemented for an option this emulator would have to ignore.
    """
    for name, value in options.items():
        if name == "require_partition_filter" and ("timePartitioning" in resource or "rangePartitioning" in resource):
            resource["requirePartitionFilter"] = bool(value)
            continue
        if name == "partition_expiration_days" and "timePartitioning" in resource:
            _set(resource["timePartitioning"], ("expirationMs", _days), value)
            continue
        if name in _VIEW_OPTIONS and "materializedView" in resource:
            _set(resource["materializedView"], _VIEW_OPTIONS[name], value)
            continue
        if name == "tags" and not value:
            continue  # No table here has tags to be removed.
        setter = _TABLE_OPTIONS.get(name)
        if setter is None:
            raise BigQueryError("notImplemented", f"The table option {name} is not supported by this emulator.")
        _set(resource, setter, value)


def apply_dataset_options(resource: dict[str, Any], options: dict[str, Any]) -> None:
    for name, value in options.items():
        setter = _DATASET_OPTIONS.get(name)
        if setter is None:
            raise BigQueryError("notImplemented", f"The schema option {name} is not supported by this emulator.")
        _set(resource, setter, value)


def _set(resource: dict[str, Any], setter: tuple[str, Callable[[Any], Any]], value: Any) -> None:
    key, convert = setter
    if value is None:
        resource.pop(key, None)
    else:
        resource[key] = convert(value)


_TABLE_OPTIONS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "description": ("description", str),
    "friendly_name": ("friendlyName", str),
    "labels": ("labels", dict),
    "expiration_timestamp": ("expirationTime", _milliseconds),
}
_VIEW_OPTIONS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "enable_refresh": ("enableRefresh", bool),
    "refresh_interval_minutes": ("refreshIntervalMs", lambda minutes: str(int(minutes * 60_000))),
    "max_staleness": ("maxStaleness", _interval),
    "allow_non_incremental_definition": ("allowNonIncrementalDefinition", bool),
}
_DATASET_OPTIONS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "description": ("description", str),
    "friendly_name": ("friendlyName", str),
    "labels": ("labels", dict),
    "location": ("location", str),
    "default_table_expiration_days": ("defaultTableExpirationMs", _days),
    "default_partition_expiration_days": ("defaultPartitionExpirationMs", _days),
    "max_time_travel_hours": ("maxTimeTravelHours", lambda hours: str(int(hours))),
    "storage_billing_model": ("storageBillingModel", str),
}
