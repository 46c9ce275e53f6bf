{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='order_id',
        on_schema_change='append_new_columns',
        partition_by={'field': 'order_date', 'data_type': 'date', 'granularity': 'day'},
        cluster_by=['region', 'status', 'buyer_id'],
        post_hook="{{ delete_vanished_rows(ref('int_orders__enriched'), ['order_id']) }}",
    )
}}

with orders as (

    select * from {{ ref('int_orders__enriched') }}

),

{{ select_changed_rows(
    from='orders',
    unique_key='order_id',
    columns=[
        'order_id', 'order_number', 'buyer_id', 'buyer_order_number',
        'status', 'is_gmv', 'payment_status', 'is_quarantined',
        'ordered_at', 'order_date', 'confirmed_at', 'shipped_at', 'delivered_at',
        'shipping_country', 'region',
        'currency', 'subtotal_amount', 'shipping_amount', 'tax_amount', 'discount_amount', 'total_amount',
        'total_usd', 'gmv_usd', 'net_gmv_usd', 'paid_usd',
        'item_count', 'units', 'seller_count',
    ],
) }}
