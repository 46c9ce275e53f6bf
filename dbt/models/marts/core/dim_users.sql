with users as (

    select
        *,
        deleted_at is not null as is_deleted
    from {{ ref('stg_marketplace__users') }}

),

country_regions as (

    select * from {{ ref('country_regions') }}

),

current_tiers as (

    select * from {{ ref('int_seller_tiers__scd2') }}
    where is_current

),

first_orders as (

    select
        buyer_id,
        min(ordered_at) as first_order_at
    from {{ ref('int_orders__usd') }}
    group by buyer_id

)

select
    users.user_id,

    -- person, masked
    {{ masked('users.email', 'users.is_deleted', keep_domain=true) }} as email,
    {{ masked('users.username', 'users.is_deleted') }} as username,
    {{ masked('users.first_name', 'users.is_deleted') }} as first_name,
    {{ masked('users.last_name', 'users.is_deleted') }} as last_name,

    -- account
    users.user_type,
    coalesce(users.user_type in ('seller', 'both'), false) as is_seller,
    coalesce(users.user_type in ('buyer', 'both'), false) as is_buyer,
    users.country_code,
    case
        when users.country_code is null then 'Unknown'
        else coalesce(country_regions.region, 'Other')
    end as region,
    coalesce(current_tiers.tier, users.seller_tier) as seller_tier,
    users.seller_rating,
    users.is_active,
    users.is_deleted,

    -- times
    users.created_at,
    users.updated_at,
    users.deleted_at,
    first_orders.first_order_at

from users
left join country_regions on users.country_code = country_regions.country_code
left join current_tiers on users.user_id = current_tiers.seller_id
left join first_orders on users.user_id = first_orders.buyer_id
