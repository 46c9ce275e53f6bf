{{ config(partition_by={'field': 'order_date', 'data_type': 'date', 'granularity': 'day'}) }}

with orders as (

    select * from {{ ref('int_orders__usd') }}

),

items as (

    select
        order_id,
        count(*) as item_count,
        sum(quantity) as units,
        count(distinct seller_id) as seller_count,
        sum(gmv_usd) as gmv_usd,
        sum(net_gmv_usd) as net_gmv_usd
    from {{ ref('int_order_items__usd') }}
    group by order_id

),

payments as (

    select
        order_id,
        sum(if(status = 'completed', amount_usd, 0)) as paid_usd,
        array_agg(status order by event_timestamp desc, processed_at desc, payment_id desc limit 1)[offset(0)]
            as payment_status
    from {{ ref('int_payments__usd') }}
    group by order_id

),

quarantined as (

    select * from {{ ref('int_orders__quarantined') }}

),

enriched as (

    select
        orders.*,
        quarantined.order_id is not null as is_quarantined,

        -- items
        coalesce(items.item_count, 0) as item_count,
        coalesce(items.units, 0) as units,
        coalesce(items.seller_count, 0) as seller_count,
        coalesce(items.gmv_usd, 0) as gmv_usd,
        coalesce(items.net_gmv_usd, 0) as net_gmv_usd,

        -- payments
        coalesce(payments.payment_status, 'none') as payment_status,
        coalesce(payments.paid_usd, 0) as paid_usd,

        -- buyer
        row_number() over (
            partition by orders.buyer_id order by orders.ordered_at, orders.order_id
        ) as buyer_order_number

    from orders
    left join items on orders.order_id = items.order_id
    left join payments on orders.order_id = payments.order_id
    left join quarantined on orders.order_id = quarantined.order_id

)

select
    *,
    {{ row_fingerprint([
        'order_id', 'order_number', 'buyer_id', 'buyer_order_number',
        'status', 'is_gmv', 'payment_status', 'is_quarantined',
        'ordered_at', 'order_date', 'confirmed_at', 'shipped_at', 'delivered_at',
        'shipping_country', 'region',
        'currency', 'usd_rate', 'subtotal_amount', 'shipping_amount', 'tax_amount', 'discount_amount', 'total_amount',
        'total_usd', 'gmv_usd', 'net_gmv_usd', 'paid_usd',
        'item_count', 'units', 'seller_count',
    ]) }}

from enriched
