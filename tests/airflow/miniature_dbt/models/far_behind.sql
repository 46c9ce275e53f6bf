select id from {{ ref("behind_both") }}
