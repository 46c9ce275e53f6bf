"""The planted faults, each with the query that finds it in the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

from source_db.database import Connection, SourceDatabaseError, missing_tables


@dataclass(frozen=True)
class Fault:
    """``query`` counts what ``description`` says, by looking at the data alone."""

    name: str
    description: str
    query: LiteralString


_EVENTS_THAT: LiteralString = "SELECT count(*) FROM (SELECT FROM payments WHERE event_id IS NOT NULL GROUP BY event_id"
# Each row of the history beside the next of its seller, in the order in which tiers took effect.
_TIER_STEPS: LiteralString = """
    WITH steps AS (
        SELECT effective_from, effective_to, lead(effective_from) OVER seller AS next_from
        FROM seller_tier_history WINDOW seller AS (PARTITION BY user_id ORDER BY effective_from, id)
    ) SELECT count(*) FROM steps WHERE """

FAULTS: tuple[Fault, ...] = (
    Fault(
        "payment_replays",
        "payment rows that repeat an event_id under another id",
        "SELECT count(event_id) - count(DISTINCT event_id) FROM payments",
    ),
    Fault(
        "payment_events_with_conflicting_amount",
        "events whose rows disagree on the amount",
        _EVENTS_THAT + " HAVING count(DISTINCT amount) > 1)",
    ),
    Fault(
        "payment_events_with_conflicting_currency",
        "events whose rows disagree on the currency",
        _EVENTS_THAT + " HAVING count(DISTINCT currency) > 1)",
    ),
    Fault(
        "payment_events_with_conflicting_order",
        "events whose rows name different orders",
        _EVENTS_THAT + " HAVING count(DISTINCT order_id) > 1)",
    ),
    Fault(
        "payment_events_with_conflicting_status",
        "events whose rows disagree on the status",
        _EVENTS_THAT + " HAVING count(DISTINCT status) > 1)",
    ),
    Fault(
        "payment_events_completed_after_refund",
        "events told as completed once more after they were told as refunded",
        _EVENTS_THAT
        + " HAVING max(event_timestamp) FILTER (WHERE status = 'completed')"
        + " > min(event_timestamp) FILTER (WHERE status = 'refunded'))",
    ),
    Fault(
        "payment_events_with_tied_timestamp",
        "events with several rows of one event_timestamp",
        _EVENTS_THAT + ", event_timestamp HAVING count(*) > 1)",
    ),
    Fault(
        "payments_without_event_id",
        "payments with a NULL event_id, which are not duplicates of each other",
        "SELECT count(*) FROM payments WHERE event_id IS NULL",
    ),
    Fault("payments_pending", "payments not decided yet", "SELECT count(*) FROM payments WHERE status = 'pending'"),
    Fault("payments_failed", "attempts to pay that failed", "SELECT count(*) FROM payments WHERE status = 'failed'"),
    Fault(
        "late_payments",
        "payments received a day or more after they were created",
        """
        SELECT count(*) FROM payments
        JOIN event_log ON entity_type = 'payment' AND entity_id = payments.id
        WHERE received_at >= created_at + interval '1 day'
        """,
    ),
    Fault(
        "late_orders",
        "orders received a day or more after they were created",
        """
        SELECT count(*) FROM orders
        JOIN event_log ON event_type = 'order.created' AND entity_id = orders.id
        WHERE received_at >= created_at + interval '1 day'
        """,
    ),
    Fault(
        "orders_confirmed_near_midnight",
        "orders whose zoneless confirmed_at would change its date in another zone (half an hour around midnight)",
        "SELECT count(*) FROM orders WHERE confirmed_at::time < '00:30' OR confirmed_at::time >= '23:30'",
    ),
    Fault(
        "orders_without_shipping_country",
        "orders with a NULL shipping_country",
        "SELECT count(*) FROM orders WHERE shipping_country IS NULL",
    ),
    Fault(
        "orders_without_any_country",
        "orders with neither a shipping_country nor a buyer's country",
        """
        SELECT count(*) FROM orders JOIN users ON users.id = buyer_id
        WHERE shipping_country IS NULL AND country_code IS NULL
        """,
    ),
    Fault(
        "orders_to_unlisted_country",
        "orders shipped to XK, which no list of countries has",
        "SELECT count(*) FROM orders WHERE shipping_country = 'XK'",
    ),
    Fault(
        "orders_with_zero_discount",
        "orders with a discount of 0.00",
        "SELECT count(*) FROM orders WHERE discount_amount = 0",
    ),
    Fault(
        "orders_total_does_not_add_up",
        "orders whose total is not subtotal + shipping + tax - discount",
        """
        SELECT count(*) FROM orders
        WHERE total_amount <> subtotal_amount + shipping_amount + tax_amount - discount_amount
        """,
    ),
    Fault(
        "orders_without_items",
        "orders without an item",
        "SELECT count(*) FROM orders WHERE NOT EXISTS (SELECT FROM order_items WHERE order_id = orders.id)",
    ),
    Fault(
        "orders_without_payments",
        "orders without a payment",
        "SELECT count(*) FROM orders WHERE NOT EXISTS (SELECT FROM payments WHERE order_id = orders.id)",
    ),
    Fault(
        "items_in_another_currency_than_their_order",
        "items in another currency than their order",
        """
        SELECT count(*) FROM order_items JOIN orders ON orders.id = order_id
        WHERE order_items.currency <> orders.currency
        """,
    ),
    Fault(
        "items_in_another_currency_than_their_product",
        "items in another currency than their product",
        "SELECT count(*) FROM order_items JOIN products ON products.id = product_id WHERE currency <> price_currency",
    ),
    Fault(
        "items_sold_by_since_deleted_sellers",
        "items whose seller is soft-deleted",
        "SELECT count(*) FROM order_items JOIN users ON users.id = seller_id WHERE deleted_at IS NOT NULL",
    ),
    Fault("users_soft_deleted", "users with a deleted_at", "SELECT count(*) FROM users WHERE deleted_at IS NOT NULL"),
    Fault(
        "users_without_country",
        "users with a NULL country_code",
        "SELECT count(*) FROM users WHERE country_code IS NULL",
    ),
    Fault(
        "users_without_first_name",
        "users with a NULL first_name",
        "SELECT count(*) FROM users WHERE first_name IS NULL",
    ),
    Fault(
        "users_without_last_name", "users with a NULL last_name", "SELECT count(*) FROM users WHERE last_name IS NULL"
    ),
    Fault(
        "users_with_empty_last_name",
        "users with an empty last_name, which is not NULL",
        "SELECT count(*) FROM users WHERE last_name = ''",
    ),
    Fault(
        "products_updated_in_future",
        "products whose updated_at lies a year or more after the last event",
        """
        SELECT count(*) FROM products
        WHERE updated_at > (SELECT max(received_at) + interval '1 year' FROM event_log)
        """,
    ),
    Fault(
        "products_at_numeric_limit",
        "products priced at the greatest numeric(12,2)",
        "SELECT count(*) FROM products WHERE price_amount = 9999999999.99",
    ),
    Fault(
        "products_without_category",
        "products with a NULL category_id",
        "SELECT count(*) FROM products WHERE category_id IS NULL",
    ),
    Fault(
        "products_with_empty_description",
        "products with an empty description, which is not NULL",
        "SELECT count(*) FROM products WHERE description = ''",
    ),
    Fault(
        "products_with_emoji_title",
        "products with an emoji in their title",
        r"SELECT count(*) FROM products WHERE title ~ '[\U0001F300-\U0001FAFF]'",
    ),
    Fault(
        "products_with_quoted_title",
        "products with quotes in their title",
        """SELECT count(*) FROM products WHERE title ~ '["'']'""",
    ),
    Fault(
        "products_with_null_in_tags",
        "products with a NULL element in tags",
        "SELECT count(*) FROM products WHERE array_position(tags, NULL) IS NOT NULL",
    ),
    Fault(
        "products_with_nested_arrays",
        "products with an array within an array in attributes",
        """
        SELECT count(*) FROM products
        WHERE attributes @? 'strict $.** ? (@.type() == "array")[*] ? (@.type() == "array")'
        """,
    ),
    Fault(
        "products_hard_deleted",
        "products of which only the event of their deletion is left",
        """
        SELECT count(*) FROM event_log
        WHERE event_type = 'product.deleted' AND NOT EXISTS (SELECT FROM products WHERE id = entity_id)
        """,
    ),
    Fault(
        "reviews_hard_deleted",
        "reviews of which only the event of their deletion is left",
        """
        SELECT count(*) FROM event_log
        WHERE event_type = 'review.deleted' AND NOT EXISTS (SELECT FROM reviews WHERE id = entity_id)
        """,
    ),
    Fault(
        "reviews_without_order_item",
        "reviews with a NULL order_item_id",
        "SELECT count(*) FROM reviews WHERE order_item_id IS NULL",
    ),
    Fault(
        "reviews_with_empty_title",
        "reviews with an empty title, which is not NULL",
        "SELECT count(*) FROM reviews WHERE title = ''",
    ),
    Fault(
        "reviews_with_awkward_body",
        "reviews with an empty body, or quotes, line breaks, separators, emoji or Arabic in it",
        r"""SELECT count(*) FROM reviews WHERE body = '' OR body ~ '["\n\\;\u2605\u0600-\u06FF]'""",
    ),
    Fault(
        "events_out_of_order",
        "events received after a later event of the same entity",
        """
        SELECT count(*) FROM (
            SELECT event_timestamp, max(event_timestamp) OVER (
                PARTITION BY entity_id ORDER BY received_at, id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS latest_before
            FROM event_log
        ) WHERE event_timestamp < latest_before
        """,
    ),
    Fault(
        "tier_overlaps",
        "tier intervals that end after the seller's next one begins",
        _TIER_STEPS + "effective_to > next_from",
    ),
    Fault(
        "tier_gaps",
        "tier intervals that end before the seller's next one begins",
        _TIER_STEPS + "effective_to < next_from",
    ),
    Fault(
        "tier_same_instant_changes",
        "tier intervals that begin when the seller's next one does",
        _TIER_STEPS + "effective_from = next_from",
    ),
    Fault(
        "tier_two_current_rows",
        "sellers with several is_current rows",
        "SELECT count(*) FROM (SELECT FROM seller_tier_history WHERE is_current GROUP BY user_id HAVING count(*) > 1)",
    ),
    Fault(
        "tier_open_for_deleted_seller",
        "deleted sellers with an open tier interval",
        """
        SELECT count(DISTINCT users.id) FROM users JOIN seller_tier_history ON user_id = users.id
        WHERE deleted_at IS NOT NULL AND effective_to IS NULL
        """,
    ),
    Fault(
        "tier_differs_from_last_row",
        "sellers whose seller_tier is not that of the last row of their history",
        """
        SELECT count(*) FROM (
            SELECT DISTINCT ON (user_id) user_id, tier FROM seller_tier_history
            ORDER BY user_id, effective_from DESC, id DESC
        ) AS latest JOIN users ON users.id = user_id WHERE seller_tier IS DISTINCT FROM tier
        """,
    ),
)


def count_faults(connection: Connection) -> dict[str, int]:
    """How often each fault is in the data now, in the order of :data:`FAULTS`.

    Raises:
        SourceDatabaseError: if a table is missing.
    """
    if missing := missing_tables(connection):
        raise SourceDatabaseError(f"Table {', '.join(missing)} is missing. Run 'source-db seed' first.")
    counts: dict[str, int] = {}
    for fault in FAULTS:
        row = connection.execute(fault.query).fetchone()
        assert row is not None, fault.name  # noqa: S101 - count(*) always gives a row
        counts[fault.name] = row[0]
    return counts
