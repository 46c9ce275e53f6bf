with sales as (

    select
        seller_id,
        date_trunc(order_date, month) as month,
        sum(gmv_usd) as gmv_usd,
        sum(net_gmv_usd) as net_gmv_usd,
        count(distinct order_id) as orders,
        sum(quantity) as units
    from {{ ref('fct_order_items') }}
    where is_gmv
    group by seller_id, month

),

reviews as (

    select
        products.seller_id,
        date_trunc(date(reviews.created_at, 'UTC'), month) as month,
        avg(cast(reviews.rating as numeric)) as average_rating,
        count(*) as review_count
    from {{ ref('stg_marketplace__reviews') }} as reviews
    inner join {{ ref('stg_marketplace__products') }} as products on reviews.product_id = products.product_id
    where reviews.status = 'approved'
    group by products.seller_id, month

),

tiers as (

    select * from {{ ref('int_seller_tiers__scd2') }}

),

-- the first tier and a renewal of the same one are no changes
tier_changes as (

    select distinct
        seller_id,
        date_trunc(date(valid_from, 'UTC'), month) as month
    from tiers
    where tier_change in ('promotion', 'demotion')

),

seller_months as (

    select
        seller_id,
        month
    from sales
    union distinct
    select
        seller_id,
        month
    from reviews
    union distinct
    select
        seller_id,
        month
    from tier_changes

)

select
    {{ dbt_utils.generate_surrogate_key(['seller_months.seller_id', 'seller_months.month']) }} as seller_month_key,
    seller_months.seller_id,
    seller_months.month,

    -- sales
    coalesce(sales.gmv_usd, 0) as gmv_usd,
    coalesce(sales.net_gmv_usd, 0) as net_gmv_usd,
    coalesce(sales.orders, 0) as orders,
    coalesce(sales.units, 0) as units,
    sum(coalesce(sales.gmv_usd, 0)) over (
        partition by seller_months.seller_id order by seller_months.month
    ) as lifetime_gmv_usd,

    -- reviews
    reviews.average_rating,
    coalesce(reviews.review_count, 0) as review_count,

    -- tier: the interval that covers the month's last instant
    tiers.tier as tier_at_month_end,
    tier_changes.seller_id is not null as tier_changed_in_month

from seller_months
left join sales on seller_months.seller_id = sales.seller_id and seller_months.month = sales.month
left join reviews on seller_months.seller_id = reviews.seller_id and seller_months.month = reviews.month
left join tier_changes
    on seller_months.seller_id = tier_changes.seller_id and seller_months.month = tier_changes.month
left join tiers
    on
        seller_months.seller_id = tiers.seller_id
        and tiers.valid_from < timestamp(date_add(seller_months.month, interval 1 month), 'UTC')
        and (
            tiers.valid_to is null
            or tiers.valid_to >= timestamp(date_add(seller_months.month, interval 1 month), 'UTC')
        )
