with source as (

    select * from {{ source('marketplace', 'seller_tier_history') }}
    where {{ is_not_hard_deleted(source('marketplace', 'seller_tier_history')) }}

)

select
    -- keys
    id as seller_tier_history_id,
    user_id,

    -- tier
    {{ clean_text('tier') }} as tier,
    {{ clean_text('change_reason') }} as change_reason,
    is_current,

    -- times
    effective_from,
    effective_to,
    created_at,
    _airbyte_extracted_at

from source
