"""A stretch of time whose rows are made together."""

from __future__ import annotations

from dataclasses import dataclass

from source_db.columns import Bytes, make_ids


@dataclass(frozen=True)
class Span:
    """Rows that reach the source at the instants [``start``, ``end``). ``scope`` names it uniquely within a seed."""

    seed: int
    scope: str
    start: int
    end: int

    def ids(self, table: str, count: int) -> Bytes:
        """Identifiers of this span's rows of ``table``."""
        return make_ids(self.seed, f"{self.scope}/{table}", count)
