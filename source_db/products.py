"""Products and the categories they hang on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from source_db.catalog import COUNTRY_CURRENCY, CURRENCY_CODES, Category, categories, convert
from source_db.columns import (
    DAY,
    NEVER,
    SECOND,
    Bools,
    Bytes,
    Ints,
    blank,
    day_start,
    flags,
    instants,
    integers,
    join,
    money,
    pick,
    spread,
    uuids,
)
from source_db.market import Listings, Roster
from source_db.planting import Planter
from source_db.pools import (
    ADJECTIVES,
    ATTRIBUTES,
    EMOJI_TITLES,
    NESTED_ATTRIBUTES,
    ODD_TITLES,
    QUOTED_TITLES,
    TAGS,
    TAGS_WITH_NULL,
    VARIANTS,
    Pools,
)
from source_db.users import Users

FAR_FUTURE = day_start(date(2099, 1, 1))
# The greatest numeric(12,2), in hundredths.
GREATEST_AMOUNT = 999_999_999_999
_STATUSES = pa.array(["draft", "active", "paused", "sold_out", "deleted"])
_DRAFT, _ACTIVE = 0, 1


@dataclass(frozen=True)
class Products:
    ids: Bytes
    seller: Ints
    created: Ints
    published: Ints
    price: Ints
    currency: Ints
    titles: pa.Array

    def listings(self, users: Users) -> Listings:
        """What can be sold: all that was published, until its seller left."""
        order = np.argsort(self.published, kind="stable")
        order = order[self.published[order] != NEVER]
        gone = users.deleted[self.seller[order]]
        return Listings(
            self.ids[order],
            users.ids[self.seller[order]],
            gone != NEVER,
            self.price[order],
            self.currency[order],
            self.titles.take(pa.array(order)),
            Roster(self.published[order], gone),
        )


def categories_table(created: int) -> pa.Table:
    """All categories, created at one instant."""
    tree = categories()
    return pa.table(
        {
            "id": pa.array([category.id for category in tree]),
            "name": pa.array([category.name for category in tree]),
            "slug": pa.array([category.slug for category in tree]),
            "parent_id": pa.array([category.parent_id for category in tree]),
            "level": pa.array([category.level for category in tree]),
            "is_active": flags(np.array([category.id % 29 != 0 for category in tree])),
            "created_at": instants(np.full(len(tree), created)),
        }
    )


def make_products(
    rng: np.random.Generator,
    planter: Planter,
    pools: Pools,
    users: Users,
    ids: Bytes,
    span: tuple[int, int],
) -> tuple[Products, pa.Table]:
    """Products of ``users``' sellers, and their rows; created within ``span`` and their seller's time."""
    count = len(ids)
    sellers = np.flatnonzero(users.sells & (users.deleted > span[0]))
    # A few sellers own most of the catalogue.
    seller = sellers[(len(sellers) * rng.random(count) ** 1.5).astype(np.int64)]
    first = np.maximum(users.created[seller], span[0])
    last = np.minimum(np.minimum(users.deleted[seller], span[1]) - SECOND, span[1] - SECOND)
    created = first + ((last - first) * rng.random(count) ** 2.5).astype(np.int64)
    status = rng.choice(5, count, p=[0.08, 0.80, 0.05, 0.04, 0.03])
    published = np.minimum(created + (rng.exponential(2 * DAY, count)).astype(np.int64), last)
    published[status == _DRAFT] = NEVER
    currency = COUNTRY_CURRENCY[users.country[seller]]
    currency[users.country[seller] < 0] = 0
    dollars = np.clip(np.rint(np.exp(rng.normal(3.35, 0.9, count)) * 100), 99, 500_000).astype(np.int64)
    price = convert(dollars, np.zeros(count, dtype=np.int64), currency)
    updated = np.where(
        rng.random(count) < 0.6, created + ((last - created) * rng.random(count)).astype(np.int64), created
    )

    everything = np.ones(count, dtype=bool)
    future = planter.plant("products_updated_in_future", status != _DRAFT, 0.004)
    updated[future] = FAR_FUTURE + rng.integers(0, 300 * DAY, future.sum())
    price[planter.plant("products_at_numeric_limit", status == _DRAFT, 0.001)] = GREATEST_AMOUNT
    titles = _titles(rng, planter, count)
    no_category = planter.plant("products_without_category", everything, 0.02)
    category = _category_ids(rng, count)
    no_description = rng.random(count) < 0.05
    empty_description = planter.plant("products_with_empty_description", ~no_description, 0.03)
    descriptions = pick(pools.descriptions, rng.integers(0, len(pools.descriptions), count), no_description)
    products = Products(ids, seller, created, published, price, currency, titles)
    table = pa.table(
        {
            "id": uuids(ids),
            "seller_id": uuids(users.ids[seller]),
            "category_id": integers(category, no_category),
            "title": titles,
            "description": pc.if_else(pa.array(empty_description), "", descriptions),
            "price_amount": money(price),
            "price_currency": pick(CURRENCY_CODES, currency),
            "quantity_available": integers(np.where(status == 3, 0, rng.integers(1, 400, count))),
            "status": pick(_STATUSES, status),
            "tags": _tags(rng, planter, everything),
            "attributes": _attributes(rng, planter, everything),
            "created_at": instants(created),
            "updated_at": instants(np.where(updated < span[1], np.maximum(updated, created), updated)),
            "published_at": instants(published),
        }
    )
    return products, table


def _category_ids(rng: np.random.Generator, count: int) -> Ints:
    """Leaves mostly; one in ten hangs on a branch or a root."""
    tree: list[Category] = categories()
    leaves = np.array([category.id for category in tree if category.level == 3])
    others = np.array([category.id for category in tree if category.level < 3])
    return np.where(rng.random(count) < 0.9, rng.choice(leaves, count), rng.choice(others, count))


def _titles(rng: np.random.Generator, planter: Planter, count: int) -> pa.Array:
    nouns = pa.array([category.name for category in categories() if category.level == 3])
    titles = join(
        pick(ADJECTIVES, rng.integers(0, len(ADJECTIVES), count)),
        " ",
        pick(nouns, rng.integers(0, len(nouns), count)),
        " ",
        pick(VARIANTS, rng.integers(0, len(VARIANTS), count)),
    )
    free = np.ones(count, dtype=bool)
    for fault, pool in (
        ("products_with_emoji_title", EMOJI_TITLES),
        ("products_with_quoted_title", QUOTED_TITLES),
        ("products_with_odd_title", ODD_TITLES),
    ):
        chosen = planter.choose(free, 0.005, what=fault)
        if fault != "products_with_odd_title":
            planter.found(fault, chosen)
        free &= ~chosen
        titles = spread(pool, chosen, titles)
    return titles


def _tags(rng: np.random.Generator, planter: Planter, everything: Bools) -> pa.Array:
    count = len(everything)
    with_null = planter.plant("products_with_null_in_tags", everything, 0.02)
    plain = blank(pick(TAGS, rng.integers(0, len(TAGS), count)), rng.random(count) < 0.1)
    return spread(TAGS_WITH_NULL, with_null, plain)


def _attributes(rng: np.random.Generator, planter: Planter, everything: Bools) -> pa.Array:
    count = len(everything)
    nested = planter.plant("products_with_nested_arrays", everything, 0.02)
    plain = blank(pick(ATTRIBUTES, rng.integers(0, len(ATTRIBUTES), count)), rng.random(count) < 0.1)
    return spread(NESTED_ATTRIBUTES, nested, plain)
