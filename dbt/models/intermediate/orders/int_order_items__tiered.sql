{{ config(partition_by={'field': 'order_date', 'data_type': 'date', 'granularity': 'day'}) }}

with items as (

    select * from {{ ref('int_order_items__usd') }}

),

tiers as (

    select * from {{ ref('int_seller_tiers__scd2') }}

),

-- the tier that held at the instant of the order: intervals are half-open and free of overlaps, so one at most
tiered as (

    select
        items.order_item_id,
        items.order_date,
        tiers.tier as seller_tier_at_order,
        items.row_fingerprint as item_fingerprint
    from items
    left join tiers
        on
            items.seller_id = tiers.seller_id
            and items.ordered_at >= tiers.valid_from
            and (tiers.valid_to is null or items.ordered_at < tiers.valid_to)

)

select
    *,
    {{ row_fingerprint('tiered') }}

from tiered
