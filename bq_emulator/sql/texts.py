"""Functions on text that DuckDB lacks."""

from __future__ import annotations

import base64
import binascii
import json
import unicodedata
from collections.abc import Iterator
from typing import Any


def casefold(text: str) -> str:
    """NFKC_Casefold, in which CONTAINS_SUBSTR compares.
    https://cloud.google.com/bigquery/docs/reference/standard-sql/string_functions#contains_substr"""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def to_base32(value: bytes) -> str:
    return base64.b32encode(value).decode()


def from_base32(text: str) -> bytes:
    """
    Raises:
        ValueError: the text is not base32.
    """
    try:
        return base64.b32decode(text)
    except binascii.Error:
        raise ValueError(f"Failed to decode invalid base32 string: {text}") from None


def json_leaves(value: str | None, scope: str) -> list[str | None]:
    """The keys and the scalars of a JSON value as text, as ``scope`` (a json_scope) wants them; [None] for NULL."""
    if value is None:
        return [None]
    return list(_leaves(json.loads(value), scope != "JSON_VALUES", scope != "JSON_KEYS"))


def _leaves(value: Any, keys: bool, values: bool) -> Iterator[str]:
    if isinstance(value, dict):
        for key, member in value.items():
            if keys:
                yield key
            yield from _leaves(member, keys, values)
    elif isinstance(value, list):
        for member in value:
            yield from _leaves(member, keys, values)
    elif values:
        yield value if isinstance(value, str) else json.dumps(value)
