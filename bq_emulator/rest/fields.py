"""The standard parameter ``fields``: which parts of an answer to send
(https://cloud.google.com/bigquery/docs/api-performance#partial-response)."""

from __future__ import annotations

import re
from typing import Any

from bq_emulator.model import BigQueryError

#: What is wanted of an object: field → what of it; an empty one wants all.
Mask = dict[str, Any]
_TOKEN = re.compile(r"[^,/()\s]+|[,/()]")


def parse(text: str) -> Mask:
    """``kind,items(id,size/width)`` → ``{"kind": {}, "items": {"id": {}, "size": {"width": {}}}}``.

    Raises:
        BigQueryError: invalidParameter.
    """
    tokens = _TOKEN.findall(text)
    mask, rest = _fields(tokens, text)
    if rest:
        raise _invalid(text)
    return mask


def _fields(tokens: list[str], text: str) -> tuple[Mask, list[str]]:
    mask: Mask = {}
    while True:
        if not tokens or tokens[0] in ",/()":
            raise _invalid(text)
        inner = mask
        name, *tokens = tokens
        while tokens and tokens[0] == "/":
            inner = inner.setdefault(name, {})
            if len(tokens) < 2 or tokens[1] in ",/()":
                raise _invalid(text)
            name, tokens = tokens[1], tokens[2:]
        within: Mask = {}
        if tokens and tokens[0] == "(":
            within, tokens = _fields(tokens[1:], text)
            if not tokens or tokens[0] != ")":
                raise _invalid(text)
            tokens = tokens[1:]
        inner[name] = within
        if not tokens or tokens[0] != ",":
            return mask, tokens
        tokens = tokens[1:]


def select(content: Any, mask: Mask) -> Any:
    """The wanted parts of a JSON value; lists are gone through."""
    if not mask:
        return content
    if isinstance(content, list):
        return [select(item, mask) for item in content]
    if not isinstance(content, dict):
        return content
    wanted = {key: mask.get(key, mask.get("*")) for key in content}
    return {key: select(content[key], within) for key, within in wanted.items() if within is not None}


def _invalid(text: str) -> BigQueryError:
    return BigQueryError("invalidParameter", f"Invalid field selection {text}", "fields")
