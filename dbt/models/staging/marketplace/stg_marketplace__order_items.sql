with source as (

    select * from {{ source('marketplace', 'order_items') }}
    where {{ is_not_hard_deleted(source('marketplace', 'order_items')) }}

)

select
    -- keys
    id as order_item_id,
    order_id,
    product_id,
    seller_id,

    -- item
    quantity,
    {{ clean_text('product_title') }} as product_title,
    product_snapshot,

    -- money
    unit_price,
    total_price,
    {{ clean_text('currency') }} as currency,

    -- times
    created_at,
    _airbyte_extracted_at

from source
