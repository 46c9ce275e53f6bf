"""How orders that are there already go on for a day: stages, payments, replays, reviews."""

from __future__ import annotations

import uuid

import numpy as np

from source_db.catalog import CURRENCIES
from source_db.columns import DAY, HOUR, MINUTE, SECOND, Ints, ids_from, make_ids
from source_db.database import copy
from source_db.day import Day, as_uuids, micros, times
from source_db.events import events, payment_events
from source_db.payments import COMPLETED, REFUNDED, Payments, payments_table
from source_db.stages import near_midnight

# From a status to those that may follow within a day, with the chance of each.
_NEXT: dict[str, tuple[tuple[str, float], ...]] = {
    "pending": (("confirmed", 0.45), ("cancelled", 0.08)),
    "confirmed": (("processing", 0.70), ("cancelled", 0.03)),
    "processing": (("shipped", 0.65),),
    "shipped": (("delivered", 0.30),),
    "delivered": (("refunded", 0.004),),
}
# Who has not paid by then never will.
_ABANDONED_AFTER = 3 * DAY
# The share of orders whose payment is not heard of when they are confirmed.
_PAYS_LATE = 0.1
_LOGGED = ("shipped", "delivered", "cancelled", "refunded")


def advance_orders(day: Day) -> None:
    """Move open orders on by one stage, pay what is confirmed, pay back what is cancelled or refunded."""
    rows = day.connection.execute(
        """
        SELECT id, status, currency, total_amount * 100,
            EXISTS (SELECT FROM payments WHERE order_id = orders.id AND status = 'completed')
        FROM orders
        WHERE updated_at < %s AND currency = ANY(%s)
            AND (status IN ('confirmed', 'processing', 'shipped') OR status = 'pending' AND updated_at > %s
                OR status = 'delivered' AND delivered_at > %s)
        ORDER BY id
        """,
        [
            *times([day.span.start]),
            list(CURRENCIES),
            *times([day.span.start - _ABANDONED_AFTER, day.span.start - 14 * DAY]),
        ],
    ).fetchall()
    moved: list[tuple[tuple, str]] = []
    for row, luck in zip(rows, day.rng.random(len(rows)), strict=True):
        for status, chance in _NEXT[row[1]]:
            if luck < chance:
                moved.append((row, status))
                break
            luck -= chance
    at = day.instants(len(moved))
    day.connection.execute(
        """
        UPDATE orders SET status = step.status, updated_at = step.at,
            confirmed_at = CASE WHEN step.status = 'confirmed' THEN step.at AT TIME ZONE 'UTC' ELSE confirmed_at END,
            shipped_at = CASE WHEN step.status = 'shipped' THEN step.at ELSE shipped_at END,
            delivered_at = CASE WHEN step.status = 'delivered' THEN step.at ELSE delivered_at END
        FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[]) AS step (id, status, at) WHERE orders.id = step.id
        """,
        [[row[0] for row, _ in moved], [status for _, status in moved], times(at)],
    )
    for status in _LOGGED:
        chosen = [index for index, (_, reached) in enumerate(moved) if reached == status]
        day.record(f"order.{status}", ids_from(moved[index][0][0] for index in chosen), at[chosen])
        if status == "delivered":
            _late_tracking(day, [moved[index][0][0] for index in chosen], at[chosen])
    confirmed = np.array([reached == "confirmed" for _, reached in moved], dtype=bool)
    day.faults["orders_confirmed_near_midnight"] += int(near_midnight(at[confirmed]).sum())
    day.changes["orders advanced"] += len(moved)

    pay, statuses = [], []
    for index, ((_, _, _, _, is_paid), status) in enumerate(moved):
        if status == "confirmed" and not is_paid and day.rng.random() > _PAYS_LATE:
            pay.append(index)
            statuses.append(COMPLETED)
        elif status in ("cancelled", "refunded") and is_paid:
            pay.append(index)
            statuses.append(REFUNDED)
    paying = at[pay]
    _insert_payments(day, "payments/progress", [moved[index][0] for index in pay], statuses, paying, paying)


def _late_tracking(day: Day, orders: list[uuid.UUID], delivered: Ints) -> None:
    """For some deliveries, a notice of the day before is received after that of the delivery."""
    if not orders:
        return
    chosen = day.rng.choice(len(orders), day.some(0.05, len(orders)), replace=False)
    at = delivered[chosen] - day.rng.integers(HOUR, 20 * HOUR, len(chosen))
    received = delivered[chosen] + day.rng.integers(MINUTE, HOUR, len(chosen))
    ids = ids_from(orders[index] for index in chosen)
    day.log.add(events("order.in_transit", "order", ids, '{"hub": [["DEPOT", 3]]}', at, received))
    day.faults["events_out_of_order"] += len(chosen)


def pay_late(day: Day) -> None:
    """Payments of orders confirmed days ago arrive only now, dated as they were made."""
    rows = day.connection.execute(
        """
        SELECT id, status, currency, total_amount * 100, confirmed_at FROM orders
        WHERE confirmed_at BETWEEN %s AND %s AND status IN ('confirmed', 'processing', 'shipped', 'delivered')
            AND currency = ANY(%s) AND NOT EXISTS (SELECT FROM payments WHERE order_id = orders.id)
        ORDER BY id
        """,
        [
            *(value.replace(tzinfo=None) for value in times([day.span.start - 9 * DAY, day.span.start - DAY])),
            list(CURRENCIES),
        ],
    ).fetchall()
    chosen = day.sample(rows, 0.2)
    made = np.array([micros(row[4]) for row in chosen], dtype=np.int64)
    _insert_payments(day, "payments/late", chosen, [COMPLETED] * len(chosen), made, day.instants(len(chosen)))
    day.faults["late_payments"] += len(chosen)


