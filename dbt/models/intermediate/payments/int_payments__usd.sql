{{ config(partition_by={'field': 'order_date', 'data_type': 'date', 'granularity': 'day'}) }}

-- A payment is converted at its order's date, not its own, so that an order and its payments reconcile. A payment whose
-- order is not in raw yet (the two tables are read one after the other) waits for the next run.
with payments as (

    select * from {{ ref('int_payments__deduplicated') }}

),

orders as (

    select * from {{ ref('int_orders__usd') }}

),

rates as (

    select * from {{ ref('int_currency__daily_rates') }}

),

converted as (

    select
        -- keys
        payments.payment_event_key,
        payments.payment_id,
        payments.event_id,
        payments.order_id,

        -- payment
        payments.payment_provider,
        payments.status,
        payments.duplicate_count,
        payments.has_conflicting_duplicates,

        -- money
        payments.amount,
        payments.platform_fee,
        payments.seller_payout,
        payments.currency,
        rates.usd_rate,
        round(payments.amount * rates.usd_rate, 2) as amount_usd,
        round(payments.platform_fee * rates.usd_rate, 2) as platform_fee_usd,
        round(payments.seller_payout * rates.usd_rate, 2) as seller_payout_usd,

        -- times
        orders.order_date,
        payments.first_event_at,
        payments.event_timestamp,
        payments.processed_at

    from payments
    inner join orders on payments.order_id = orders.order_id
    left join rates on payments.currency = rates.currency and orders.order_date = rates.rate_date

)

select
    *,
    {{ row_fingerprint('converted') }}

from converted
