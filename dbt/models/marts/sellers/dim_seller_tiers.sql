select
    seller_tier_key,
    seller_id,
    tier,
    valid_from,
    valid_to,
    is_current,
    previous_tier,
    tier_change,
    change_reason,
    is_gap_filled,
    is_overlap_trimmed

from {{ ref('int_seller_tiers__scd2') }}
