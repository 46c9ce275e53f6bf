{{ config(partition_by={'field': 'order_date', 'data_type': 'date', 'granularity': 'day'}) }}

-- An item whose order is not in raw yet (the two tables are read one after the other) waits for the next run.
with items as (

    select * from {{ ref('stg_marketplace__order_items') }}

),

orders as (

    select * from {{ ref('int_orders__usd') }}

),

products as (

    select * from {{ ref('stg_marketplace__products') }}

),

categories as (

    select * from {{ ref('int_categories__rooted') }}

),

rates as (

    select * from {{ ref('int_currency__daily_rates') }}

),

converted as (

    select
        items.*,
        orders.buyer_id,
        orders.ordered_at,
        orders.order_date,
        orders.status as order_status,
        orders.is_gmv,
        orders.region,
        rates.usd_rate,
        round(items.total_price * rates.usd_rate, 2) as total_usd
    from items
    inner join orders on items.order_id = orders.order_id
    left join rates on items.currency = rates.currency and orders.order_date = rates.rate_date

),

categorized as (

    select
        -- keys
        converted.order_item_id,
        converted.order_id,
        converted.product_id,
        converted.seller_id,
        converted.buyer_id,

        -- order
        converted.ordered_at,
        converted.order_date,
        converted.order_status,
        converted.is_gmv,
        converted.region,

        -- product
        converted.product_title,
        coalesce(categories.root_name, 'Uncategorized') as category,
        coalesce(categories.name, 'Uncategorized') as subcategory,

        -- money
        converted.quantity,
        converted.unit_price,
        converted.total_price,
        converted.currency,
        converted.usd_rate,
        converted.total_usd,
        if(converted.is_gmv, converted.total_usd, 0) as gmv_usd,
        if(converted.is_gmv and converted.order_status <> 'refunded', converted.total_usd, 0) as net_gmv_usd

    from converted
    left join products on converted.product_id = products.product_id
    left join categories on products.category_id = categories.category_id

)

select
    *,
    {{ row_fingerprint('categorized') }}

from categorized
