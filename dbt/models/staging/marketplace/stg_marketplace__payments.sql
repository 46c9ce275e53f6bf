with source as (

    select * from {{ source('marketplace', 'payments') }}
    where {{ is_not_hard_deleted(source('marketplace', 'payments')) }}

)

select
    -- keys
    id as payment_id,
    order_id,
    {{ clean_text('event_id') }} as event_id,

    -- payment
    {{ clean_text('payment_provider') }} as payment_provider,
    {{ clean_text('payment_provider_id') }} as payment_provider_id,
    {{ clean_text('status') }} as status,

    -- money
    amount,
    {{ clean_text('currency') }} as currency,
    platform_fee,
    seller_payout,

    -- times
    event_timestamp,
    created_at,
    processed_at,
    _airbyte_extracted_at

from source
