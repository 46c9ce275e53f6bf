{# The two halves of an incremental mart that follows `columns` of its input row by row.

   What changed since the last run is found by comparing rows, not timestamps: a row of a mart also changes when
   something it is joined with does (a late payment, a buyer's country filled in, a category renamed, a tier corrected),
   and a raw table that is replaced by every sync bears new extraction times throughout. row_hash covers every column,
   so a column added to a model also reaches the rows already built, and a run with nothing new writes nothing. (A table
   built before it had a row_hash gets every row merged once.)

   select_changed_rows: rows of `from` that are new or differ from the row built before, and those of the days
   rebuild_from to rebuild_to, if these variables are given.
   delete_vanished_rows: post-hook; removes rows whose key `upstream` no longer has. #}
{% macro select_changed_rows(from, unique_key, columns) -%}
    with_hash as (

    select
        {{ columns | join(',\n        ') }},
        {{ dbt_utils.generate_surrogate_key(columns) }} as row_hash
    from {{ from }}

)

select * from with_hash
{%- if is_incremental() and 'row_hash' in adapter.get_columns_in_relation(this) | map(attribute='name') %}
{{ only_changed_rows() }}
where not exists (
    select 1 from {{ this }} as built
    where built.{{ unique_key }} = with_hash.{{ unique_key }} and built.row_hash = with_hash.row_hash
)
{%- if var('rebuild_from', none) %}
or {{ config.get('partition_by')['field'] }} between date '{{ var('rebuild_from') }}' and date '{{ var('rebuild_to') }}'
{%- endif %}
{%- endif %}
{%- endmacro %}

{# The line that stands before what is asked of rows only once the table is there. #}
{% macro only_changed_rows() -%}
    -- rows that are new or changed
{%- endmacro %}

{% macro delete_vanished_rows(upstream, key_columns) -%}
    {%- if is_incremental() -%}
    delete from {{ this }} as built
    where not exists (
        select 1 from {{ upstream }} as found
        where
            {%- for column in key_columns %}
            {{ 'and ' if not loop.first }}found.{{ column }} = built.{{ column }}
            {%- endfor %}
    )
    {%- endif -%}
{%- endmacro %}
