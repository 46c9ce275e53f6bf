"""What a resource sent to be stored may hold, and REST's PATCH: what is given replaces, null removes, labels merge."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from bq_emulator.model import BigQueryError


def merge_patch(old: dict[str, Any], given: dict[str, Any], allowed: Collection[str]) -> dict[str, Any]:
    """``old`` with the properties of ``given`` that may change."""
    merged = dict(old)
    for key in allowed:
        if key not in given:
            continue
        value = given[key]
        if key == "labels" and value is not None:
            labels = {**old.get("labels", {}), **value}
            merged["labels"] = {name: text for name, text in labels.items() if text is not None}
        elif value is None:
            merged.pop(key, None)
        else:
            merged[key] = value
    return merged


def check_properties(kind: str, resource: dict[str, Any], known: Collection[str], refused: Collection[str]) -> None:
    """Raises BigQueryError notImplemented for a property that would have to be ignored, invalid for one that does not
    exist."""
    for key, value in resource.items():
        if key in refused:
            if value:
                raise BigQueryError("notImplemented", f"The {kind} property {key} is not supported by this emulator.")
        elif key not in known:
            raise BigQueryError(
                "invalid", f"Invalid JSON payload received. Unknown name \"{key}\" at '{kind}': Cannot find field."
            )


def check_rounding(resource: dict[str, Any]) -> None:
    """Raises BigQueryError notImplemented for another rounding than half away from zero."""
    mode = resource.get("defaultRoundingMode")
    if mode not in (None, "", "ROUNDING_MODE_UNSPECIFIED", "ROUND_HALF_AWAY_FROM_ZERO"):
        raise BigQueryError("notImplemented", f"defaultRoundingMode {mode} is not supported by this emulator.")
