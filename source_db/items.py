"""The items of orders: products, quantities and prices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from source_db.catalog import CURRENCY_CODES, convert
from source_db.columns import Bytes, Ints, blank, instants, integers, join, money, pick, uuids
from source_db.market import Market
from source_db.planting import Planter
from source_db.span import Span

_COUNTS = np.array([1, 2, 3, 4, 5, 8])
_COUNT_SHARES = [0.40, 0.27, 0.15, 0.09, 0.06, 0.03]
_QUANTITIES = np.array([1, 2, 3, 4, 6, 10])
_QUANTITY_SHARES = [0.74, 0.15, 0.05, 0.03, 0.02, 0.01]


@dataclass(frozen=True)
class Items:
    """Items in the order of their orders; ``order`` and ``listing`` are positions in orders and listings."""

    ids: Bytes
    order: Ints
    listing: Ints


def make_items(
    rng: np.random.Generator, planter: Planter, market: Market, created: Ints, currency: Ints, span: Span
) -> tuple[Items, Ints, pa.Table]:
    """Items for orders created at ``created`` in ``currency``; also each order's subtotal, and the items' rows.

    An item is priced in its order's currency, whatever its product's, but for a few in a currency of their own; the
    subtotal holds those converted.
    """
    per_order = rng.choice(_COUNTS, len(created), p=_COUNT_SHARES)
    per_order[planter.plant("orders_without_items", np.ones(len(created), dtype=bool), 0.003)] = 0
    order = np.repeat(np.arange(len(created)), per_order)
    count = len(order)
    listings = market.listings
    listing = listings.choose(rng, created[order])
    own_currency = listings.currency[listing]
    foreign = planter.plant("items_in_another_currency_than_their_order", own_currency != currency[order], 0.02)
    item_currency = np.where(foreign, own_currency, currency[order])
    planter.found("items_in_another_currency_than_their_product", item_currency != own_currency)
    planter.found("items_sold_by_since_deleted_sellers", listings.seller_deleted[listing])
    unit_price = convert(listings.price[listing], own_currency, item_currency)
    quantity = rng.choice(_QUANTITIES, count, p=_QUANTITY_SHARES)
    total = unit_price * quantity
    subtotal = np.zeros(len(created), dtype=np.int64)
    np.add.at(subtotal, order, convert(total, item_currency, currency[order]))

    ids = span.ids("order_items", count)
    price = money(listings.price[listing]).cast(pa.string())
    snapshot = join(
        '{"price": {"amount": ',
        price,
        ', "currency": "',
        pick(CURRENCY_CODES, own_currency),
        '"}, "options": [[1, ',
        pc.cast(integers(quantity), pa.string()),
        "], []]}",
    )
    table = pa.table(
        {
            "id": uuids(ids),
            "order_id": uuids(span.ids("orders", len(created))[order]),
            "product_id": uuids(listings.ids[listing]),
            "seller_id": uuids(listings.seller_ids[listing]),
            "quantity": integers(quantity),
            "unit_price": money(unit_price),
            "total_price": money(total),
            "currency": pick(CURRENCY_CODES, item_currency),
            "product_title": pick(listings.titles, listing, rng.random(count) < 0.01),
            "product_snapshot": blank(snapshot, rng.random(count) < 0.3),
            "created_at": instants(created[order]),
        }
    )
    return Items(ids, order, listing), subtotal, table
