"""Who can buy and what is listed at an instant: all that making orders needs to know of users and products."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa

from source_db.columns import NEVER, Bytes, Ints


@dataclass(frozen=True)
class Roster:
    """Entries in order of ``since``, each there until ``gone`` (NEVER for most)."""

    since: Ints
    gone: Ints

    @cached_property
    def _lasting(self) -> Ints:
        return np.flatnonzero(self.gone == NEVER)

    def choose(self, at: Ints, share: np.ndarray) -> Ints:
        """Positions of entries there at the instants ``at``; ``share`` in [0, 1) runs from the oldest to the newest.

        Where the entry at ``share`` is gone already, one that never goes takes its place.
        """
        position = _scaled(self.since, at, share)
        gone = self.gone[position] <= at
        position[gone] = self._lasting[_scaled(self.since[self._lasting], at[gone], share[gone])]
        return position


def _scaled(since: Ints, at: Ints, share: np.ndarray) -> Ints:
    there = np.maximum(np.searchsorted(since, at, side="right"), 1)
    return (there * share).astype(np.int64)


@dataclass(frozen=True)
class Buyers:
    """Users who may buy, in order of creation; ``country`` is an index into the catalog's countries, -1 unknown."""

    ids: Bytes
    country: Ints
    roster: Roster

    def choose(self, rng: np.random.Generator, at: Ints) -> Ints:
        """Newer buyers order more (interest fades), and every seventh stays loyal."""
        position = self.roster.choose(at, np.minimum(1 - rng.beta(1.0, 2.0, len(at)), 0.999999))
        loyal = (rng.random(len(at)) < 0.3) & (self.roster.gone[position // 7 * 7] > at)
        return np.where(loyal, position // 7 * 7, position)


@dataclass(frozen=True)
class Listings:
    """Products that can be sold, in order of publication; prices in hundredths, currency an index into the catalog."""

    ids: Bytes
    seller_ids: Bytes
    seller_deleted: np.ndarray
    price: Ints
    currency: Ints
    titles: pa.Array
    roster: Roster

    def choose(self, rng: np.random.Generator, at: Ints) -> Ints:
        """What has been listed for long sells more."""
        return self.roster.choose(at, rng.random(len(at)) ** 1.8)


@dataclass(frozen=True)
class Market:
    buyers: Buyers
    listings: Listings


@dataclass
class OrderNumbers:
    """Gives out ORD-YYYYMMDD-NNNNN: the last number of each day (days since 1970) is remembered."""

    last: dict[int, int] = field(default_factory=dict)

    def take(self, days: Ints) -> pa.Array:
        numbers = np.empty(len(days), dtype=np.int64)
        for day in np.unique(days):
            rows = np.flatnonzero(days == day)
            start = self.last.get(int(day), 0)
            numbers[rows] = np.arange(start + 1, start + 1 + len(rows))
            self.last[int(day)] = start + len(rows)
        dates = np.datetime_as_string(days.astype("datetime64[D]"))
        return pa.array(
            [f"ORD-{date.replace('-', '')}-{number:05d}" for date, number in zip(dates, numbers, strict=True)]
        )
