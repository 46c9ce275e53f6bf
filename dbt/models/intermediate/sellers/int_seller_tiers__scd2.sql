-- The history is repaired, not trusted: a seller's next row ends the row before it, whatever the source says its own
-- end was (that trims overlaps and fills gaps), and a deleted seller's open interval ends with the account. Rebuilt
-- whole on each run, so late or corrected history needs no special path.
with history as (

    select * from {{ ref('stg_marketplace__seller_tier_history') }}

),

users as (

    select * from {{ ref('stg_marketplace__users') }}

),

tier_ranks as (

    select
        tier,
        tier_rank
    from unnest(['bronze', 'silver', 'gold', 'platinum']) as tier with offset as tier_rank

),

-- of changes at the same instant the one recorded last holds
one_per_instant as (

    select * from history
    qualify row_number() over (partition by user_id, effective_from order by seller_tier_history_id desc) = 1

),

neighbours as (

    select
        *,
        lead(effective_from) over seller as next_effective_from,
        lag(tier) over seller as previous_tier
    from one_per_instant
    window seller as (partition by user_id order by effective_from)

),

intervals as (

    select
        neighbours.*,
        neighbours.effective_from as valid_from,
        -- the next row's start, else (on the last row) the source's own end or the account's
        coalesce(neighbours.next_effective_from, neighbours.effective_to, users.deleted_at) as valid_to
    from neighbours
    left join users on neighbours.user_id = users.user_id

)

select
    -- keys
    {{ dbt_utils.generate_surrogate_key(['intervals.user_id', 'intervals.valid_from']) }} as seller_tier_key,
    intervals.user_id as seller_id,
    intervals.seller_tier_history_id,

    -- interval, half-open
    intervals.valid_from,
    intervals.valid_to,
    intervals.valid_to is null as is_current,

    -- tier
    intervals.tier,
    intervals.previous_tier,
    case
        when intervals.previous_tier is null then 'initial'
        when intervals.tier = intervals.previous_tier then 'same'
        when current_rank.tier_rank > previous_rank.tier_rank then 'promotion'
        when current_rank.tier_rank < previous_rank.tier_rank then 'demotion'
    end as tier_change,
    intervals.change_reason,

    -- repairs
    coalesce(intervals.effective_to < intervals.next_effective_from, false) as is_gap_filled,
    intervals.next_effective_from is not null
    and (
        intervals.effective_to is null
        or intervals.effective_to > intervals.next_effective_from
    ) as is_overlap_trimmed

from intervals
left join tier_ranks as current_rank on intervals.tier = current_rank.tier
left join tier_ranks as previous_rank on intervals.previous_tier = previous_rank.tier
-- a last row that ends at or before its start (a change recorded after the account was deleted) was never in force
where intervals.valid_to is null or intervals.valid_to > intervals.valid_from
