"""Users: the table, and which of them buy and sell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from source_db.catalog import COUNTRY_CODES, COUNTRY_SHARE, TIERS
from source_db.columns import (
    DAY,
    NEVER,
    Bools,
    Bytes,
    Ints,
    blank,
    flags,
    instants,
    integers,
    join,
    money,
    pick,
    uuids,
)
from source_db.market import Buyers, Roster
from source_db.planting import Planter
from source_db.pools import NAMES_PER_COUNTRY, Pools

_TYPES = pa.array(["buyer", "seller", "both"])
_DOMAINS = pa.array(["example.com", "example.org", "example.net", "mail.example"])


@dataclass(frozen=True)
class Users:
    """Users in order of creation; ``country`` indexes the catalog's countries, -1 unknown."""

    ids: Bytes
    kind: Ints
    country: Ints
    created: Ints
    deleted: Ints

    @property
    def sells(self) -> Bools:
        return self.kind > 0

    def buyers(self) -> Buyers:
        buys = self.kind != 1
        return Buyers(self.ids[buys], self.country[buys], Roster(self.created[buys], self.deleted[buys]))


def make_users(
    rng: np.random.Generator, planter: Planter, ids: Bytes, created: Ints, deletable: tuple[int, int] | None
) -> Users:
    """Users created at the instants ``created`` (ascending).

    Some of those that were there before the span ``deletable`` are soft-deleted within it. About a fifth sell, and at
    least twelve do (so that each fault of the tier history has a seller of its own) where the users are a whole seed.
    """
    count = len(ids)
    kind = np.zeros(count, dtype=np.int64)
    sellers = min(count, max(12 if deletable else 0, round(0.19 * count)))
    # Sellers come early rather than late: a marketplace needs something to sell.
    chosen = (
        rng.choice(count, sellers, replace=False)
        if not deletable
        else np.sort(rng.choice(max(sellers, int(0.7 * count)), sellers, replace=False))
    )
    kind[chosen] = np.where(rng.random(sellers) < 0.55, 1, 2)
    # A market without buyers' first accounts could not open.
    kind[: max(1, count // 50) if deletable else 0] = 2
    country = rng.choice(len(COUNTRY_SHARE), count, p=COUNTRY_SHARE)
    deleted = np.full(count, NEVER)
    if deletable:
        start, end = deletable
        old = (created < start) & (np.arange(count) > count // 50)
        gone = planter.choose(old & (kind > 0), 0.04, what="soft-deleted seller")
        gone |= planter.choose(old & (kind == 0), 0.03, what="soft-deleted buyer")
        deleted[gone] = start + ((end - start) * (0.4 + 0.55 * rng.random(gone.sum()))).astype(np.int64)
    planter.found("users_soft_deleted", deleted != NEVER)
    no_country = planter.choose(np.ones(count, dtype=bool), 0.015, what="user without country")
    # One at least lasts and buys, so that orders without any country can be.
    lasting = (deleted == NEVER) & (kind != 1) & (created < deletable[0] - 30 * DAY if deletable else True)
    no_country |= planter.choose(lasting, 0.005, what="lasting buyer without country")
    country[no_country] = -1
    planter.found("users_without_country", no_country)
    return Users(ids, kind, country, created, deleted)


def users_table(
    rng: np.random.Generator, planter: Planter, pools: Pools, users: Users, first_number: int, tier: Ints
) -> pa.Table:
    """Rows of ``users``. ``tier`` indexes the catalog's tiers, -1 for none; ``first_number`` makes e-mails unique."""
    count = len(users.ids)
    people = np.where(users.country < 0, 0, users.country) * NAMES_PER_COUNTRY
    everyone = np.ones(count, dtype=bool)
    nameless = planter.plant("users_without_first_name", everyone, 0.03)
    # Nobody is without a first name and with an empty one.
    no_last_name = planter.plant("users_without_last_name", everyone, 0.03)
    empty_last_name = planter.plant("users_with_empty_last_name", ~no_last_name, 0.01)
    last_names = pick(pools.last_names, people + rng.integers(0, NAMES_PER_COUNTRY, count), no_last_name)
    number = integers(np.arange(first_number, first_number + count))
    username = join("user", number)
    updated = np.where(users.deleted != NEVER, users.deleted, users.created)
    no_rating = ~users.sells | (rng.random(count) < 0.1)
    return pa.table(
        {
            "id": uuids(users.ids),
            "email": join(username, "@", pick(_DOMAINS, rng.integers(0, len(_DOMAINS), count))),
            "username": username,
            "user_type": pick(_TYPES, users.kind),
            "first_name": pick(pools.first_names, people + rng.integers(0, NAMES_PER_COUNTRY, count), nameless),
            "last_name": pc.if_else(pa.array(empty_last_name), "", last_names),
            "country_code": pick(COUNTRY_CODES, users.country, users.country < 0),
            "seller_tier": pick(TIERS, tier, tier < 0),
            "seller_rating": blank(money(rng.integers(250, 501, count)), no_rating),
            "created_at": instants(users.created),
            "updated_at": instants(updated),
            "deleted_at": instants(users.deleted),
            "is_active": flags(users.deleted == NEVER),
        }
    )


def creation_times(rng: np.random.Generator, count: int, start: int, end: int) -> Ints:
    """When a seed's users came: six in ten during the two years before ``start``, the rest until ``end``."""
    before = round(0.6 * count)
    # A month's lead, so that even rows dated before the start find a user.
    times = np.concatenate(
        [rng.integers(start - 760 * DAY, start - 30 * DAY, before), rng.integers(start, end, count - before)]
    )
    return np.sort(times)
