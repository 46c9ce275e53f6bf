-- depends_on: {{ ref('stg_marketplace__order_items') }}
-- depends_on: {{ ref('stg_marketplace__payments') }}
-- (the gate on this table asks which currencies they are in)
with rates as (

    select
        currency,
        usd_rate,
        valid_from,
        lead(valid_from) over (partition by currency order by valid_from) as next_valid_from
    from {{ ref('exchange_rates') }}

),

-- every conversion goes by an order's date, so these are all the dates in use
order_dates as (

    select distinct date(created_at, 'UTC') as rate_date
    from {{ ref('stg_marketplace__orders') }}

)

select
    {{ dbt_utils.generate_surrogate_key(['rates.currency', 'order_dates.rate_date']) }} as daily_rate_key,
    rates.currency,
    order_dates.rate_date,
    rates.usd_rate,
    rates.valid_from as rate_valid_from,
    date_diff(order_dates.rate_date, rates.valid_from, day) as rate_age_days

from order_dates
inner join rates
    on
        order_dates.rate_date >= rates.valid_from
        and (rates.next_valid_from is null or order_dates.rate_date < rates.next_valid_from)
