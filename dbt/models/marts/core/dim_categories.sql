select
    category_id,
    parent_category_id,
    name,
    level,
    root_name as root,
    category_path as path,
    is_in_cycle

from {{ ref('int_categories__rooted') }}
