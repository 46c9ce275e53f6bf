"""For each unit test of the dbt project the query one would write without knowing its rule."""

from __future__ import annotations

from pathlib import Path


def replace(project: Path, file: str, old: str, new: str) -> None:
    """Break the project: put ``new`` in the place of ``old``, which must be there, in the file of that name."""
    path = next(project.rglob(file))
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{file} no longer holds {old!r}: adapt this mutation"
    path.write_text(text.replace(old, new), encoding="utf-8")


#: Rounds of (unit test, file, what the rule says, what a naive query says); a round changes a file for one test only.
ROUNDS: list[list[tuple[str, str, str, str]]] = [
    [
        (
            "payment_events_keep_their_latest_row",
            "payment_event_key.sql",
            "event_id, if(event_id is null, payment_id, null)",
            "event_id",
        ),
        (
            "tier_history_is_repaired",
            "int_seller_tiers__scd2.sql",
            "seller_tier_history_id desc",
            "seller_tier_history_id",
        ),
        (
            "orders_have_a_region_and_dollars_of_their_utc_day",
            "int_orders__usd.sql",
            "coalesce(orders.shipping_country, buyers.country_code)",
            "orders.shipping_country",
        ),
        (
            "confirmed_at_is_utc_wall_time",
            "stg_marketplace__orders.sql",
            "timestamp(confirmed_at, 'UTC')",
            "timestamp(confirmed_at, 'Europe/Berlin')",
        ),
        (
            "future_updated_at_is_clamped",
            "stg_marketplace__products.sql",
            "least(updated_at, _airbyte_extracted_at) as updated_at",
            "updated_at",
        ),
        (
            "appended_events_reduce_to_the_latest_version",
            "stg_marketplace__event_log.sql",
            "_airbyte_extracted_at desc",
            "_airbyte_extracted_at",
        ),
        (
            "rate_of_a_day_is_the_latest_not_after_it",
            "int_currency__daily_rates.sql",
            "order_dates.rate_date >= rates.valid_from",
            "order_dates.rate_date > rates.valid_from",
        ),
        (
            "items_keep_their_own_currency_and_category",
            "int_order_items__usd.sql",
            "on items.currency = rates.currency",
            "on orders.currency = rates.currency",
        ),
        (
            "orders_without_items_or_payments_stay",
            "int_orders__enriched.sql",
            "left join payments",
            "inner join payments",
        ),
        (
            "categories_find_their_root",
            "int_categories__rooted.sql",
            "where parents.category_id is null",
            "where categories.parent_category_id is null",
        ),
        (
            "events_are_ordered_by_when_they_happened",
            "int_order_events__sequenced.sql",
            "partition by entity_type, entity_id order by received_at",
            "partition by entity_type order by received_at",
        ),
        (
            "seller_tier_is_that_of_the_instant_of_the_order",
            "int_order_items__tiered.sql",
            "items.ordered_at < tiers.valid_to",
            "items.ordered_at <= tiers.valid_to",
        ),
        (
            "an_order_of_two_categories_counts_in_both",
            "fct_daily_sales.sql",
            "count(distinct order_id) as orders",
            "count(*) as orders",
        ),
        (
            "lifecycles_count_late_events_of_orders_only",
            "fct_order_lifecycle.sql",
            "where entity_type = 'order'",
            "where true",
        ),
        (
            "orders_and_payments_reconcile",
            "fct_payment_reconciliation.sql",
            "when payments.foreign_currency_events > 0 then 'currency_mismatch'",
            "",
        ),
        (
            "seller_months_are_those_with_sales_reviews_or_tier_changes",
            "fct_seller_performance.sql",
            "tiers.valid_from < timestamp",
            "tiers.valid_from <= timestamp",
        ),
        ("cohorts_begin_with_the_first_gmv_order", "fct_customer_cohorts.sql", "where is_gmv", "where true"),
        (
            "users_are_masked_and_keep_their_tier",
            "dim_users.sql",
            "coalesce(current_tiers.tier, users.seller_tier)",
            "users.seller_tier",
        ),
        (
            "products_sell_when_active_in_stock_and_the_seller_stays",
            "dim_products.sql",
            "where valid_from <= current_date('UTC')",
            "where true",
        ),
    ],
    [
        ("payment_events_keep_their_latest_row", "int_payments__deduplicated.sql", "nulls last", "nulls first"),
        (
            "tier_history_is_repaired",
            "int_seller_tiers__scd2.sql",
            "coalesce(neighbours.next_effective_from, neighbours.effective_to, users.deleted_at)",
            "coalesce(neighbours.effective_to, neighbours.next_effective_from, users.deleted_at)",
        ),
        (
            "orders_have_a_region_and_dollars_of_their_utc_day",
            "int_orders__usd.sql",
            "created_at, 'UTC'",
            "created_at, 'Asia/Tokyo'",
        ),
        (
            "categories_find_their_root",
            "int_categories__rooted.sql",
            "select * replace (coalesce(name, 'Uncategorized') as name)",
            "select *",
        ),
        (
            "orders_and_payments_reconcile",
            "fct_payment_reconciliation.sql",
            "and orders.total_amount > 0 then 'unpaid'",
            "then 'unpaid'",
        ),
    ],
    [
        (
            "payment_events_keep_their_latest_row",
            "int_payments__deduplicated.sql",
            "    or min(currency) over event <> max(currency) over event\n",
            "",
        ),
        (
            "tier_history_is_repaired",
            "int_seller_tiers__scd2.sql",
            "neighbours.effective_to, users.deleted_at)",
            "neighbours.effective_to)",
        ),
        (
            "orders_have_a_region_and_dollars_of_their_utc_day",
            "int_orders__usd.sql",
            "located.total_amount is distinct from",
            "located.total_amount <>",
        ),
    ],
]
