with products as (

    select * from {{ ref('stg_marketplace__products') }}

),

categories as (

    select * from {{ ref('int_categories__rooted') }}

),

sellers as (

    select * from {{ ref('stg_marketplace__users') }}

),

-- the seed may hold rates of days to come
latest_rates as (

    select
        currency,
        usd_rate
    from {{ ref('exchange_rates') }}
    where valid_from <= current_date('UTC')
    qualify row_number() over (partition by currency order by valid_from desc) = 1

)

select
    -- keys
    products.product_id,
    products.seller_id,
    products.category_id,

    -- listing
    products.title,
    coalesce(categories.root_name, 'Uncategorized') as category,
    coalesce(categories.name, 'Uncategorized') as subcategory,
    coalesce(categories.category_path, 'Uncategorized') as category_path,
    products.status,
    products.quantity_available,
    coalesce(
        products.status = 'active' and products.quantity_available > 0 and sellers.deleted_at is null, false
    ) as is_sellable,
    products.tags,

    -- money
    products.price_amount,
    products.price_currency,
    round(products.price_amount * latest_rates.usd_rate, 2) as price_usd,

    -- times
    products.created_at,
    products.updated_at,
    products.source_updated_at,
    products.is_updated_at_in_future,
    products.published_at

from products
left join categories on products.category_id = categories.category_id
left join sellers on products.seller_id = sellers.user_id
left join latest_rates on products.price_currency = latest_rates.currency
