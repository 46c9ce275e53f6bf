{{
    config(
        materialized='incremental',
        unique_key='order_id',
        partition_by={'field': 'order_date', 'data_type': 'date', 'granularity': 'day'},
    )
}}

{%- set of_changed_days = in_changed_days([
    ref('int_orders__usd'), ref('int_order_items__usd'), ref('int_payments__usd'),
]) %}

with orders as (

    select * from {{ ref('int_orders__usd') }}
    where {{ of_changed_days }}

),

items as (

    select
        order_id,
        count(*) as item_count,
        sum(quantity) as units,
        count(distinct seller_id) as seller_count,
        sum(gmv_usd) as gmv_usd,
        sum(net_gmv_usd) as net_gmv_usd,
        bit_xor(row_fingerprint) as row_fingerprint
    from {{ ref('int_order_items__usd') }}
    where {{ of_changed_days }}
    group by order_id

),

payments as (

    select
        order_id,
        sum(if(status = 'completed', amount_usd, 0)) as paid_usd,
        array_agg(status order by event_timestamp desc, processed_at desc, payment_id desc limit 1)[offset(0)]
            as payment_status,
        bit_xor(row_fingerprint) as row_fingerprint
    from {{ ref('int_payments__usd') }}
    where {{ of_changed_days }}
    group by order_id

)

select
    orders.* except (row_fingerprint),

    -- items
    coalesce(items.item_count, 0) as item_count,
    coalesce(items.units, 0) as units,
    coalesce(items.seller_count, 0) as seller_count,
    coalesce(items.gmv_usd, 0) as gmv_usd,
    coalesce(items.net_gmv_usd, 0) as net_gmv_usd,

    -- payments
    coalesce(payments.payment_status, 'none') as payment_status,
    coalesce(payments.paid_usd, 0) as paid_usd,
    coalesce(payments.row_fingerprint, 0) as payments_fingerprint,

    -- what the row is made of
    orders.row_fingerprint
    ^ coalesce(items.row_fingerprint, 0)
    ^ coalesce(payments.row_fingerprint, 0) as row_fingerprint

from orders
left join items on orders.order_id = items.order_id
left join payments on orders.order_id = payments.order_id
