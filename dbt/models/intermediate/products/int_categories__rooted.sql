-- Walked from the roots down, so a cycle in the source cannot trap the walk: its members are simply never reached.
with recursive categories as (

    -- one without a name has nothing that its products could be counted under
    select * replace (coalesce(name, 'Uncategorized') as name)
    from {{ ref('stg_marketplace__categories') }}

),

rooted as (

    select
        categories.category_id,
        categories.name as root_name,
        categories.name as category_path
    from categories
    left join categories as parents on categories.parent_category_id = parents.category_id
    where parents.category_id is null

    union all

    select
        categories.category_id,
        rooted.root_name,
        concat(rooted.category_path, ' > ', categories.name) as category_path
    from rooted
    inner join categories on rooted.category_id = categories.parent_category_id

)

select
    -- keys
    categories.category_id,
    categories.parent_category_id,

    -- category
    categories.name,
    categories.level,
    coalesce(rooted.root_name, categories.name) as root_name,
    coalesce(rooted.category_path, categories.name) as category_path,
    rooted.category_id is null as is_in_cycle

from categories
left join rooted on categories.category_id = rooted.category_id
