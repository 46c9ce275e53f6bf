"""The sellers' tiers over time, and what is wrong with the record of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from source_db.catalog import TIERS
from source_db.columns import DAY, NEVER, SECOND, Bools, Ints, flags, instants, integers, pick, uuids
from source_db.planting import Planter
from source_db.users import Users

_MOST = 6
_REASONS = pa.array(["onboarding", "sales volume", "rating", "annual review", "policy breach"])


def make_tiers(rng: np.random.Generator, planter: Planter, users: Users, end: int) -> tuple[pa.Table, Ints]:
    """Rows of ``seller_tier_history``, and each user's tier as an index into the catalog's, -1 for none.

    A seller starts in bronze and moves by one tier at a time, or stays after a review, until ``end`` or deletion.
    Nine in ten sellers have a history. Every fault gets sellers of its own, so that one never hides another.
    """
    sellers = np.flatnonzero(users.sells)
    gone = users.deleted[sellers] != NEVER
    long_enough = np.minimum(users.deleted[sellers], end) - users.created[sellers] > 60 * DAY
    free = long_enough & ~gone
    faults: dict[str, Bools] = {}
    for fault, rate in (
        ("tier_overlaps", 0.04),
        ("tier_gaps", 0.04),
        ("tier_two_current_rows", 0.03),
        ("tier_same_instant_changes", 0.03),
        ("tier_differs_from_last_row", 0.03),
    ):
        faults[fault] = planter.plant(fault, free, rate)
        free &= ~faults[fault]
    faults["tier_open_for_deleted_seller"] = planter.plant("tier_open_for_deleted_seller", gone, 0.4)
    faulty = np.logical_or.reduce(list(faults.values()))

    count = np.minimum(1 + rng.poisson(1.6, len(sellers)), _MOST)
    count[faulty] = np.maximum(count[faulty], 2)
    count[~long_enough] = 1
    count[(rng.random(len(sellers)) < 0.1) & ~faulty] = 0

    begins = _begins(rng, users.created[sellers], np.minimum(users.deleted[sellers], end))
    columns = np.arange(_MOST)
    last = columns == (count - 1)[:, None]
    # The pair of rows at fault is the last but one and the last.
    before = columns == (count - 2)[:, None]
    same = faults["tier_same_instant_changes"]
    begins[last & same[:, None]] = begins[before & same[:, None]]
    ends = np.hstack([begins[:, 1:], np.full((len(sellers), 1), NEVER)])
    ends[last] = np.where(faults["tier_open_for_deleted_seller"], NEVER, users.deleted[sellers])[count > 0]
    month = 30 * DAY
    ends[before & faults["tier_overlaps"][:, None]] += rng.integers(DAY, month, faults["tier_overlaps"].sum())
    gaps = before & faults["tier_gaps"][:, None]
    ends[gaps] -= ((ends[gaps] - begins[gaps]) * (0.1 + 0.5 * rng.random(gaps.sum()))).astype(np.int64)
    ends[before & faults["tier_two_current_rows"][:, None]] = NEVER

    levels = _levels(rng, len(sellers))
    existing = columns < count[:, None]
    seller_of_row, position = np.nonzero(existing)
    order = np.argsort(begins[existing], kind="stable")
    change = np.sign(levels - np.hstack([np.full((len(sellers), 1), -9), levels[:, :-1]]))
    reason = np.where(columns == 0, 0, np.choose(change + 1, [4, 3, 1]))
    table = pa.table(
        {
            "id": integers(np.arange(1, existing.sum() + 1)),
            "user_id": uuids(users.ids[sellers[seller_of_row[order]]]),
            "tier": pick(TIERS, levels[existing][order]),
            "effective_from": instants(begins[existing][order]),
            "effective_to": instants(ends[existing][order]),
            "is_current": flags((ends[existing] == NEVER)[order]),
            "change_reason": pick(_REASONS, reason[existing][order], (position > 3)[order]),
            "created_at": instants(begins[existing][order]),
        }
    )
    tier = np.full(len(users.ids), -1)
    with_history = count > 0
    tier[sellers[with_history]] = levels[with_history, count[with_history] - 1]
    differing = sellers[faults["tier_differs_from_last_row"]]
    tier[differing] = (tier[differing] + 1) % len(TIERS)
    return table, tier


def _begins(rng: np.random.Generator, created: Ints, until: Ints) -> Ints:
    """Ascending instants at least an hour apart, the first at creation."""
    shares = np.sort(rng.random((len(created), _MOST)), axis=1)
    shares[:, 0] = 0
    room = np.maximum(until - created - 10 * 3600 * SECOND, SECOND)
    spacing = np.arange(_MOST) * np.minimum(3600 * SECOND, room // 100)[:, None]
    return created[:, None] + (room[:, None] * shares * 0.98).astype(np.int64) + spacing


def _levels(rng: np.random.Generator, sellers: int) -> Ints:
    steps = rng.choice([-1, 0, 1], (sellers, _MOST), p=[0.2, 0.15, 0.65])
    levels = np.zeros((sellers, _MOST), dtype=np.int64)
    for column in range(1, _MOST):
        levels[:, column] = np.clip(levels[:, column - 1] + steps[:, column], 0, len(TIERS) - 1)
    return levels
