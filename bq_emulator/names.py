"""Which names datasets, tables, columns and labels may have."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from bq_emulator.model import BigQueryError

_DATASET = re.compile(r"\w{1,1024}", re.ASCII)
#: https://cloud.google.com/bigquery/docs/tables#table_naming: categories L, M, N, Pc, Pd and Zs.
_TABLE_CATEGORIES = ("L", "M", "N", "Pc", "Pd", "Zs")
_LABEL_KEY = re.compile(r"[^\W\d_][\w-]{0,62}")
_LABEL_VALUE = re.compile(r"[\w-]{0,63}")
_MAX_LABELS = 64
_MAX_BYTES = 1024
#: What a column must not be called: https://cloud.google.com/bigquery/docs/schemas#column_names
_RESERVED_PREFIXES = ("_TABLE_", "_FILE_", "_PARTITION", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER")
_MAX_COLUMN_NAME = 300
_FORBIDDEN_IN_COLUMNS = frozenset('!"$()*,./;?@[\\]^`{}~')


def check_dataset_id(name: str) -> None:
    """Raises BigQueryError invalid."""
    if not _DATASET.fullmatch(name):
        raise BigQueryError(
            "invalid",
            f'Invalid dataset ID "{name}". Dataset IDs must be alphanumeric (plus underscores and dashes) and must be '
            "at most 1024 characters long.",
        )


def check_table_id(name: str) -> None:
    """Raises BigQueryError invalid."""
    allowed = all(unicodedata.category(letter).startswith(_TABLE_CATEGORIES) for letter in name)
    if not name or not allowed or len(name.encode()) > _MAX_BYTES:
        raise BigQueryError(
            "invalid",
            f'Invalid table ID "{name}". Table IDs must be alphanumeric (plus underscores) and must be at most 1024 '
            "characters long. Also, Table decorators cannot be used.",
        )


def check_column_name(name: str) -> None:
    """Raises BigQueryError invalid."""
    if len(name) > _MAX_COLUMN_NAME or _FORBIDDEN_IN_COLUMNS & set(name) or not name.isprintable():
        raise BigQueryError(
            "invalid",
            f'Invalid field name "{name}". Fields must contain the allowed characters, and be at most 300 characters '
            "long. For allowed characters, please refer to https://cloud.google.com/bigquery/docs/schemas#column_names",
        )
    if name.upper().startswith(_RESERVED_PREFIXES):
        raise BigQueryError(
            "invalid",
            f'Invalid field name "{name}". Field names are not allowed to start with the (case-insensitive) prefixes '
            f"{', '.join(_RESERVED_PREFIXES)}.",
        )


def check_labels(labels: Any) -> None:
    """https://cloud.google.com/bigquery/docs/labels-intro#requirements. Raises BigQueryError invalid."""
    if not isinstance(labels, dict):
        raise BigQueryError("invalid", "Invalid value for labels: a map of text to text is expected.")
    if len(labels) > _MAX_LABELS:
        raise BigQueryError("invalid", f"Invalid value for labels: {len(labels)} labels, at most 64 are allowed.")
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key) or key != key.lower():
            raise BigQueryError(
                "invalid",
                f"Label key '{key}' violates format constraints. The key must start with a lowercase character, can "
                "only contain lowercase letters, numeric characters, underscores and dashes. The key can be at most 63 "
                "characters long. International characters are allowed.",
            )
        if value is not None and (not _LABEL_VALUE.fullmatch(str(value)) or value != value.lower()):
            raise BigQueryError(
                "invalid",
                f"Label value '{value}' violates format constraints. The value can only contain lowercase letters, "
                "numeric characters, underscores and dashes. The value can be at most 63 characters long. "
                "International characters are allowed.",
            )
