{{
    config(
        materialized='incremental',
        unique_key='daily_sales_key',
        partition_by={'field': 'order_date', 'data_type': 'date', 'granularity': 'month'},
        cluster_by=['region', 'category'],
    )
}}
-- depends_on: {{ ref('fct_orders') }}
-- (the gate on this table compares its GMV with that of fct_orders, which must be there first)

with gmv_items as (

    select * from {{ ref('fct_order_items') }}
    where is_gmv and {{ in_changed_days([ref('fct_order_items')], where='is_gmv') }}

)

select
    {{ dbt_utils.generate_surrogate_key(['order_date', 'region', 'category']) }} as daily_sales_key,
    order_date,
    region,
    category,
    count(distinct order_id) as orders,
    sum(quantity) as units,
    count(distinct buyer_id) as buyers,
    sum(gmv_usd) as gmv_usd,
    sum(net_gmv_usd) as net_gmv_usd,
    sum(gmv_usd) / count(distinct order_id) as aov_usd,
    bit_xor(row_fingerprint) as row_fingerprint

from gmv_items
group by order_date, region, category
