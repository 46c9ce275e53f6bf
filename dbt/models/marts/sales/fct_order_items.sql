{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='order_item_id',
        on_schema_change='append_new_columns',
        partition_by={'field': 'order_date', 'data_type': 'date', 'granularity': 'day'},
        cluster_by=['seller_id', 'category', 'product_id'],
        post_hook="{{ delete_vanished_rows(ref('int_order_items__usd'), ['order_item_id']) }}",
    )
}}

with items as (

    select * from {{ ref('int_order_items__usd') }}

),

tiers as (

    select * from {{ ref('int_seller_tiers__scd2') }}

),

-- the tier that held at the instant of the order: intervals are half-open and free of overlaps, so one at most
with_tier as (

    select
        items.*,
        tiers.tier as seller_tier_at_order
    from items
    left join tiers
        on
            items.seller_id = tiers.seller_id
            and items.ordered_at >= tiers.valid_from
            and (tiers.valid_to is null or items.ordered_at < tiers.valid_to)

),

{{ select_changed_rows(
    from='with_tier',
    unique_key='order_item_id',
    columns=[
        'order_item_id', 'order_id', 'product_id', 'seller_id', 'buyer_id',
        'ordered_at', 'order_date', 'order_status', 'is_gmv', 'region',
        'product_title', 'category', 'subcategory', 'seller_tier_at_order',
        'quantity', 'unit_price', 'total_price', 'currency', 'total_usd', 'gmv_usd', 'net_gmv_usd',
    ],
) }}
