{# Completed money per currency equals what the source's events say, where an event's word is its latest row. Written
   by aggregation, so that it shares no window with the model it judges. #}
{% test completed_money_is_whole(model, upstream) %}
    {{ config(store_failures=true, tags=['gate']) }}
    with events as (
        select
            array_agg(
                struct(currency, status, amount)
                order by event_timestamp desc, processed_at desc, payment_id desc limit 1
            )[offset(0)] as last_row
        from {{ upstream_relation(model, upstream) }}
        group by {{ payment_event_key() }}
    ),

    expected as (
        select last_row.currency, sum(last_row.amount) as amount
        from events
        where last_row.status = 'completed'
        group by last_row.currency
    ),

    found as (
        select currency, sum(amount) as amount
        from {{ model }}
        where status = 'completed'
        group by currency
    )

    select
        coalesce(expected.currency, found.currency) as currency,
        expected.amount as expected_amount,
        found.amount as found_amount
    from expected
    full outer join found on expected.currency = found.currency
    where expected.amount is distinct from found.amount
{% endtest %}
