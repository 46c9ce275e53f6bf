with source as (

    select * from {{ source('marketplace', 'reviews') }}
    where {{ is_not_hard_deleted(source('marketplace', 'reviews')) }}

)

select
    -- keys
    id as review_id,
    product_id,
    order_item_id,
    reviewer_id,

    -- review
    rating,
    {{ clean_text('title') }} as title,
    {{ clean_text('body') }} as body,
    {{ clean_text('status') }} as status,
    is_verified_purchase,
    helpful_votes,

    -- times
    moderated_at,
    created_at,
    updated_at,
    _airbyte_extracted_at

from source
