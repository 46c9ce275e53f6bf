"""Order as GoogleSQL has it, in DuckDB's words."""

from __future__ import annotations

from bq_emulator.sql.types import Type


def sort_keys(text: str, kind: Type, descending: bool = False, nulls: str | None = None) -> list[str]:
    """The sort keys of one ORDER BY item. NULLs come first ascending and last descending unless ``nulls`` (``NULLS
    FIRST`` or ``NULLS LAST``) tells otherwise; NaN is less than every number, in DuckDB it is the greatest, so FLOAT64
    takes a key of its own for it."""
    nulls = nulls or ("NULLS LAST" if descending else "NULLS FIRST")
    keys = [f"{text} {'DESC' if descending else 'ASC'} {nulls}"]
    if kind.name == "FLOAT64":
        keys.insert(0, f"isnan({text}) {'ASC' if descending else 'DESC'} {nulls}")
    return keys
