-- Providers replay webhooks: the same event arrives again under a new payment_id, with a later event_timestamp and at
-- times another status or amount. payment_id is therefore unique and says nothing; the event is what counts, and its
-- latest version is what the provider last said. processed_at breaks ties because a processed row knows more than one
-- that is still waiting (NULL); payment_id makes the choice repeatable.
with payments as (

    select * from {{ ref('stg_marketplace__payments') }}

)

select
    -- keys
    {{ dbt_utils.generate_surrogate_key(['event_id', 'if(event_id is null, payment_id, null)']) }} as payment_event_key,
    payment_id,
    order_id,
    event_id,

    -- payment
    payment_provider,
    payment_provider_id,
    status,

    -- money
    amount,
    currency,
    platform_fee,
    seller_payout,

    -- times
    event_timestamp,
    created_at,
    processed_at,

    -- event
    min(event_timestamp) over event as first_event_at,
    count(*) over event - 1 as duplicate_count,
    min(amount) over event <> max(amount) over event
    or min(currency) over event <> max(currency) over event
    or min(order_id) over event <> max(order_id) over event as has_conflicting_duplicates

from payments
qualify row_number() over (event order by event_timestamp desc, processed_at desc nulls last, payment_id desc) = 1
window event as (partition by {{ payment_event_key() }})
