"""Reviews of delivered items."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from source_db.columns import DAY, HOUR, MINUTE, NEVER, flags, instants, integers, pick, spread, uuids
from source_db.items import Items
from source_db.market import Market
from source_db.orders import Orders
from source_db.planting import Planter
from source_db.pools import AWKWARD_BODIES, Pools
from source_db.span import Span

_STATUSES = pa.array(["pending", "approved", "rejected", "flagged"])
_PENDING = 0
# The share of delivered items that get a review.
_RATE = 0.2


def make_reviews(
    rng: np.random.Generator,
    planter: Planter,
    pools: Pools,
    market: Market,
    orders: Orders,
    items: Items,
    span: Span,
) -> pa.Table:
    """Rows of ``reviews``, written one to twenty days after delivery and before the span's end."""
    delivered = orders.stages.delivered[items.order]
    chosen = np.flatnonzero((delivered < span.end - DAY) & (rng.random(len(delivered)) < _RATE))
    written = delivered[chosen] + rng.integers(HOUR, 20 * DAY, len(chosen))
    chosen, written = chosen[written < span.end], written[written < span.end]
    count = len(chosen)
    everything = np.ones(count, dtype=bool)
    status = rng.choice(4, count, p=[0.07, 0.85, 0.05, 0.03])
    moderated = np.where(status == _PENDING, NEVER, written + rng.integers(MINUTE, DAY, count))
    status[moderated >= span.end] = _PENDING
    moderated[moderated >= span.end] = NEVER
    no_item = planter.plant("reviews_without_order_item", everything, 0.05)
    odd = planter.plant("reviews_with_awkward_body", everything, 0.01)
    no_title = rng.random(count) < 0.1
    empty_title = planter.plant("reviews_with_empty_title", ~no_title, 0.02)
    titles = pick(pools.review_titles, rng.integers(0, len(pools.review_titles), count), no_title)
    bodies = pick(pools.review_bodies, rng.integers(0, len(pools.review_bodies), count), rng.random(count) < 0.08)
    return pa.table(
        {
            "id": uuids(span.ids("reviews", count)),
            "product_id": uuids(market.listings.ids[items.listing[chosen]]),
            "order_item_id": uuids(items.ids[chosen], no_item),
            "reviewer_id": uuids(market.buyers.ids[orders.buyer[items.order[chosen]]]),
            "rating": integers(rng.choice([1, 2, 3, 4, 5], count, p=[0.06, 0.06, 0.13, 0.30, 0.45])),
            "title": pc.if_else(pa.array(empty_title), "", titles),
            "body": spread(AWKWARD_BODIES, odd, bodies),
            "is_verified_purchase": flags(~no_item),
            "helpful_votes": integers(rng.poisson(1.2, count)),
            "status": pick(_STATUSES, status),
            "moderated_at": instants(moderated),
            "created_at": instants(written),
            "updated_at": instants(np.where(moderated == NEVER, written, moderated)),
        }
    )
