"""Which values are secret, and how to keep them out of everything that is printed.

The server masks the fields that a connector's specification marks ``airbyte_secret``, but the public API shows no
specification: for values that the server has not seen yet, the names decide.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

MASK = "**********"
"""What Airbyte answers in place of a stored secret."""

_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)|secret|token|credential|(^|(?<!primary)_)key($|_)|api_?key", re.IGNORECASE
)


def is_secret_name(name: str) -> bool:
    """Whether a configuration key or an environment variable of this name should hold a secret."""
    return bool(_SECRET_NAME.search(name))


def is_masked(value: object) -> bool:
    """Whether the server answered this in place of a secret."""
    return value == MASK


def redact(text: str, secrets: Iterable[str]) -> str:
    """``text`` without the given values, in case a server's message quotes what it was sent."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        for form in {secret, json.dumps(secret)[1:-1]}:
            text = text.replace(form, MASK)
    return text
