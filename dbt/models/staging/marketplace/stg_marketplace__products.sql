with source as (

    select * from {{ source('marketplace', 'products') }}
    where {{ is_not_hard_deleted(source('marketplace', 'products')) }}

)

select
    -- keys
    id as product_id,
    seller_id,
    category_id,

    -- listing
    {{ clean_text('title') }} as title,
    {{ clean_text('description') }} as description,
    {{ clean_text('status') }} as status,
    quantity_available,
    tags,
    attributes,

    -- money
    price_amount,
    {{ clean_text('price_currency') }} as price_currency,

    -- times: a row cannot have changed after it was read, so a later updated_at is the source's mistake
    created_at,
    least(updated_at, _airbyte_extracted_at) as updated_at,
    updated_at as source_updated_at,
    updated_at > _airbyte_extracted_at as is_updated_at_in_future,
    published_at,
    _airbyte_extracted_at

from source
