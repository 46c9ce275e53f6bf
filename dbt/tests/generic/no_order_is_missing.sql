{# Each row of `parts` (items, payments) has its order. What is left out of the marts because its order has not arrived must
   come with the next sync: a cursor that went past an order never brings it, and its money would be missing for good.
   Tables are read one after the other, so rows recorded on the day on which orders were extracted last may wait. #}
{% test no_order_is_missing(model, orders, parts) %}
    {{ config(store_failures=true, tags=['gate']) }}
    with recorded as (
        {%- for part in parts %}
        select '{{ part }}' as found_in, order_id, created_at from {{ upstream_relation(model, part) }}
        {{- ' union all' if not loop.last }}
        {%- endfor %}
    )

    select recorded.found_in, recorded.order_id, count(*) as row_count, min(recorded.created_at) as first_created_at
    from recorded
    left join {{ upstream_relation(model, orders) }} as orders on recorded.order_id = orders.order_id
    where
        orders.order_id is null
        and date(recorded.created_at, 'UTC') < (
            select date(max(_airbyte_extracted_at), 'UTC') from {{ upstream_relation(model, orders) }}
        )
    group by recorded.found_in, recorded.order_id
{% endtest %}
