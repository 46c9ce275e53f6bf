{{
    config(
        materialized='incremental',
        unique_key='payment_event_key',
        partition_by={'field': 'order_date', 'data_type': 'date', 'granularity': 'day'},
        cluster_by=['status', 'provider'],
    )
}}

{#- Merged by event, not by payment: a replay that wins puts another payment_id in the place of the old one. #}

select
    -- keys
    payment_event_key,
    payment_id,
    event_id,
    order_id,
    order_date,

    -- payment
    payment_provider as provider,
    status,

    -- money
    amount,
    platform_fee,
    seller_payout,
    currency,
    amount_usd,
    platform_fee_usd,
    seller_payout_usd,

    -- times
    first_event_at,
    event_timestamp as event_at,
    processed_at,

    -- event
    duplicate_count,
    has_conflicting_duplicates,

    row_fingerprint

from {{ ref('int_payments__usd') }}
where {{ in_changed_days([ref('int_payments__usd')]) }}
