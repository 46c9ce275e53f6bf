select id from {{ ref("numbers") }}
