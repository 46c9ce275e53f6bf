with orders as (

    select * from {{ ref('int_orders__usd') }}

),

late_events as (

    select
        entity_id as order_id,
        count(*) as event_count,
        countif(arrived_late) as late_event_count
    from {{ ref('int_order_events__sequenced') }}
    where entity_type = 'order'
    group by entity_id

)

select
    orders.order_id,
    orders.order_date,
    orders.status,
    {{ hours_between('orders.ordered_at', 'orders.confirmed_at') }} as hours_to_confirmed,
    {{ hours_between('orders.ordered_at', 'orders.shipped_at') }} as hours_to_shipped,
    {{ hours_between('orders.ordered_at', 'orders.delivered_at') }} as hours_to_delivered,
    coalesce(late_events.event_count, 0) as event_count,
    coalesce(late_events.late_event_count, 0) as late_event_count

from orders
left join late_events on orders.order_id = late_events.order_id
