with source as (

    select * from {{ source('marketplace', 'orders') }}
    where {{ is_not_hard_deleted(source('marketplace', 'orders')) }}

)

select
    -- keys
    id as order_id,
    buyer_id,
    {{ clean_text('order_number') }} as order_number,

    -- order
    {{ clean_text('status') }} as status,

    -- money
    subtotal_amount,
    shipping_amount,
    tax_amount,
    discount_amount,
    total_amount,
    {{ clean_text('currency') }} as currency,

    -- shipping
    {{ clean_text('shipping_country') }} as shipping_country,
    {{ clean_text('shipping_city') }} as shipping_city,
    {{ clean_text('shipping_postal_code') }} as shipping_postal_code,

    -- times: confirmed_at arrives as a wall time without zone, which the source writes in UTC
    created_at,
    updated_at,
    timestamp(confirmed_at, 'UTC') as confirmed_at,
    shipped_at,
    delivered_at,
    _airbyte_extracted_at

from source
