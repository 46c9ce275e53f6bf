select id from {{ ref("parent") }}
