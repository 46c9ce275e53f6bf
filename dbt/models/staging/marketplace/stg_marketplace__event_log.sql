-- Replicated in append mode, whose cursor re-reads its last value: the same id may have arrived several times.
with latest as (

    select * from {{ source('marketplace', 'event_log') }}
    qualify row_number() over (partition by id order by _airbyte_extracted_at desc, _airbyte_raw_id desc) = 1

),

-- after the reduction, or the version before a deletion would come back
source as (

    select * from latest
    where {{ is_not_hard_deleted(source('marketplace', 'event_log')) }}

)

select
    -- keys
    id as event_log_id,
    entity_id,

    -- event
    {{ clean_text('event_type') }} as event_type,
    {{ clean_text('entity_type') }} as entity_type,
    event_data,
    processed,

    -- times
    event_timestamp,
    received_at,
    _airbyte_extracted_at

from source
