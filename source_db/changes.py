"""What a day changes in users, tiers, products and reviews that are there already."""

from __future__ import annotations

import numpy as np

from source_db.columns import HOUR, ids_from
from source_db.day import Day, times

_LADDER = ("bronze", "silver", "gold", "platinum")


def change_accounts(day: Day) -> None:
    """Some users move, some sellers change tier, some users leave."""
    _move_users(day)
    _change_tiers(day)
    _delete_users(day)


def change_catalogue(day: Day) -> None:
    """Prices change, drafts are published or deleted outright, reviews are moderated or deleted outright."""
    _reprice(day)
    _publish_and_delete_drafts(day)
    _moderate_and_delete_reviews(day)


def _move_users(day: Day) -> None:
    rows = day.connection.execute(
        "SELECT id FROM users WHERE deleted_at IS NULL AND country_code IS NOT NULL ORDER BY id"
    ).fetchall()
    moved = [row[0] for row in day.sample(rows, 0.002)]
    countries = [str(code) for code in day.rng.choice(["US", "DE", "GB", "FR", "JP"], len(moved))]
    day.connection.execute(
        """
        UPDATE users SET country_code = move.country, updated_at = move.at
        FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[]) AS move (id, country, at) WHERE users.id = move.id
        """,
        [moved, countries, times(day.instants(len(moved)))],
    )
    day.changes["users moved"] += len(moved)


def _change_tiers(day: Day) -> None:
    """Close the open interval and begin the next, for sellers whose history is in order."""
    rows = day.connection.execute(
        """
        SELECT users.id, seller_tier FROM users JOIN seller_tier_history AS history ON history.user_id = users.id
        WHERE deleted_at IS NULL
        GROUP BY users.id
        HAVING count(*) FILTER (WHERE is_current) = 1
            AND max(effective_from) FILTER (WHERE is_current) = max(effective_from)
            AND max(tier) FILTER (WHERE is_current) = seller_tier
            AND count(*) = count(DISTINCT effective_from)
        ORDER BY users.id
        """
    ).fetchall()
    chosen = day.sample(rows, 0.004)
    at = day.instants(len(chosen))
    tiers = []
    for _, tier in chosen:
        step = 1 if day.rng.random() < 0.75 else -1
        position = _LADDER.index(tier) if tier in _LADDER else 0
        tiers.append(_LADDER[int(np.clip(position + step, 0, len(_LADDER) - 1))])
    parameters = [[row[0] for row in chosen], tiers, times(at)]
    day.connection.execute(
        """
        WITH change (user_id, tier, at) AS (SELECT * FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[])),
        closed AS (
            UPDATE seller_tier_history AS history SET effective_to = change.at, is_current = false
            FROM change WHERE history.user_id = change.user_id AND is_current
        ),
        account AS (
            UPDATE users SET seller_tier = change.tier, updated_at = greatest(updated_at, change.at)
            FROM change WHERE users.id = change.user_id
        )
        INSERT INTO seller_tier_history (user_id, tier, effective_from, is_current, change_reason, created_at)
        SELECT user_id, tier, at, true, 'sales volume', at FROM change ORDER BY at, user_id
        """,
        parameters,
    )
    day.record("user.tier_changed", ids_from(row[0] for row in chosen), at)
    day.changes["tier changes"] += len(chosen)


def _delete_users(day: Day) -> None:
    """Soft deletes; the tier interval of some deleted sellers stays open, which is a fault."""
    rows = day.connection.execute("SELECT id FROM users WHERE deleted_at IS NULL ORDER BY id").fetchall()
    # In a small market somebody leaves every third day.
    gone = day.sample(rows, 0.0003) if len(rows) > 1000 or day.date.toordinal() % 3 == 0 else []
    # Who moved or changed tier on this very day did so before.
    at = np.full(len(gone), day.span.end - 2 * HOUR)
    forgotten = day.rng.random(len(gone)) < 0.3
    day.connection.execute(
        """
        UPDATE users SET deleted_at = leaving.at, is_active = false, updated_at = leaving.at
        FROM unnest(%s::uuid[], %s::timestamptz[]) AS leaving (id, at) WHERE users.id = leaving.id
        """,
        [[row[0] for row in gone], times(at)],
    )
    day.connection.execute(
        """
        UPDATE seller_tier_history SET effective_to = leaving.at, is_current = false
        FROM unnest(%s::uuid[], %s::timestamptz[], %s::boolean[]) AS leaving (id, at, forgotten)
        WHERE user_id = leaving.id AND effective_to IS NULL AND NOT forgotten
        """,
        [[row[0] for row in gone], times(at), forgotten.tolist()],
    )
    row = day.connection.execute(
        "SELECT count(DISTINCT user_id) FROM seller_tier_history WHERE effective_to IS NULL AND user_id = ANY(%s)",
        [[row[0] for row in gone]],
    ).fetchone()
    day.faults["tier_open_for_deleted_seller"] += row[0] if row else 0
    day.record("user.deleted", ids_from(row[0] for row in gone), at)
    day.changes["users deleted"] += len(gone)
    day.faults["users_soft_deleted"] += len(gone)


