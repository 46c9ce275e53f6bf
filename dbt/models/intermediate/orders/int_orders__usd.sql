{{ config(partition_by={'field': 'order_date', 'data_type': 'date', 'granularity': 'day'}) }}

with orders as (

    select
        *,
        date(created_at, 'UTC') as order_date
    from {{ ref('stg_marketplace__orders') }}

),

buyers as (

    select * from {{ ref('stg_marketplace__users') }}

),

-- the shipping address says where the sale went; the buyer's own country stands in when there is none
located as (

    select
        orders.*,
        coalesce(orders.shipping_country, buyers.country_code) as region_country_code
    from orders
    left join buyers on orders.buyer_id = buyers.user_id

),

country_regions as (

    select * from {{ ref('country_regions') }}

),

rates as (

    select * from {{ ref('int_currency__daily_rates') }}

),

converted as (

    select
        -- keys
        located.order_id,
        located.order_number,
        located.buyer_id,
        row_number() over (
            partition by located.buyer_id order by located.created_at, located.order_id
        ) as buyer_order_number,

        -- order
        located.status,
        coalesce(located.status in ('confirmed', 'processing', 'shipped', 'delivered', 'refunded'), false) as is_gmv,

        -- place
        located.shipping_country,
        case
            when located.region_country_code is null then 'Unknown'
            else coalesce(country_regions.region, 'Other')
        end as region,

        -- money
        located.currency,
        rates.usd_rate,
        located.subtotal_amount,
        located.shipping_amount,
        located.tax_amount,
        located.discount_amount,
        located.total_amount,
        located.total_amount is distinct from
        located.subtotal_amount + located.shipping_amount + located.tax_amount - located.discount_amount
            as is_quarantined,
        round(located.total_amount * rates.usd_rate, 2) as total_usd,

        -- times
        located.created_at as ordered_at,
        located.order_date,
        located.confirmed_at,
        located.shipped_at,
        located.delivered_at

    from located
    left join country_regions on located.region_country_code = country_regions.country_code
    left join rates on located.currency = rates.currency and located.order_date = rates.rate_date

)

select
    *,
    {{ row_fingerprint('converted') }}

from converted
