with orders as (

    select
        *,
        subtotal_amount + shipping_amount + tax_amount - discount_amount as expected_total_amount
    from {{ ref('stg_marketplace__orders') }}

)

select
    order_id,
    order_number,
    currency,
    total_amount,
    expected_total_amount,
    total_amount - expected_total_amount as difference_amount,
    created_at as ordered_at

from orders
where total_amount is distinct from expected_total_amount
