with gmv_orders as (

    select
        order_id,
        buyer_id,
        gmv_usd,
        date_trunc(order_date, month) as order_month,
        date_trunc(min(order_date) over (partition by buyer_id), month) as cohort_month
    from {{ ref('fct_orders') }}
    where is_gmv

),

cohorts as (

    select
        cohort_month,
        count(distinct buyer_id) as cohort_size
    from gmv_orders
    group by cohort_month

),

activity as (

    select
        cohort_month,
        date_diff(order_month, cohort_month, month) as months_since_first_order,
        count(distinct buyer_id) as active_buyers,
        count(*) as orders,
        sum(gmv_usd) as gmv_usd
    from gmv_orders
    group by cohort_month, months_since_first_order

)

select
    {{ dbt_utils.generate_surrogate_key(['activity.cohort_month', 'months_since_first_order']) }} as cohort_key,
    activity.cohort_month,
    activity.months_since_first_order,
    cohorts.cohort_size,
    activity.active_buyers,
    activity.orders,
    activity.gmv_usd,
    cast(activity.active_buyers as numeric) / cohorts.cohort_size as retention_rate

from activity
inner join cohorts on activity.cohort_month = cohorts.cohort_month
