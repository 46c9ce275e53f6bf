{# Sums of `columns` per order, status and currency equal what the source's events say, where an event's word is its latest
   row. Written by aggregation, so that it shares no window with the model it judges. #}
{% test money_is_whole(model, upstream, columns) %}
    {{ config(store_failures=true, tags=['gate']) }}
    with events as (
        select
            array_agg(
                struct(order_id, status, currency, {{ columns | join(', ') }})
                order by event_timestamp desc, processed_at desc, payment_id desc limit 1
            )[offset(0)] as last_row
        from {{ upstream_relation(model, upstream) }}
        group by {{ payment_event_key() }}
    ),

    both_sides as (
        select
            last_row.order_id,
            last_row.status,
            last_row.currency,
            {%- for column in columns %}
            last_row.{{ column }} as expected_{{ column }},
            0 as found_{{ column }}{{ ',' if not loop.last }}
            {%- endfor %}
        from events
        union all
        select
            order_id,
            status,
            currency,
            {%- for column in columns %}
            0,
            {{ column }}{{ ',' if not loop.last }}
            {%- endfor %}
        from {{ model }}
    ),

    sums as (
        select
            order_id,
            status,
            currency,
            {%- for column in columns %}
            sum(expected_{{ column }}) as expected_{{ column }},
            sum(found_{{ column }}) as found_{{ column }}{{ ',' if not loop.last }}
            {%- endfor %}
        from both_sides
        group by order_id, status, currency
    )

    select * from sums
    where
        {%- for column in columns %}
        {{ 'or ' if not loop.first }}expected_{{ column }} is distinct from found_{{ column }}
        {%- endfor %}
{% endtest %}
