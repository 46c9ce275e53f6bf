{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='order_id',
        on_schema_change='append_new_columns',
        partition_by={'field': 'order_date', 'data_type': 'date', 'granularity': 'day'},
        cluster_by=['region', 'status', 'buyer_id'],
        post_hook="
            delete from {{ this }} as built
            where not exists (
                select 1 from {{ ref('int_orders__enriched') }} as found where found.order_id = built.order_id
            )
        ",
    )
}}

{#- What changed since the last run is found by comparing rows, not timestamps. An order's row also changes when an
    item or a payment arrives late, when its buyer's country is filled in, or when a late order shifts the buyer's order
    numbers; and most raw tables are replaced by every sync, so their extraction times say nothing. The hash covers every
    column, hence a column added here also reaches the rows already built. Orders that are gone from the source leave by
    the post-hook. -#}
{%- set columns = [
    'order_id', 'order_number', 'buyer_id', 'buyer_order_number',
    'status', 'is_gmv', 'payment_status',
    'ordered_at', 'order_date', 'confirmed_at', 'shipped_at', 'delivered_at',
    'shipping_country', 'region',
    'currency', 'subtotal_amount', 'shipping_amount', 'tax_amount', 'discount_amount', 'total_amount',
    'total_usd', 'gmv_usd', 'net_gmv_usd', 'paid_usd',
    'item_count', 'units', 'seller_count',
] -%}

with orders as (

    select
        {{ columns | join(',\n        ') }},
        {{ dbt_utils.generate_surrogate_key(columns) }} as row_hash
    from {{ ref('int_orders__enriched') }}

)

select * from orders
{% if is_incremental() -%}
where not exists (
    select 1 from {{ this }} as built
    where built.order_id = orders.order_id and built.row_hash = orders.row_hash
)
{%- endif %}
