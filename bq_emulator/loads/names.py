"""Column names found in files (cloud.google.com/bigquery/docs/schemas#column_names)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from bq_emulator.model import BigQueryError

#: A flexible name may hold letters and digits of any language and some other characters.
_INVALID = re.compile(r"[^\w&%=+:'<>#|\- ]")
_INVALID_V1 = re.compile(r"\W", re.ASCII)
_RESERVED_PREFIXES = ("_table_", "_file_", "_partition", "_row_timestamp", "__root__", "_colidentifier")
_MAX_LENGTH = 300


def column_names(found: Sequence[str], configuration: dict[str, Any], default: str = "STRICT") -> list[str]:
    """``found`` as the job's columnNameCharacterMap makes names of them, no two the same. ``default`` is what a job
    that does not say gets: autodetection replaces what a name may not hold, a self-describing file must be right.

    Raises:
        BigQueryError: invalid for a name that STRICT does not admit, and for an unknown map.
    """
    character_map = str(configuration.get("columnNameCharacterMap") or "").upper()
    if character_map in ("", "COLUMN_NAME_CHARACTER_MAP_UNSPECIFIED"):
        character_map = default
    names: list[str] = []
    for name in found:
        match character_map:
            case "V1":
                name = _INVALID_V1.sub("_", name)
                name = f"_{name}" if name[:1].isdigit() else name
            case "V2":
                name = _INVALID.sub("_", name)
            case "STRICT":
                check_name(name)
            case _:
                raise BigQueryError(
                    "invalid", f"Invalid value for columnNameCharacterMap: {character_map}; STRICT, V1 or V2."
                )
        taken = {other.lower() for other in names}
        unique, number = name, 1
        while unique.lower() in taken:
            unique, number = f"{name}_{number}", number + 1
        names.append(unique)
    return names


def check_name(name: str) -> None:
    """Raises BigQueryError invalid, with Google's wording."""
    if not name or len(name) > _MAX_LENGTH or _INVALID.search(name):
        raise BigQueryError(
            "invalid",
            f'Invalid field name "{name}". Fields must contain the allowed characters, and be at most {_MAX_LENGTH} '
            "characters long. For allowed characters, please refer to "
            "https://cloud.google.com/bigquery/docs/schemas#column_names",
        )
    if name.lower().startswith(_RESERVED_PREFIXES):
        raise BigQueryError("invalid", f'Invalid field name "{name}". The prefix is reserved.')
