"""What the marts must hold, computed from the source database by Postgres alone.

Written to be read against the rules, not to be fast, and on purpose by other means than the models: a rate is looked up
row by row, a seller's tier is the last one recorded before the instant, an event's telling is found by DISTINCT ON.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from google.cloud import bigquery

SEEDS = Path(__file__).resolve().parents[2] / "dbt" / "seeds"

_SETUP: LiteralString = """
SET TIME ZONE 'UTC';
CREATE TEMP TABLE rates (currency text, valid_from date, usd_rate numeric);
CREATE TEMP TABLE regions (country_code text, country_name text, region text);

CREATE FUNCTION pg_temp.usd(amount numeric, code text, day date) RETURNS numeric LANGUAGE sql AS $$
    SELECT round(amount * usd_rate, 2) FROM rates WHERE currency = code AND valid_from <= day
    ORDER BY valid_from DESC LIMIT 1
$$;
CREATE FUNCTION pg_temp.region(country text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN country IS NULL THEN 'Unknown'
        ELSE coalesce((SELECT region FROM regions WHERE country_code = country), 'Other') END
$$;
-- The last tier recorded to begin by then, unless it is the seller's last and ended with its own end or the account's.
CREATE FUNCTION pg_temp.tier(seller uuid, at timestamptz) RETURNS text LANGUAGE sql AS $$
    SELECT tier FROM (
        SELECT h.tier, coalesce(h.effective_to, u.deleted_at) AS ended,
            EXISTS (SELECT FROM seller_tier_history WHERE user_id = seller AND effective_from > at) AS is_followed
        FROM seller_tier_history AS h JOIN users AS u ON u.id = h.user_id
        WHERE user_id = seller AND effective_from <= at ORDER BY effective_from DESC, h.id DESC LIMIT 1
    ) AS latest
    WHERE is_followed OR ended IS NULL OR ended > at
$$;
"""

_RULES: LiteralString = """
CREATE TEMP VIEW c AS
    WITH RECURSIVE tree AS (
        SELECT id, parent_id, level, name, name AS root, name::text AS path FROM categories WHERE parent_id IS NULL
        UNION ALL
        SELECT k.id, k.parent_id, k.level, k.name, tree.root, tree.path || ' > ' || k.name
        FROM categories AS k JOIN tree ON tree.id = k.parent_id
    ) SELECT * FROM tree;
CREATE TEMP TABLE o AS
    SELECT o.*, o.created_at::date AS day, pg_temp.usd(total_amount, currency, o.created_at::date) AS total_usd,
        o.status IN ('confirmed', 'processing', 'shipped', 'delivered', 'refunded') AS is_gmv,
        pg_temp.region(coalesce(nullif(trim(shipping_country), ''), b.country_code)) AS region,
        row_number() OVER (PARTITION BY buyer_id ORDER BY o.created_at, o.id::text) AS nth
    FROM orders AS o JOIN users AS b ON b.id = buyer_id;
CREATE TEMP TABLE i AS
    SELECT i.*, o.created_at AS ordered_at, o.day, o.region, o.is_gmv, o.buyer_id, o.status,
        coalesce(c.root, 'Uncategorized') AS category, coalesce(c.name, 'Uncategorized') AS subcategory,
        pg_temp.tier(i.seller_id, o.created_at) AS tier, pg_temp.usd(total_price, i.currency, o.day) AS usd,
        CASE WHEN is_gmv THEN pg_temp.usd(total_price, i.currency, o.day) ELSE 0 END AS gmv,
        CASE WHEN is_gmv AND o.status <> 'refunded' THEN pg_temp.usd(total_price, i.currency, o.day) ELSE 0 END AS net
    FROM order_items AS i JOIN o ON o.id = i.order_id JOIN products AS p ON p.id = product_id
    LEFT JOIN c ON c.id = p.category_id;
CREATE TEMP TABLE p AS
    SELECT DISTINCT ON (coalesce(event_id, p.id::text)) p.*, o.currency AS order_currency, day,
        pg_temp.usd(amount, p.currency, day) AS usd, pg_temp.usd(platform_fee, p.currency, day) AS fee,
        pg_temp.usd(seller_payout, p.currency, day) AS payout,
        (SELECT count(*) - 1 FROM payments AS q WHERE q.event_id = p.event_id) AS dropped,
        (SELECT count(DISTINCT (amount, q.currency, order_id)) > 1 FROM payments AS q WHERE q.event_id = p.event_id)
            AS is_conflicting
    FROM payments AS p JOIN o ON o.id = order_id
    ORDER BY coalesce(event_id, p.id::text), event_timestamp DESC, processed_at DESC NULLS LAST, p.id::text DESC;
"""

#: mart → the columns compared, and the rows they must be, by Postgres.
FIGURES: dict[str, tuple[str, LiteralString]] = {
    "fct_orders": (
        "order_id, order_date, is_gmv, region, total_usd, gmv_usd, net_gmv_usd, item_count, units, seller_count,"
        " payment_status, paid_usd, buyer_order_number, ordered_at, confirmed_at, shipped_at, delivered_at,"
        " order_number, buyer_id, status, shipping_country, currency, subtotal_amount, shipping_amount, tax_amount,"
        " discount_amount, total_amount, is_quarantined",
        """
        SELECT id::text, day, is_gmv, region, total_usd, coalesce(gmv, 0), coalesce(net, 0), coalesce(items, 0),
            coalesce(units, 0), coalesce(sellers, 0), coalesce(latest, 'none'), coalesce(paid, 0), nth, created_at,
            confirmed_at AT TIME ZONE 'UTC', shipped_at, delivered_at, order_number, buyer_id::text, status,
            nullif(trim(shipping_country), ''), currency, subtotal_amount, shipping_amount, tax_amount, discount_amount,
            total_amount, total_amount <> subtotal_amount + shipping_amount + tax_amount - discount_amount
        FROM o
        LEFT JOIN (
            SELECT order_id, sum(gmv) AS gmv, sum(net) AS net, count(*) AS items, sum(quantity)::int AS units,
                count(DISTINCT seller_id) AS sellers FROM i GROUP BY 1
        ) AS i ON i.order_id = o.id
        LEFT JOIN (
            SELECT order_id, sum(usd) FILTER (WHERE status = 'completed') AS paid,
                (array_agg(status ORDER BY event_timestamp DESC, processed_at DESC NULLS LAST, id::text DESC))[1]
                AS latest FROM p GROUP BY 1
        ) AS p ON p.order_id = o.id
        """,
    ),
    "fct_order_items": (
        "order_item_id, order_date, category, subcategory, region, total_usd, gmv_usd, net_gmv_usd, is_gmv,"
        " seller_tier_at_order, order_id, product_id, seller_id, buyer_id, ordered_at, order_status, product_title,"
        " quantity, unit_price, total_price, currency",
        "SELECT id::text, day, category, subcategory, region, usd, gmv, net, is_gmv, tier, order_id::text,"
        " product_id::text, seller_id::text, buyer_id::text, ordered_at, status, nullif(trim(product_title), ''),"
        " quantity, unit_price, total_price, currency FROM i",
    ),
    "fct_daily_sales": (
        "order_date, region, category, orders, units, buyers, gmv_usd, net_gmv_usd, round(aov_usd, 6)",
        """
        SELECT day, region, category, count(DISTINCT order_id), sum(quantity)::int, count(DISTINCT buyer_id), sum(gmv),
            sum(net), round(sum(gmv) / count(DISTINCT order_id), 6)
        FROM i WHERE is_gmv GROUP BY 1, 2, 3
        """,
    ),
    "fct_order_lifecycle": (
        "order_id, hours_to_confirmed, hours_to_shipped, hours_to_delivered, late_event_count, event_count, order_date,"
        " status",
        """
        WITH late AS (
            SELECT entity_id FROM event_log AS e WHERE EXISTS (
                SELECT FROM event_log AS before WHERE before.entity_id = e.entity_id
                    AND (before.received_at, before.id) < (e.received_at, e.id)
                    AND before.event_timestamp > e.event_timestamp)
        )
        SELECT id::text,
            round(trunc(extract(epoch FROM (confirmed_at AT TIME ZONE 'UTC') - created_at)) / 3600, 2),
            round(trunc(extract(epoch FROM shipped_at - created_at)) / 3600, 2),
            round(trunc(extract(epoch FROM delivered_at - created_at)) / 3600, 2),
            (SELECT count(*) FROM late WHERE entity_id = id), (SELECT count(*) FROM event_log WHERE entity_id = o.id),
            day, status
        FROM o
        """,
    ),
    "fct_payments": (
        "payment_id, event_id, order_id, status, amount_usd, platform_fee_usd, seller_payout_usd, event_at,"
        " duplicate_count, has_conflicting_duplicates, order_date, provider, amount, platform_fee, seller_payout,"
        " currency, first_event_at, processed_at",
        "SELECT id::text, event_id, order_id::text, status, usd, fee, payout, event_timestamp, greatest(dropped, 0),"
        " is_conflicting, day, payment_provider, amount, platform_fee, seller_payout, currency,"
        " (SELECT coalesce(min(q.event_timestamp), p.event_timestamp) FROM payments AS q"
        " WHERE q.event_id = p.event_id), processed_at FROM p",
    ),
    "fct_payment_reconciliation": (
        "order_id, order_total_usd, paid_usd, refunded_usd, platform_fee_usd, seller_payout_usd, difference_usd,"
        " duplicate_events_removed, reconciliation_status, order_date, order_status",
        """
        WITH money AS (
            SELECT o.id, o.day, o.status, total_amount, total_usd,
                coalesce(sum(amount) FILTER (WHERE p.status = 'completed'), 0) AS paid_amount,
                coalesce(sum(usd) FILTER (WHERE p.status = 'completed'), 0) AS paid,
                coalesce(sum(usd) FILTER (WHERE p.status = 'refunded'), 0) AS refunded,
                coalesce(sum(fee) FILTER (WHERE p.status = 'completed'), 0) AS fee,
                coalesce(sum(payout) FILTER (WHERE p.status = 'completed'), 0) AS payout,
                coalesce(sum(greatest(dropped, 0)), 0)::int AS dropped,
                coalesce(bool_or(p.currency <> order_currency) FILTER (WHERE p.status IN ('completed', 'refunded')),
                    false) AS is_foreign,
                count(*) FILTER (WHERE p.status = 'refunded') AS refunds
            FROM o LEFT JOIN p ON p.order_id = o.id GROUP BY o.id, o.day, o.status, total_amount, total_usd
        )
        SELECT id::text, total_usd, paid, refunded, fee, payout, paid - total_usd, dropped,
            CASE
                WHEN is_foreign THEN 'currency_mismatch'
                WHEN refunds > 0 OR status = 'refunded' THEN 'refunded'
                WHEN paid_amount = 0 AND status IN ('pending', 'cancelled') THEN 'not_due'
                WHEN paid_amount = 0 AND total_amount > 0 THEN 'unpaid'
                ELSE (ARRAY['underpaid', 'matched', 'overpaid'])[2 + sign(paid_amount - total_amount)::int]
            END, day, status
        FROM money
        """,
    ),
    "fct_seller_performance": (
        "seller_id, month, gmv_usd, net_gmv_usd, orders, units, review_count, round(average_rating, 6),"
        " tier_at_month_end, tier_changed_in_month, lifetime_gmv_usd",
        """
        WITH facts AS (
            SELECT seller_id, date_trunc('month', day)::date AS month, gmv, net, order_id, quantity,
                NULL::int AS rating, false AS is_change FROM i WHERE is_gmv
            UNION ALL
            SELECT seller_id, date_trunc('month', r.created_at)::date, 0, 0, NULL, 0, rating, false
            FROM reviews AS r JOIN products ON products.id = product_id WHERE r.status = 'approved'
            UNION ALL
            SELECT user_id, date_trunc('month', effective_from)::date, 0, 0, NULL, 0, NULL, true
            FROM seller_tier_history AS h
            WHERE tier = pg_temp.tier(user_id, effective_from)
                AND id = (SELECT max(id) FROM seller_tier_history
                    WHERE user_id = h.user_id AND effective_from = h.effective_from)
                AND tier <> (SELECT tier FROM seller_tier_history
                    WHERE user_id = h.user_id AND effective_from < h.effective_from
                    ORDER BY effective_from DESC, id DESC LIMIT 1)
        )
        SELECT seller_id::text, month, sum(gmv), sum(net), count(DISTINCT order_id), sum(quantity)::int, count(rating),
            round(avg(rating), 6), pg_temp.tier(seller_id, month + interval '1 month' - interval '1 us'),
            bool_or(is_change), sum(sum(gmv)) OVER (PARTITION BY seller_id ORDER BY month)
        FROM facts GROUP BY seller_id, month
        """,
    ),
    "fct_customer_cohorts": (
        "cohort_month, months_since_first_order, cohort_size, active_buyers, orders, gmv_usd, round(retention_rate, 6)",
        """
        WITH sold AS (
            SELECT o.buyer_id, date_trunc('month', day)::date AS month, coalesce(sum(gmv), 0) AS gmv
            FROM o LEFT JOIN (SELECT order_id, gmv FROM i) AS i ON i.order_id = o.id
            WHERE o.is_gmv GROUP BY o.id, o.buyer_id, day
        ), cohort AS (SELECT buyer_id, min(month) AS cohort FROM sold GROUP BY 1),
        size AS (SELECT cohort, count(*) AS buyers FROM cohort GROUP BY 1)
        SELECT cohort, (extract(year FROM age(month, cohort)) * 12 + extract(month FROM age(month, cohort)))::int,
            buyers, count(DISTINCT buyer_id), count(*), sum(gmv), round(count(DISTINCT buyer_id)::numeric / buyers, 6)
        FROM sold JOIN cohort USING (buyer_id) JOIN size USING (cohort) GROUP BY cohort, month, buyers
        """,
    ),
    "dim_users": (
        "user_id, is_seller, is_buyer, region, seller_tier, is_deleted, first_order_at, first_name is null, user_type,"
        " country_code, seller_rating, is_active, created_at, updated_at, deleted_at",
        """
        SELECT id::text, user_type <> 'buyer', user_type <> 'seller', pg_temp.region(country_code),
            coalesce(pg_temp.tier(id, 'infinity'), seller_tier), deleted_at IS NOT NULL,
            (SELECT min(created_at) FROM orders WHERE buyer_id = users.id), coalesce(trim(first_name), '') = '',
            user_type, country_code, seller_rating, is_active, created_at, updated_at, deleted_at
        FROM users
        """,
    ),
    "dim_products": (
        "product_id, category, subcategory, category_path, is_sellable, price_usd, is_updated_at_in_future,"
        " to_json_string(tags), seller_id, category_id, title, status, quantity_available, price_amount,"
        " price_currency, created_at, source_updated_at, published_at, if(is_updated_at_in_future, null, updated_at)",
        """
        SELECT p.id::text, coalesce(root, 'Uncategorized'), coalesce(name, 'Uncategorized'),
            coalesce(path, 'Uncategorized'),
            status = 'active' AND quantity_available > 0 AND deleted_at IS NULL,
            pg_temp.usd(price_amount, price_currency, current_date), p.updated_at > now(),
            coalesce(array_to_json(tags)::text, 'null'), seller_id::text, category_id, trim(title), status,
            quantity_available, price_amount, price_currency, p.created_at, p.updated_at, published_at,
            CASE WHEN p.updated_at <= now() THEN p.updated_at END
        FROM products AS p JOIN users ON users.id = seller_id LEFT JOIN c ON c.id = category_id
        """,
    ),
    "dim_categories": (
        "category_id, parent_category_id, name, level, root, path, is_in_cycle",
        "SELECT id, parent_id, name, level, root, path, false FROM c",
    ),
    "dim_seller_tiers": (
        "seller_id, valid_from, tier, valid_to, is_current, previous_tier, tier_change, change_reason, is_gap_filled,"
        " is_overlap_trimmed",
        """
        WITH h AS (
            SELECT DISTINCT ON (user_id, effective_from) *,
                (SELECT min(effective_from) FROM seller_tier_history
                    WHERE user_id = this.user_id AND effective_from > this.effective_from) AS next_from,
                (SELECT tier FROM seller_tier_history
                    WHERE user_id = this.user_id AND effective_from < this.effective_from
                    ORDER BY effective_from DESC, id DESC LIMIT 1) AS previous
            FROM seller_tier_history AS this ORDER BY user_id, effective_from, id DESC
        ), ranked AS (
            SELECT *, array_position(ARRAY['bronze', 'silver', 'gold', 'platinum'], tier::text)
                - array_position(ARRAY['bronze', 'silver', 'gold', 'platinum'], previous::text) AS steps
            FROM h
        )
        SELECT user_id::text, effective_from, tier, coalesce(next_from, effective_to, deleted_at),
            coalesce(next_from, effective_to, deleted_at) IS NULL, previous,
            CASE WHEN previous IS NULL THEN 'initial'
                ELSE (ARRAY['demotion', 'same', 'promotion'])[2 + sign(steps)::int] END,
            change_reason, coalesce(effective_to < next_from, false),
            next_from IS NOT NULL AND coalesce(effective_to > next_from, true)
        FROM ranked JOIN users ON users.id = user_id WHERE pg_temp.tier(user_id, effective_from) IS NOT NULL
        """,
    ),
}


def figures(conninfo: str, seeds: Path = SEEDS) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of each mart in :data:`FIGURES`, from the database and the files of ``seeds`` as they are now."""
    with psycopg.connect(conninfo) as connection:
        connection.execute(_SETUP)
        for table, file in {"rates": "exchange_rates", "regions": "country_regions"}.items():
            with (seeds / f"{file}.csv").open(encoding="utf-8", newline="") as lines:
                rows = [tuple(row.values()) for row in csv.DictReader(lines)]
            connection.cursor().executemany(f"INSERT INTO {table} VALUES (%s, %s, %s)".encode(), rows)
        connection.execute(_RULES)
        found = {mart: connection.execute(query).fetchall() for mart, (_, query) in FIGURES.items()}
        connection.rollback()
    return found


def differences(
    conninfo: str, client: bigquery.Client, seeds: Path = SEEDS, prefix: str = "", marts: Iterable[str] = FIGURES
) -> dict[str, Any]:
    """mart → rows that only one side has (the first three of each); ``prefix`` is that of the datasets' names."""
    expected = figures(conninfo, seeds)
    found = {}
    for mart in marts:
        rows = client.query_and_wait(f"select {FIGURES[mart][0]} from `{prefix}marts`.{mart}")
        built = Counter(tuple(row.values()) for row in rows)
        assert built, mart
        wanted = Counter(expected[mart])
        if built != wanted:
            found[mart] = {"only built": list(built - wanted)[:3], "only expected": list(wanted - built)[:3]}
    return found
