select
    order_id,
    order_number,
    currency,
    total_amount,
    expected_total_amount,
    total_amount - expected_total_amount as difference_amount,
    ordered_at

from {{ ref('int_orders__usd') }}
where is_quarantined
