with source as (

    select * from {{ source('marketplace', 'users') }}
    where {{ is_not_hard_deleted(source('marketplace', 'users')) }}

)

select
    -- keys
    id as user_id,

    -- person
    {{ clean_text('email') }} as email,
    {{ clean_text('username') }} as username,
    {{ clean_text('first_name') }} as first_name,
    {{ clean_text('last_name') }} as last_name,

    -- account
    {{ clean_text('user_type') }} as user_type,
    {{ clean_text('country_code') }} as country_code,
    {{ clean_text('seller_tier') }} as seller_tier,
    seller_rating,
    is_active,

    -- times
    created_at,
    updated_at,
    deleted_at,
    _airbyte_extracted_at

from source
