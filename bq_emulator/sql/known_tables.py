"""The tables that recent statements named, so that a run of statements needs no catalog of its own for each.

What a catalog costs the analyzer is its functions, and not a few more tables.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping

Path = tuple[str, ...]

#: A table takes the analyzer a fifth of a millisecond; its functions take sixteen. A dbt project of thirty models and
#: eighty tests, which name tables of their own, asks for some hundred in turn.
LIMIT = 150


def number(path: Path) -> int:
    """What a table is known by in the resolved tree: the same in every catalog."""
    return int.from_bytes(hashlib.blake2b("\0".join(path).encode(), digest_size=7).digest(), "big")


class KnownTables:
    """Thread-safe. Tables are SimpleTableProtos, by the paths they are written with."""

    def __init__(self) -> None:
        self._tables: OrderedDict[Path, bytes] = OrderedDict()
        self._mutex = threading.Lock()

    def with_tables(self, named: Mapping[Path, bytes]) -> dict[Path, bytes]:
        """``named`` and other tables that can be in one catalog with them; ``named`` will be among those of others."""
        with self._mutex:
            for path, table in named.items():
                for other in [other for other in self._tables if _ambiguous(path, other)]:
                    del self._tables[other]
                self._tables[path] = table
                self._tables.move_to_end(path)
            while len(self._tables) > max(LIMIT, len(named)):
                self._tables.popitem(last=False)
            return dict(self._tables)


def _ambiguous(path: Path, other: Path) -> bool:
    """Whether the two differ first in case, which catalogs do not tell apart."""
    for one, two in zip(path, other, strict=False):
        if one != two:
            return one.lower() == two.lower()
    return False