def _reprice(day: Day) -> None:
    rows = day.connection.execute(
        "SELECT id FROM products WHERE status = 'active' AND created_at < %s ORDER BY id", times([day.span.start])
    ).fetchall()
    chosen = [row[0] for row in day.sample(rows, 0.004)]
    factors = [float(factor) for factor in day.rng.choice([0.8, 0.9, 0.95, 1.05, 1.1], len(chosen))]
    # A future updated_at stays: the trap is that this change lies behind it.
    day.connection.execute(
        """
        UPDATE products SET updated_at = greatest(updated_at, change.at), price_amount = CASE
            WHEN price_currency IN ('JPY', 'KRW') THEN greatest(1, round(price_amount * change.factor))
            ELSE greatest(0.01, round(price_amount * change.factor, 2)) END
        FROM unnest(%s::uuid[], %s::numeric[], %s::timestamptz[]) AS change (id, factor, at)
        WHERE products.id = change.id
        """,
        [chosen, factors, times(day.instants(len(chosen)))],
    )
    day.changes["price changes"] += len(chosen)


def _publish_and_delete_drafts(day: Day) -> None:
    rows = day.connection.execute(
        """
        SELECT id FROM products
        WHERE status = 'draft' AND created_at < %s AND price_amount < 1000000000
            AND NOT EXISTS (SELECT FROM order_items WHERE product_id = products.id)
            AND NOT EXISTS (SELECT FROM reviews WHERE product_id = products.id)
        ORDER BY id
        """,
        times([day.span.start]),
    ).fetchall()
    chosen = day.sample(rows, 0.02)
    half = len(chosen) // 2
    published, deleted = [row[0] for row in chosen[:half]], [row[0] for row in chosen[half:]]
    day.connection.execute(
        """
        UPDATE products
        SET status = 'active', published_at = publication.at, updated_at = greatest(updated_at, publication.at)
        FROM unnest(%s::uuid[], %s::timestamptz[]) AS publication (id, at) WHERE products.id = publication.id
        """,
        [published, times(day.instants(half))],
    )
    day.connection.execute("DELETE FROM products WHERE id = ANY(%s)", [deleted])
    day.record("product.deleted", ids_from(deleted), day.instants(len(deleted)))
    day.changes["drafts published"] += half
    day.changes["drafts deleted"] += len(deleted)
    day.faults["products_hard_deleted"] += len(deleted)


def _moderate_and_delete_reviews(day: Day) -> None:
    day_start = times([day.span.start])
    pending = day.connection.execute(
        "SELECT id FROM reviews WHERE status = 'pending' AND created_at < %s ORDER BY id", day_start
    ).fetchall()
    moderated = [row[0] for row in day.sample(pending, 0.3)]
    verdicts = [
        str(verdict) for verdict in day.rng.choice(["approved", "approved", "approved", "rejected"], len(moderated))
    ]
    day.connection.execute(
        """
        UPDATE reviews SET status = verdict.status, moderated_at = verdict.at, updated_at = verdict.at
        FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[]) AS verdict (id, status, at) WHERE reviews.id = verdict.id
        """,
        [moderated, verdicts, times(day.instants(len(moderated)))],
    )
    rows = day.connection.execute("SELECT id FROM reviews WHERE created_at < %s ORDER BY id", day_start).fetchall()
    deleted = [row[0] for row in day.sample(rows, 0.0003)]
    day.connection.execute("DELETE FROM reviews WHERE id = ANY(%s)", [deleted])
    day.record("review.deleted", ids_from(deleted), day.instants(len(deleted)))
    day.changes["reviews moderated"] += len(moderated)
    day.changes["reviews deleted"] += len(deleted)
    day.faults["reviews_hard_deleted"] += len(deleted)
