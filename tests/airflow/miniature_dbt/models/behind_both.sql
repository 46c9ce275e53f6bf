select p.id from {{ ref("parent") }} as p join {{ ref("child") }} as c on p.id = c.id
