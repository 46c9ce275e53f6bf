"""Orders and their items: who buys what, for how much, and how far the order has come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from source_db.catalog import (
    COUNTRY_CODES,
    COUNTRY_CURRENCY,
    COUNTRY_SHARE,
    COUNTRY_TAX,
    CURRENCY_CODES,
    SMALLEST_UNIT,
    convert,
    rounded,
)
from source_db.columns import DAY, MINUTE, NEVER, Bytes, Ints, instants, money, pick, uuids, wall_times
from source_db.items import Items, make_items
from source_db.market import Market, OrderNumbers
from source_db.planting import Planter
from source_db.pools import CITIES_PER_COUNTRY, Pools
from source_db.span import Span
from source_db.stages import STATUSES, Stages, make_stages

# How far a late row's updated_at may lie behind its arrival.
MOST_SKEW = 5 * MINUTE


@dataclass(frozen=True)
class Orders:
    """Orders that arrived during a span; ``arrived`` differs from ``created`` for late orders only."""

    ids: Bytes
    numbers: pa.Array
    buyer: Ints
    country: Ints
    currency: Ints
    total: Ints
    created: Ints
    arrived: Ints
    stages: Stages


def make_orders(
    rng: np.random.Generator,
    planter: Planter,
    pools: Pools,
    market: Market,
    numbers: OrderNumbers,
    arrived: Ints,
    span: Span,
) -> tuple[Orders, Items, pa.Table, pa.Table]:
    """Orders that arrive at the instants ``arrived`` (ascending, within ``span``), their items, and the rows of both.

    Late ones were created two to nine days before they arrive.
    """
    count = len(arrived)
    everything = np.ones(count, dtype=bool)
    late = planter.plant("late_orders", everything, 0.006)
    created = np.where(late, arrived - rng.integers(2 * DAY, 9 * DAY, count), arrived)
    buyer = market.buyers.choose(rng, created)
    nowhere = np.flatnonzero((market.buyers.country < 0) & (market.buyers.roster.gone == NEVER))
    if len(nowhere):
        there = created > market.buyers.roster.since[nowhere[0]]
        buyer[planter.choose(there, 0.001, what="order of a buyer without country")] = nowhere[0]
    home = market.buyers.country[buyer]
    country = np.where(rng.random(count) < 0.94, home, rng.choice(len(COUNTRY_SHARE), count, p=COUNTRY_SHARE))
    country[planter.choose(home < 0, 0.6, what="order without any country")] = -1
    country[planter.choose(home >= 0, 0.008, what="order without shipping country")] = -1
    country[planter.choose((home >= 0) & (country >= 0), 0.001, what="order from XK")] = len(COUNTRY_CODES) - 1
    planter.found("orders_without_shipping_country", country < 0)
    planter.found("orders_without_any_country", (country < 0) & (home < 0))
    planter.found("orders_to_unlisted_country", country == len(COUNTRY_CODES) - 1)
    place = np.where(country < 0, np.maximum(home, 0), country)
    currency = np.where(rng.random(count) < 0.9, COUNTRY_CURRENCY[place], 0)

    items, subtotal, items_table = make_items(rng, planter, market, created, currency, span)
    zero_discount = rng.random(count) < 0.82
    discount = rounded(subtotal * rng.integers(5, 21, count) // 100, currency)
    discount[zero_discount] = 0
    planter.found("orders_with_zero_discount", discount == 0)
    usd = np.zeros(count, dtype=np.int64)
    shipping = convert(rng.choice([1, 499, 799, 1499], count, p=[0.3, 0.4, 0.2, 0.1]), usd, currency)
    shipping[rng.random(count) < 0.3] = 0
    tax = rounded((subtotal - discount) * COUNTRY_TAX[place] // 100, currency)
    total = subtotal + shipping + tax - discount
    breach = planter.plant("orders_total_does_not_add_up", everything, 0.002)
    total[breach] += rng.integers(1, 500, breach.sum()) * SMALLEST_UNIT[currency[breach]]

    order_numbers = numbers.take(created // DAY)
    stages = make_stages(rng, planter, arrived, span.end)
    orders = Orders(span.ids("orders", count), order_numbers, buyer, country, currency, total, created, arrived, stages)
    behind = np.where(late, rng.integers(0, MOST_SKEW, count), 0)
    updated = np.maximum(np.maximum(arrived - behind, span.start), stages.last_change())
    city = place * CITIES_PER_COUNTRY + rng.integers(0, CITIES_PER_COUNTRY, count)
    orders_table = pa.table(
        {
            "id": uuids(orders.ids),
            "order_number": order_numbers,
            "buyer_id": uuids(market.buyers.ids[buyer]),
            "status": pick(pa.array(STATUSES), stages.status),
            "subtotal_amount": money(subtotal),
            "shipping_amount": money(shipping),
            "tax_amount": money(tax),
            "discount_amount": money(discount),
            "total_amount": money(total),
            "currency": pick(CURRENCY_CODES, currency),
            "shipping_country": pick(COUNTRY_CODES, country, country < 0),
            "shipping_city": pick(pools.cities, city, rng.random(count) < 0.01),
            "shipping_postal_code": pick(pools.postal_codes, city, rng.random(count) < 0.02),
            "created_at": instants(created),
            "updated_at": instants(updated),
            "confirmed_at": wall_times(stages.confirmed),
            "shipped_at": instants(stages.shipped),
            "delivered_at": instants(stages.delivered),
        }
    )
    return orders, items, orders_table, items_table
