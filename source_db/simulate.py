"""Let the marketplace live on, a day at a time, from the latest day in its database."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import LiteralString

import numpy as np
import pyarrow as pa

from source_db.catalog import COUNTRIES, CURRENCIES
from source_db.changes import change_accounts, change_catalogue
from source_db.columns import DAY, NEVER, day_start, ids_from
from source_db.database import Connection, SourceDatabaseError, copy, lock
from source_db.day import Day, micros, times
from source_db.events import order_events, payment_events
from source_db.market import Listings, Market, OrderNumbers, Roster
from source_db.orders import make_orders
from source_db.payments import make_payments, payments_table
from source_db.pools import Pools, make_pools
from source_db.products import make_products
from source_db.progress import advance_orders, pay_late, replay_payments, review_deliveries
from source_db.span import Span
from source_db.users import Users, make_users, users_table

_KINDS = ("buyer", "seller", "both")


def simulate_day(connection: Connection, *, seed: int) -> Day:
    """Live the day after the latest one in the database, in one transaction. Every row that comes or changes gets an
    ``updated_at`` of that day (but for products stamped in the future). The database's rows and ``seed`` decide all.

    Raises:
        SourceDatabaseError: if the database has no history to go on from.
    """
    with connection.transaction():
        lock(connection)
        today = _latest_day(connection) + timedelta(days=1)
        start = day_start(today)
        day = Day(
            today,
            connection,
            np.random.default_rng([seed, 2, today.toordinal()]),
            Span(seed, f"day/{today}", start, start + DAY),
        )
        pools = make_pools(seed)
        change_accounts(day)
        change_catalogue(day)
        advance_orders(day)
        pay_late(day)
        replay_payments(day)
        review_deliveries(day)
        users = _load_users(connection)
        market = Market(users.buyers(), _load_listings(connection))
        _new_orders(day, pools, market)
        _new_users(day, pools, len(users.ids))
        _new_products(day, pools, users)
        # The sequence numbers the rows in the order in which they are copied, which is that of their arrival.
        arrived = day.log.drain(day.span.end).drop_columns(["id"])
        copy(connection, "event_log", arrived)
        day.changes["events"] += arrived.num_rows
    return day


def _latest_day(connection: Connection) -> date:
    """The UTC date of the latest change; products do not count, for some are stamped in the future."""
    row = connection.execute(
        """
        SELECT greatest(
            (SELECT max(updated_at) FROM users), (SELECT max(updated_at) FROM orders),
            (SELECT max(updated_at) FROM reviews), (SELECT max(created_at) FROM payments),
            (SELECT max(received_at) FROM event_log))
        """
    ).fetchone()
    latest: datetime | None = row[0] if row else None
    if latest is None:
        raise SourceDatabaseError("The database holds no history to go on from. Run 'source-db seed' first.")
    return latest.astimezone(UTC).date()


def _load_users(connection: Connection) -> Users:
    rows = connection.execute(
        "SELECT id, user_type, country_code, created_at, deleted_at FROM users ORDER BY created_at, id"
    ).fetchall()
    return Users(
        ids=ids_from(row[0] for row in rows),
        kind=np.array([_KINDS.index(row[1]) for row in rows]),
        # What the catalog does not know counts as its first country.
        country=np.array(
            [-1 if row[2] is None else COUNTRIES.index(row[2]) if row[2] in COUNTRIES else 0 for row in rows]
        ),
        created=np.array([micros(row[3]) for row in rows]),
        deleted=np.array([NEVER if row[4] is None else micros(row[4]) for row in rows]),
    )


def _load_listings(connection: Connection) -> Listings:
    rows = connection.execute(
        """
        SELECT products.id, seller_id, deleted_at, price_amount * 100, price_currency, title, published_at
        FROM products JOIN users ON users.id = seller_id
        WHERE status = 'active' AND published_at IS NOT NULL AND price_amount < 10000000 AND price_currency = ANY(%s)
        ORDER BY published_at, products.id
        """,
        [list(CURRENCIES)],
    ).fetchall()
    if not any(row[2] is None for row in rows):
        raise SourceDatabaseError("No active product of a present seller is left to be sold. Seed a new database.")
    gone = np.array([NEVER if row[2] is None else micros(row[2]) for row in rows])
    codes = list(CURRENCIES)
    return Listings(
        ids=ids_from(row[0] for row in rows),
        seller_ids=ids_from(row[1] for row in rows),
        seller_deleted=gone != NEVER,
        price=np.array([int(row[3]) for row in rows]),
        currency=np.array([codes.index(row[4]) for row in rows]),
        titles=pa.array([row[5] for row in rows], pa.string()),
        roster=Roster(np.array([micros(row[6]) for row in rows]), gone),
    )


def _new_orders(day: Day, pools: Pools, market: Market) -> None:
    connection, span, rng = day.connection, day.span, day.rng
    recent = _count(connection, "SELECT count(*) FROM orders WHERE created_at >= %s", times([span.start - 28 * DAY]))
    arrived = np.sort(rng.integers(span.start, span.end, max(2, int(rng.poisson(recent / 28)))))
    planter = day.planter()
    orders, _, order_rows, item_rows = make_orders(rng, planter, pools, market, _order_numbers(day), arrived, span)
    copy(connection, "orders", order_rows)
    copy(connection, "order_items", item_rows)
    payments = make_payments(rng, planter, orders, span)
    ids = span.ids("payments", len(payments))
    event_ids = span.ids("payment_events", len(payments))
    copy(connection, "payments", payments_table(payments, ids, event_ids, orders.ids))
    for table in order_events(rng, planter, orders, span):
        day.log.add(table)
    day.log.add(payment_events(payments, ids))
    day.changes.update({"orders": len(arrived), "items": item_rows.num_rows, "payments": len(payments)})


def _order_numbers(day: Day) -> OrderNumbers:
    """The last numbers of the days that orders arriving today may be dated."""
    rows = day.connection.execute(
        r"""
        SELECT substr(order_number, 5, 8), max(substr(order_number, 14)::int) FROM orders
        WHERE order_number ~ '^ORD-\d{8}-\d{1,7}$' AND created_at >= %s GROUP BY 1
        """,
        times([day.span.start - 11 * DAY]),
    ).fetchall()
    return OrderNumbers({day_start(datetime.strptime(text, "%Y%m%d").date()) // DAY: last for text, last in rows})


def _new_users(day: Day, pools: Pools, existing: int) -> None:
    created = np.sort(day.instants(day.some(1 / 700, existing)))
    planter = day.planter()
    users = make_users(day.rng, planter, day.span.ids("users", len(created)), created, None)
    sellers = users.sells
    tier = np.where(sellers, 0, -1)
    copy(day.connection, "users", users_table(day.rng, planter, pools, users, existing + 1, tier))
    for user_id, at in zip(users.ids[sellers], times(created[sellers]), strict=True):
        day.connection.execute(
            """
            INSERT INTO seller_tier_history (user_id, tier, effective_from, is_current, change_reason, created_at)
            VALUES (%s, 'bronze', %s, true, 'onboarding', %s)
            """,
            [user_id.tobytes().hex(), at, at],
        )
    day.changes["users"] += len(created)


def _new_products(day: Day, pools: Pools, users: Users) -> None:
    existing = _count(day.connection, "SELECT count(*) FROM products", [])
    ids = day.span.ids("products", day.some(1 / 1500, existing))
    # Who left today lists nothing more.
    present = users.deleted == NEVER
    sellers = Users(
        users.ids[present], users.kind[present], users.country[present], users.created[present], users.deleted[present]
    )
    _, rows = make_products(day.rng, day.planter(), pools, sellers, ids, (day.span.start, day.span.end))
    copy(day.connection, "products", rows)
    day.changes["products"] += len(ids)


def _count(connection: Connection, query: LiteralString, parameters: list) -> int:
    row = connection.execute(query, parameters).fetchone()
    return int(row[0]) if row else 0
