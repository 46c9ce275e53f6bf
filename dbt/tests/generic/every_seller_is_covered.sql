{# Every seller in the history is covered from its first instant on. Only a seller whose whole history is one instant may
   be missing, when that row's own end, or the account's, is not after its start: it was never in force. #}
{% test every_seller_is_covered(model, history, users) %}
    {{ config(store_failures=true, tags=['gate']) }}
    with sellers as (
        select
            user_id,
            min(effective_from) as first_effective_from,
            max(effective_from) as last_effective_from,
            array_agg(effective_to order by effective_from desc, seller_tier_history_id desc limit 1)[offset(0)]
                as last_effective_to
        from {{ upstream_relation(model, history) }}
        group by user_id
    ),

    expected as (
        select sellers.user_id as seller_id, sellers.first_effective_from
        from sellers
        left join {{ upstream_relation(model, users) }} as users on sellers.user_id = users.user_id
        where
            sellers.first_effective_from < sellers.last_effective_from
            or sellers.first_effective_from
            < coalesce(sellers.last_effective_to, users.deleted_at, timestamp '9999-12-31 00:00:00+00')
    ),

    found as (
        select seller_id, min(valid_from) as first_valid_from
        from {{ model }}
        group by seller_id
    )

    select expected.seller_id, expected.first_effective_from, found.first_valid_from
    from expected
    left join found on expected.seller_id = found.seller_id
    where found.first_valid_from is null or found.first_valid_from > expected.first_effective_from
{% endtest %}
