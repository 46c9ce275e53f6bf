{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='payment_event_key',
        on_schema_change='append_new_columns',
        partition_by={'field': 'order_date', 'data_type': 'date', 'granularity': 'day'},
        cluster_by=['status', 'provider'],
        post_hook="{{ delete_vanished_rows(ref('int_payments__usd'), ['payment_event_key']) }}",
    )
}}

{#- Merged by event, not by payment: a replay that wins puts another payment_id in the place of the old one. -#}
with payments as (

    select
        * except (payment_provider, event_timestamp),
        payment_provider as provider,
        event_timestamp as event_at
    from {{ ref('int_payments__usd') }}

),

{{ select_changed_rows(
    from='payments',
    unique_key='payment_event_key',
    columns=[
        'payment_event_key', 'payment_id', 'event_id', 'order_id', 'order_date',
        'provider', 'status',
        'amount', 'platform_fee', 'seller_payout', 'currency', 'amount_usd', 'platform_fee_usd', 'seller_payout_usd',
        'first_event_at', 'event_at', 'processed_at',
        'duplicate_count', 'has_conflicting_duplicates',
    ],
) }}
