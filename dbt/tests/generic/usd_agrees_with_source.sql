{# Rows and dollars per currency equal what `upstream`'s amounts give, converted independently of the daily rates: the
   greatest valid_from in the seed not after the order's date. `columns` maps an amount to its column of dollars. Rows whose
   order has not arrived are left out, as in the models; a row without a rate counts as 0 dollars here, and fails the
   not-null gate. #}
{% test usd_agrees_with_source(model, upstream, columns) %}
    {{ config(store_failures=true, tags=['gate']) }}
    with amounts as (
        select
            source_rows.currency,
            {%- for amount in columns %}
            source_rows.{{ amount }},
            {%- endfor %}
            date(orders.created_at, 'UTC') as order_date
        from {{ upstream_relation(model, upstream) }} as source_rows
        inner join {{ upstream_relation(model, 'stg_marketplace__orders') }} as orders
            on source_rows.order_id = orders.order_id
    ),

    valid_froms as (
        select days.currency, days.order_date, max(rates.valid_from) as valid_from
        from (select distinct currency, order_date from amounts) as days
        inner join {{ upstream_relation(model, 'exchange_rates') }} as rates
            on days.currency = rates.currency and rates.valid_from <= days.order_date
        group by days.currency, days.order_date
    ),

    expected as (
        select
            amounts.currency,
            {%- for amount, usd in columns.items() %}
            sum(coalesce(round(amounts.{{ amount }} * rates.usd_rate, 2), 0)) as {{ usd }},
            {%- endfor %}
            count(*) as row_count
        from amounts
        left join valid_froms
            on amounts.currency = valid_froms.currency and amounts.order_date = valid_froms.order_date
        left join {{ upstream_relation(model, 'exchange_rates') }} as rates
            on valid_froms.currency = rates.currency and valid_froms.valid_from = rates.valid_from
        group by amounts.currency
    ),

    found as (
        select
            currency,
            {%- for usd in columns.values() %}
            sum(coalesce({{ usd }}, 0)) as {{ usd }},
            {%- endfor %}
            count(*) as row_count
        from {{ model }}
        group by currency
    )

    select
        coalesce(expected.currency, found.currency) as currency,
        {%- for usd in columns.values() %}
        expected.{{ usd }} as expected_{{ usd }},
        found.{{ usd }} as found_{{ usd }},
        {%- endfor %}
        expected.row_count as expected_rows,
        found.row_count as found_rows
    from expected
    full outer join found on expected.currency = found.currency
    where
        expected.row_count is distinct from found.row_count
        {%- for usd in columns.values() %}
        or expected.{{ usd }} is distinct from found.{{ usd }}
        {%- endfor %}
{% endtest %}
