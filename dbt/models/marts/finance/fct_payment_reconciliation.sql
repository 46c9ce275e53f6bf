{{
    config(
        materialized='incremental',
        unique_key='order_id',
        partition_by={'field': 'order_date', 'data_type': 'date', 'granularity': 'day'},
        cluster_by=['reconciliation_status'],
    )
}}

{%- set of_changed_days = in_changed_days([ref('int_orders__enriched')]) %}

with orders as (

    select * from {{ ref('int_orders__enriched') }}
    where {{ of_changed_days }}

),

payment_events as (

    select * from {{ ref('int_payments__usd') }}
    where {{ of_changed_days }}

),

payments as (

    select
        orders.order_id,
        coalesce(sum(if(payments.status = 'completed', payments.amount, 0)), 0) as paid_amount,
        coalesce(sum(if(payments.status = 'completed', payments.amount_usd, 0)), 0) as paid_usd,
        coalesce(sum(if(payments.status = 'refunded', payments.amount_usd, 0)), 0) as refunded_usd,
        coalesce(sum(if(payments.status = 'completed', payments.platform_fee_usd, 0)), 0) as platform_fee_usd,
        coalesce(sum(if(payments.status = 'completed', payments.seller_payout_usd, 0)), 0) as seller_payout_usd,
        coalesce(sum(payments.duplicate_count), 0) as duplicate_events_removed,
        countif(payments.status = 'refunded') as refund_events,
        countif(payments.status in ('completed', 'refunded') and payments.currency <> orders.currency)
            as foreign_currency_events,
        coalesce(bit_xor(payments.row_fingerprint), 0) as row_fingerprint
    from orders
    left join payment_events as payments on orders.order_id = payments.order_id
    group by orders.order_id

)

select
    orders.order_id,
    orders.order_date,
    orders.status as order_status,
    orders.total_usd as order_total_usd,
    payments.paid_usd,
    payments.refunded_usd,
    payments.platform_fee_usd,
    payments.seller_payout_usd,
    payments.paid_usd - orders.total_usd as difference_usd,
    payments.duplicate_events_removed,
    -- amounts of one currency are compared as they are: dollars of a payment in parts may be a cent off by rounding
    case
        when payments.foreign_currency_events > 0 then 'currency_mismatch'
        when payments.refund_events > 0 or orders.status = 'refunded' then 'refunded'
        when payments.paid_amount = 0 and orders.status in ('pending', 'cancelled') then 'not_due'
        when payments.paid_amount = 0 and orders.total_amount > 0 then 'unpaid'
        when payments.paid_amount < orders.total_amount then 'underpaid'
        when payments.paid_amount > orders.total_amount then 'overpaid'
        else 'matched'
    end as reconciliation_status,

    -- that of the enriched order, which is made of its payments, too; another while these are newer than the order is,
    -- so that the next run finds the day changed
    orders.row_fingerprint
    ^ orders.payments_fingerprint
    ^ payments.row_fingerprint as row_fingerprint

from orders
inner join payments on orders.order_id = payments.order_id
