{# The rate of each date is at most `max_age_days` old in the currencies that are in use on it: those of the date's orders
   and of their items and payments. A currency that nobody uses any more, or not yet, needs no new rates. #}
{% test rates_in_use_are_fresh(model, max_age_days) %}
    {{ config(store_failures=true, tags=['gate']) }}
    with orders as (
        select order_id, currency, date(created_at, 'UTC') as order_date
        from {{ upstream_relation(model, 'stg_marketplace__orders') }}
    ),

    in_use as (
        select currency, order_date from orders
        {%- for upstream in ['stg_marketplace__order_items', 'stg_marketplace__payments'] %}
        union distinct
        select money.currency, orders.order_date
        from {{ upstream_relation(model, upstream) }} as money
        inner join orders on money.order_id = orders.order_id
        {%- endfor %}
    )

    select rates.currency, rates.rate_date, rates.rate_valid_from, rates.rate_age_days
    from {{ model }} as rates
    inner join in_use on rates.currency = in_use.currency and rates.rate_date = in_use.order_date
    where rates.rate_age_days > {{ max_age_days }}
{% endtest %}
