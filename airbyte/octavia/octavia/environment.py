"""``${VAR}`` and ``${VAR:-default}`` inside YAML scalars."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

_REFERENCE = re.compile(
    r"(?P<escaped>\$\$\{)|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(:-(?P<default>[^{}]*))?\}|(?P<malformed>\$\{[^}]*\}?)"
)


class ExpansionError(ValueError):
    """A variable that is not set, or a reference that is not one."""


@dataclass(frozen=True)
class Expansion:
    """A scalar's text after expansion and the variables it was made of."""

    text: str
    variables: Mapping[str, str]
    """The value each named variable was replaced by."""


def expand(text: str, variables: Mapping[str, str], literal: Collection[str] = ()) -> Expansion:
    """Replace the references in ``text``; those named in ``literal`` stay as they are, ``$${`` becomes ``${``.

    As in a shell, the default stands in for a variable that is unset or empty.

    Raises:
        ExpansionError: a variable without default is not set, or a reference is malformed.
    """
    used: dict[str, str] = {}

    def replace(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "${"
        if match["malformed"]:
            raise ExpansionError(
                f"{match['malformed']!r} is not a variable reference: write ${{NAME}} or ${{NAME:-default}} "
                "(no braces in the default), or $${ for a literal ${"
            )
        name, default = match["name"], match["default"]
        if name in literal:
            return match[0]
        value = variables.get(name)
        if value is None and default is None:
            raise ExpansionError(
                f"environment variable {name} is not set: export it, put it into .env, or write ${{{name}:-default}}"
            )
        used[name] = value or default or ""
        return used[name]

    return Expansion(_REFERENCE.sub(replace, text), used)
