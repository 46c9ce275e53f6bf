{{ config(materialized='table') }}
select cast({{ env_var('CHILD_ID', '1') }} as int64) as id
