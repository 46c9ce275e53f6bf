{{
    config(
        materialized='incremental',
        unique_key='order_id',
        partition_by={'field': 'order_date', 'data_type': 'date', 'granularity': 'day'},
        cluster_by=['region', 'status', 'buyer_id'],
    )
}}

select
    -- keys
    order_id,
    order_number,
    buyer_id,
    buyer_order_number,

    -- order
    status,
    is_gmv,
    payment_status,
    is_quarantined,

    -- times
    ordered_at,
    order_date,
    confirmed_at,
    shipped_at,
    delivered_at,

    -- place
    shipping_country,
    region,

    -- money
    currency,
    subtotal_amount,
    shipping_amount,
    tax_amount,
    discount_amount,
    total_amount,
    total_usd,
    gmv_usd,
    net_gmv_usd,
    paid_usd,

    -- items
    item_count,
    units,
    seller_count,

    row_fingerprint

from {{ ref('int_orders__enriched') }}
where {{ in_changed_days([ref('int_orders__enriched')]) }}
