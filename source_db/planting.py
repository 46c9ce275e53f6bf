"""Planting faults: choosing the rows that get one, and keeping count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from source_db.columns import Bools
from source_db.database import SourceDatabaseError


class ScaleTooSmall(SourceDatabaseError):
    """Among so few rows none can carry a fault that has to be there."""


class Planter:
    """Chooses rows at random and counts what it planted.

    ``guaranteed`` tells of which choices at least one row has to come: of all in a seed, which must hold every fault
    however small it is, while on a simulated day the rare ones may stay away.
    """

    def __init__(self, rng: np.random.Generator, counts: Counter[str], *, guaranteed: Callable[[str], bool]) -> None:
        self.rng = rng
        self.counts = counts
        self._guaranteed = guaranteed

    def choose(self, eligible: Bools, rate: float, *, what: str) -> Bools:
        """A mask of about ``rate`` × the eligible rows.

        Raises:
            ScaleTooSmall: if a row is guaranteed and none is eligible.
        """
        candidates = np.flatnonzero(eligible)
        count = int(rate * len(candidates) + self.rng.random())
        if count == 0 and self._guaranteed(what):
            if len(candidates) == 0:
                raise ScaleTooSmall(
                    f"No row can carry the fault {what!r}: the scale is too small. Choose a larger one."
                )
            count = 1
        mask = np.zeros(len(eligible), dtype=bool)
        mask[self.rng.choice(candidates, size=count, replace=False) if count else []] = True
        return mask

    def plant(self, fault: str, eligible: Bools, rate: float) -> Bools:
        """Choose rows for ``fault`` and count them."""
        mask = self.choose(eligible, rate, what=fault)
        self.found(fault, mask)
        return mask

    def found(self, fault: str, mask: Bools) -> None:
        """Count rows that came to carry ``fault`` in the course of things."""
        self.counts[fault] += int(mask.sum())
