"""Fill an empty marketplace database with a year of history."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from source_db.columns import DAY, HOUR, MINUTE, NEVER, SECOND, Ints, day_start, make_ids
from source_db.database import (
    TABLES,
    Connection,
    SourceDatabaseError,
    bulk_load,
    copy,
    filled_tables,
    grant_reader,
    lock,
    run_script,
)
from source_db.events import EventLog, events, order_events, payment_events
from source_db.market import Market, OrderNumbers
from source_db.orders import make_orders
from source_db.payments import make_payments, payments_table
from source_db.planting import Planter
from source_db.pools import Pools, make_pools
from source_db.products import categories_table, make_products
from source_db.reviews import make_reviews
from source_db.span import Span
from source_db.tiers import make_tiers
from source_db.users import Users, creation_times, make_users, users_table

DEFAULT_UNTIL = date(2026, 6, 30)
HISTORY_DAYS = 365
USERS, PRODUCTS, ORDERS = 2_000, 5_000, 20_000
LEAST_SCALE = 0.02
# So many orders are made at once: what bounds memory at large scales.
_CHUNK = 20_000


class AlreadyFilled(SourceDatabaseError):
    """The database holds rows already."""


def seed_database(connection: Connection, *, scale: float, seed: int, until: date) -> tuple[Counter[str], Counter[str]]:
    """Create the tables where they are missing and fill them with the year that ends with the day ``until``, all in
    one transaction. Equal arguments give equal rows.

    Returns:
        Rows by table, and planted faults by name.

    Raises:
        AlreadyFilled: if any of the tables holds a row.
        SourceDatabaseError: if ``scale`` is too small to hold each fault.
    """
    if scale < LEAST_SCALE:
        raise SourceDatabaseError(f"Scale {scale} is too small to hold every fault. The least is {LEAST_SCALE}.")
    with connection.transaction():
        lock(connection)
        run_script(connection, "schema.sql")
        if filled := filled_tables(connection):
            raise AlreadyFilled(f"The database holds rows already (in {', '.join(filled)}); nothing was changed.")
        with bulk_load(connection):
            loader = _Loader(connection)
            _generate(loader, scale, seed, until)
        grant_reader(connection)
    return loader.rows, loader.faults


def _always(fault: str) -> bool:
    return True


def _never(fault: str) -> bool:
    return False


class _Loader:
    """Sends tables to the database and counts rows and faults."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.rows: Counter[str] = Counter(dict.fromkeys(TABLES, 0))
        self.faults: Counter[str] = Counter()

    def load(self, table: str, rows: pa.Table) -> None:
        copy(self._connection, table, rows)
        self.rows[table] += rows.num_rows


def _generate(loader: _Loader, scale: float, seed: int, until: date) -> None:
    end = day_start(until + timedelta(days=1))
    start = end - HISTORY_DAYS * DAY
    pools = make_pools(seed)
    rng = np.random.default_rng([seed, 0])
    planter = Planter(rng, loader.faults, guaranteed=_always)

    user_count = round(USERS * scale)
    created = creation_times(rng, user_count, start, end)
    users = make_users(rng, planter, make_ids(seed, "users", user_count), created, (start, end))
    tiers, tier = make_tiers(rng, planter, users, end)
    loader.load("users", users_table(rng, planter, pools, users, 1, tier))
    loader.load("categories", categories_table(start - 800 * DAY))
    product_ids = make_ids(seed, "products", round(PRODUCTS * scale))
    products, rows = make_products(rng, planter, pools, users, product_ids, (start - 760 * DAY, end))
    loader.load("products", rows)
    loader.load("seller_tier_history", tiers)

    market = Market(users.buyers(), products.listings(users))
    times = order_times(rng, round(ORDERS * scale), start, end)
    log = EventLog()
    for table in _account_events(rng, planter, seed, users, start, end):
        log.add(table)
    numbers = OrderNumbers()
    chunks = np.array_split(times, -(-len(times) // _CHUNK))
    for number, arrived in enumerate(chunks):
        span = Span(seed, f"seed/{number}", start - 10 * DAY, end)
        # The first chunk holds every fault: it is all of a small seed and has the time for any story in a large one.
        planter = Planter(
            np.random.default_rng([seed, 1, number]), loader.faults, guaranteed=_never if number else _always
        )
        _generate_orders(loader, planter, pools, market, numbers, arrived, span, log)
        next_arrival = int(chunks[number + 1][0]) if number + 1 < len(chunks) else end
        loader.load("event_log", log.drain(next_arrival))


def _generate_orders(
    loader: _Loader,
    planter: Planter,
    pools: Pools,
    market: Market,
    numbers: OrderNumbers,
    arrived: Ints,
    span: Span,
    log: EventLog,
) -> None:
    rng = planter.rng
    orders, items, order_rows, item_rows = make_orders(rng, planter, pools, market, numbers, arrived, span)
    loader.load("orders", order_rows)
    loader.load("order_items", item_rows)
    payments = make_payments(rng, planter, orders, span)
    payment_ids = span.ids("payments", len(payments))
    event_ids = span.ids("payment_events", len(payments))
    loader.load("payments", payments_table(payments, payment_ids, event_ids, orders.ids))
    loader.load("reviews", make_reviews(rng, planter, pools, market, orders, items, span))
    for table in order_events(rng, planter, orders, span):
        log.add(table)
    log.add(payment_events(payments, payment_ids))


def order_times(rng: np.random.Generator, count: int, start: int, end: int) -> Ints:
    """Ascending instants in [start, end): growing over time, more before Christmas and at weekends, few at night."""
    days = np.arange(start // DAY, end // DAY)
    dates = days.astype("datetime64[D]")
    day_of_year = (dates - dates.astype("datetime64[Y]")).astype(int)
    weight = 1 + 0.6 * (days - days[0]) / len(days)
    weight *= np.where(day_of_year >= 320, 1.8, np.where(day_of_year >= 305, 1.3, 1.0))
    weight *= np.where((days + 3) % 7 >= 5, 1.25, 1.0)  # day 0 of 1970 was a Thursday
    hours = 0.25 + np.clip(np.sin((np.arange(24) - 7) / 24 * 2 * np.pi), -0.15, None)
    day = rng.choice(days, count, p=weight / weight.sum())
    hour = rng.choice(24, count, p=hours / hours.sum())
    return np.sort(day * DAY + hour * HOUR + rng.integers(0, HOUR, count))


def _account_events(
    rng: np.random.Generator, planter: Planter, seed: int, users: Users, start: int, end: int
) -> list[pa.Table]:
    """Users who left, and what was deleted outright: the log alone still knows of it."""
    left = users.deleted != NEVER
    tables = [events("user.deleted", "user", users.ids[left], "{}", users.deleted[left], users.deleted[left] + SECOND)]
    for kind, share in (("review", 100), ("product", 200)):
        count = max(1, len(users.ids) // share)
        planter.counts[f"{kind}s_hard_deleted"] += count
        at = rng.integers(start, end - MINUTE, count)
        ids = make_ids(seed, f"deleted/{kind}s", count)
        tables.append(events(f"{kind}.deleted", kind, ids, '{"reason": "removed by author"}', at, at + SECOND))
    return tables
