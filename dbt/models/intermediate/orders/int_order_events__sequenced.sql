-- Events are received in another order than they happened in. event_log_id ascends in the order of arrival and breaks
-- ties of both clocks.
with events as (

    select * from {{ ref('stg_marketplace__event_log') }}

)

select
    -- keys
    event_log_id,
    entity_type,
    entity_id,

    -- event
    event_type,
    row_number() over (
        partition by entity_type, entity_id order by event_timestamp, event_log_id
    ) as event_number,
    coalesce(event_timestamp < max(event_timestamp) over (
        partition by entity_type, entity_id order by received_at, event_log_id
        rows between unbounded preceding and 1 preceding
    ), false) as arrived_late,

    -- times
    event_timestamp,
    received_at

from events
