"""OPTIONS(…) of DDL, written into REST's resources."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from bq_emulator.model import BigQueryError


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
        if name in ("partition_expiration_days", "require_partition_filter") and "timePartitioning" in resource:
            if name == "partition_expiration_days":
                resource["timePartitioning"]["expirationMs"] = None if value is None else str(int(value * 86_400_000))
            else:
                resource["requirePartitionFilter"] = bool(value)
            continue
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
_DATASET_OPTIONS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "description": ("description", str),
    "friendly_name": ("friendlyName", str),
    "labels": ("labels", dict),
    "location": ("location", str),
    "default_table_expiration_days": ("defaultTableExpirationMs", lambda days: str(int(days * 86_400_000))),
}