def _insert_payments(
    day: Day, scope: str, orders: list[tuple], statuses: list[int], created: Ints, arrived: Ints
) -> None:
    """Insert a payment of its total for each row (order id, _, currency, total in hundredths, …)."""
    count = len(orders)
    codes = list(CURRENCIES)
    payments = Payments(
        order=np.arange(count),
        event=np.arange(count),
        provider=day.rng.integers(0, 3, count),
        amount=np.array([int(row[3]) for row in orders], dtype=np.int64),
        currency=np.array([codes.index(row[2]) for row in orders], dtype=np.int64),
        status=np.array(statuses, dtype=np.int64),
        created=created,
        processed=arrived + SECOND,
        event_at=created + 2 * SECOND,
        arrived=arrived,
    )
    ids = day.span.ids(scope, count)
    order_ids = ids_from(row[0] for row in orders)
    copy(day.connection, "payments", payments_table(payments, ids, day.span.ids(f"{scope}/events", count), order_ids))
    day.log.add(payment_events(payments, ids))
    day.changes["payments"] += count


def replay_payments(day: Day) -> None:
    """Providers tell events of the last month again; some of the replays disagree with what they told before."""
    rows = day.connection.execute(
        """
        SELECT min(id::text)::uuid, min(status) FROM payments
        WHERE event_id IS NOT NULL AND event_id IN (
            SELECT event_id FROM payments WHERE created_at >= %s AND created_at < %s AND event_timestamp < %s
        )
        GROUP BY event_id HAVING count(*) = 1 ORDER BY 1
        """,
        times([day.span.start - 30 * DAY, day.span.start, day.span.start]),
    ).fetchall()
    chosen = day.sample(rows, 0.004)
    count = len(chosen)
    at = day.instants(count)
    kind = day.rng.choice(3, count, p=[0.7, 0.15, 0.15])
    extra = np.where(kind == 1, day.rng.integers(1, 20, count), 0)
    statuses = [
        status if disagrees != 2 else "processing" if status == "completed" else "completed"
        for (_, status), disagrees in zip(chosen, kind, strict=True)
    ]
    day.connection.execute(
        """
        INSERT INTO payments
        SELECT
            replay.id, order_id, payment_provider, payment_provider_id, amount + replay.extra, currency, platform_fee,
            seller_payout, replay.status, replay.at + interval '3 s', replay.at + interval '4 s', event_id, replay.at
        FROM payments
        JOIN unnest(%s::uuid[], %s::uuid[], %s::int[], %s::text[], %s::timestamptz[])
            AS replay (id, original, extra, status, at) ON payments.id = replay.original
        """,
        [
            as_uuids(make_ids(day.span.seed, f"{day.span.scope}/replays", count)),
            [row[0] for row in chosen],
            extra.tolist(),
            statuses,
            times(at),
        ],
    )
    day.changes["payment replays"] += count
    day.faults["payment_replays"] += count
    day.faults["payment_events_with_conflicting_amount"] += int((kind == 1).sum())
    day.faults["payment_events_with_conflicting_status"] += int((kind == 2).sum())
    before = np.array([status for _, status in chosen])
    day.faults["payment_events_completed_after_refund"] += int(((kind == 2) & (before == "refunded")).sum())
    for status in ("pending", "failed"):
        day.faults[f"payments_{status}"] += int(((kind != 2) & (before == status)).sum())


def review_deliveries(day: Day) -> None:
    """Buyers review items that were delivered during the last three weeks."""
    rows = day.connection.execute(
        """
        SELECT order_items.id, product_id, buyer_id FROM order_items JOIN orders ON orders.id = order_id
        WHERE delivered_at BETWEEN %s AND %s
            AND NOT EXISTS (
                SELECT FROM reviews WHERE reviews.product_id = order_items.product_id AND reviewer_id = buyer_id
            )
        ORDER BY order_items.id
        """,
        times([day.span.start - 20 * DAY, day.span.start]),
    ).fetchall()
    chosen = day.sample(rows, 0.012)
    count = len(chosen)
    at = times(day.instants(count))
    with day.connection.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO reviews (id, product_id, order_item_id, reviewer_id, rating, title, body, is_verified_purchase,
                helpful_votes, status, created_at, updated_at)
            VALUES (%s, %s, %s, %s, %s, %s, %s, true, 0, 'pending', %s, %s)
            """,
            [
                (review_id, product, item, buyer, int(rating), None, "Arrived as described.", written, written)
                for review_id, (item, product, buyer), rating, written in zip(
                    as_uuids(make_ids(day.span.seed, f"{day.span.scope}/progress/reviews", count)),
                    chosen,
                    day.rng.choice([1, 2, 3, 4, 5], count, p=[0.06, 0.06, 0.13, 0.30, 0.45]),
                    at,
                    strict=True,
                )
            ],
        )
    day.changes["reviews"] += count
