"""REST's PATCH: what is given replaces, null removes, labels merge."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any


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
