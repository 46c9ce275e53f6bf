{{
    config(
        materialized='incremental',
        unique_key='order_item_id',
        partition_by={'field': 'order_date', 'data_type': 'date', 'granularity': 'day'},
        cluster_by=['seller_id', 'category', 'product_id'],
    )
}}

{%- set of_changed_days = in_changed_days([ref('int_order_items__tiered')]) %}

with items as (

    select * from {{ ref('int_order_items__usd') }}
    where {{ of_changed_days }}

),

tiered as (

    select * from {{ ref('int_order_items__tiered') }}
    where {{ of_changed_days }}

)

select
    -- keys
    items.order_item_id,
    items.order_id,
    items.product_id,
    items.seller_id,
    items.buyer_id,

    -- order
    items.ordered_at,
    items.order_date,
    items.order_status,
    items.is_gmv,
    items.region,

    -- product
    items.product_title,
    items.category,
    items.subcategory,
    tiered.seller_tier_at_order,

    -- money
    items.quantity,
    items.unit_price,
    items.total_price,
    items.currency,
    items.total_usd,
    items.gmv_usd,
    items.net_gmv_usd,

    -- that of the tiered item; another while the item is newer than its tier is, so that the next run finds the day
    -- changed
    tiered.row_fingerprint ^ tiered.item_fingerprint ^ items.row_fingerprint as row_fingerprint

from items
inner join tiered on items.order_item_id = tiered.order_item_id
