"""The stages of an order and when it reaches them."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np

from source_db.columns import DAY, HOUR, MINUTE, NEVER, SECOND, Bools, Ints
from source_db.planting import Planter

STATUSES = ("pending", "confirmed", "processing", "shipped", "delivered", "cancelled", "refunded")
PENDING, CONFIRMED, PROCESSING, SHIPPED, DELIVERED, CANCELLED, REFUNDED = range(7)
_NEAR_MIDNIGHT = 30 * MINUTE


@dataclass(frozen=True)
class Stages:
    """When orders reached each stage, NEVER where they have not (yet)."""

    confirmed: Ints
    processing: Ints
    shipped: Ints
    delivered: Ints
    cancelled: Ints
    refunded: Ints

    @property
    def status(self) -> Ints:
        """Index into :data:`STATUSES`."""
        status = np.zeros(len(self.confirmed), dtype=np.int64)
        for index, reached in enumerate(astuple(self), start=1):
            status[reached != NEVER] = index
        return status

    def last_change(self) -> Ints:
        """When each order last changed its stage; 0 while it is pending."""
        reached = np.stack(astuple(self))
        return np.where(reached == NEVER, 0, reached).max(axis=0)


def near_midnight(instants: Ints) -> Bools:
    """Within half an hour of midnight, where a shifted zone changes the date."""
    time = instants % DAY
    return (instants != NEVER) & ((time < _NEAR_MIDNIGHT) | (time >= DAY - _NEAR_MIDNIGHT))


def make_stages(rng: np.random.Generator, planter: Planter, arrived: Ints, end: int) -> Stages:
    """Most orders are delivered; some never leave pending, are cancelled, or are refunded. Nothing happens after
    ``end``: later stages are NEVER."""
    count = len(arrived)
    smooth = np.ones(count, dtype=bool)

    def fate(name: str, rate: float, eligible: Bools) -> Bools:
        chosen = planter.choose(smooth & eligible, rate, what=f"{name} order")
        smooth[chosen] = False
        return chosen

    abandoned = fate("abandoned", 0.02, smooth)
    cancelled_early = fate("cancelled", 0.025, smooth)
    cancelled_late = fate("cancelled after confirmation", 0.03, smooth)
    refunded = fate("refunded", 0.045, arrived < end - 40 * DAY)

    def after(previous: Ints, least: int, most: int) -> Ints:
        return previous + rng.integers(least, most, count)

    confirmed = arrived + np.clip(rng.lognormal(7.2, 1.2, count), 45, 20 * 3600).astype(np.int64) * SECOND
    confirmed += rng.integers(0, SECOND, count)
    at_midnight = planter.choose(smooth & (arrived < end - 2 * DAY), 0.004, what="order confirmed at midnight")
    confirmed[at_midnight] = ((arrived // DAY + 1) * DAY + rng.integers(0, 25 * MINUTE, count))[at_midnight]
    confirmed[abandoned | cancelled_early] = NEVER
    base = np.where(confirmed == NEVER, arrived, confirmed)
    cancelled = after(base, 10 * MINUTE, 30 * HOUR)
    processing = after(base, 20 * MINUTE, 12 * HOUR)
    shipped = after(processing, HOUR, 60 * HOUR)
    delivered = after(shipped, DAY, 9 * DAY)
    returned = after(delivered, DAY, 14 * DAY)
    stopped = abandoned | cancelled_early | cancelled_late

    def until_end(instants: Ints, where: Bools) -> Ints:
        return np.where(where & (instants < end), instants, NEVER)

    stages = Stages(
        confirmed=until_end(confirmed, ~(abandoned | cancelled_early)),
        processing=until_end(processing, ~stopped),
        shipped=until_end(shipped, ~stopped),
        delivered=until_end(delivered, ~stopped),
        cancelled=until_end(cancelled, cancelled_early | cancelled_late),
        refunded=until_end(returned, refunded),
    )
    planter.found("orders_confirmed_near_midnight", near_midnight(stages.confirmed))
    return stages
