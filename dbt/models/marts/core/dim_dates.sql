-- Whole years: from 2020, where the exchange rates begin, or the first order, to the end of next year, or the last
-- order.
with order_dates as (

    select
        min(order_date) as first_date,
        max(order_date) as last_date
    from {{ ref('int_orders__usd') }}

),

dates as (

    select date_day
    from
        order_dates,
        unnest(generate_date_array(
            date_trunc(least(date '2020-01-01', coalesce(first_date, date '2020-01-01')), year),
            last_day(greatest(
                date_add(current_date('UTC'), interval 1 year), coalesce(last_date, date '2020-01-01')
            ), year)
        )) as date_day

)

select
    date_day,
    extract(year from date_day) as year,
    extract(quarter from date_day) as quarter,
    extract(month from date_day) as month,
    extract(isoyear from date_day) as iso_year,
    extract(isoweek from date_day) as iso_week,
    extract(day from date_day) as day_of_month,
    extract(dayofyear from date_day) as day_of_year,
    -- ISO 8601: Monday is 1
    mod(extract(dayofweek from date_day) + 5, 7) + 1 as day_of_week,
    format_date('%A', date_day) as day_name,
    format_date('%B', date_day) as month_name,
    date_trunc(date_day, month) as first_day_of_month,
    last_day(date_day, month) as last_day_of_month,
    extract(dayofweek from date_day) in (1, 7) as is_weekend

from dates
