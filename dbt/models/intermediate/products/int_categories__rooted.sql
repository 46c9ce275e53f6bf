-- Walked from the roots down, so a cycle in the source cannot trap the walk: its members are simply never reached.
with recursive categories as (

    select * from {{ ref('stg_marketplace__categories') }}

),

rooted as (

    select
        categories.category_id,
        categories.name as root_name
    from categories
    left join categories as parents on categories.parent_category_id = parents.category_id
    where parents.category_id is null

    union all

    select
        categories.category_id,
        rooted.root_name
    from rooted
    inner join categories on rooted.category_id = categories.parent_category_id

)

select
    categories.category_id,
    categories.name,
    coalesce(rooted.root_name, categories.name) as root_name,
    rooted.category_id is null as is_in_cycle

from categories
left join rooted on categories.category_id = rooted.category_id
