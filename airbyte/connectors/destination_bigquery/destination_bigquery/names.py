"""BigQuery's rules for names, applied as the upstream connector applies them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

_FORBIDDEN = re.compile(r"[^A-Za-z0-9_]")


def identifier(name: str) -> str:
    """A table's or column's name: letters, digits, underscores, not starting with a digit."""
    safe = _FORBIDDEN.sub("_", name)
    return safe if re.match(r"[A-Za-z_]", safe) else f"_{safe}"


def dataset(name: str) -> str:
    """A dataset's name: must start with a letter or a digit."""
    safe = _FORBIDDEN.sub("_", name)
    return safe if re.match(r"[A-Za-z0-9]", safe) else f"n{safe}"


def working_table(dataset: str, table: str) -> str:
    """The beginning of the names of a table's working tables, which no other table has (``a_b.c`` and ``a.b_c``)."""
    digest = hashlib.sha256(f"{dataset}.{table}".encode()).hexdigest()[:8]
    return f"{dataset}_{table}"[:900] + f"_{digest}"


def columns(names: Iterable[str], reserved: Iterable[str]) -> dict[str, str]:
    """Column names by field name. Column names differ by more than case, so a field whose name is taken (``Id`` after
    ``id``, or a reserved one) gets a number."""
    taken = {name.lower() for name in reserved}
    result = {}
    for name in names:
        candidate = base = identifier(name)
        number = 0
        while candidate.lower() in taken:
            number += 1
            candidate = f"{base}_{number}"
        taken.add(candidate.lower())
        result[name] = candidate
    return result
