with source as (

    select * from {{ source('marketplace', 'categories') }}
    where {{ is_not_hard_deleted(source('marketplace', 'categories')) }}

)

select
    -- keys
    id as category_id,
    parent_id as parent_category_id,

    -- category
    {{ clean_text('name') }} as name,
    {{ clean_text('slug') }} as slug,
    level,
    is_active,

    -- times
    created_at,
    _airbyte_extracted_at

from source
