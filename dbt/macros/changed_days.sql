{# Incremental marts that follow their inputs by the day of the order.

   Each row bears a fingerprint of all its values, or the XOR of the fingerprints of the rows that it is made of. So the XOR
   over a day of the inputs and of what was built from them is 0 exactly if nothing of that day has changed, whatever the
   reason: a late payment, a buyer's country filled in, a category renamed, a tier corrected, a row that is gone;
   extraction times could not tell. To find the changed days takes two narrow columns of each table; all else is read,
   compared and written of these days alone, as BigQuery leaves out partitions by constants.

   A model says

       {%- set of_changed_days = in_changed_days([ref('its_input')]) %}
       select …, row_fingerprint from {{ ref('its_input') }} where {{ of_changed_days }}

   and holds, of these days, exactly the rows of its query: new ones are inserted, others updated where their fingerprint
   differs, and those that the query no longer gives are deleted, in one MERGE. It is partitioned by order_date. What is in
   the fingerprints of one input is not named as a second: twice the same is 0. #}

{# A column: INT64 hash over all columns of `row`, the name of what the query selects from. #}
{% macro row_fingerprint(row) -%}
    farm_fingerprint(to_json_string({{ row }})) as row_fingerprint
{%- endmacro %}

{# The condition on order_date that leaves the days of which `inputs` (what may follow FROM: a relation, with a WHERE if
   need be) and this table differ, and those from rebuild_from to rebuild_to, if these variables are given. It is `true`
   where the table is not there yet, and where the code of this model or of one before it is not what the table was built
   by; `false` where nothing has changed. #}
{% macro in_changed_days(inputs) -%}
    {{ return(changed_days_mark() ~ ' ' ~ _changed_days(inputs) ~ ' ' ~ changed_days_end()) }}
{%- endmacro %}

{% macro changed_days_mark() -%}/* days that changed: */{%- endmacro %}
{% macro changed_days_end() -%}/* */{%- endmacro %}

{% macro _changed_days(inputs) -%}
    {%- if not execute or flags.WHICH not in ['build', 'run'] or not is_incremental() -%}{{ return('true') }}{%- endif -%}
    {%- set labels = adapter.get_bq_table(this).labels -%}
    {%- if labels.get('code') != code_of_model() -%}{{ return('true') }}{%- endif -%}
    {%- set conditions = [] -%}
    {%- if labels.get('parents') != parents_of_model() -%}
        {%- set differing -%}
            select order_date from (
                {%- for input in inputs + [this] %}
                select order_date, row_fingerprint from {{ input }}{{ ' union all' if not loop.last }}
                {%- endfor %}
            )
            group by order_date
            having bit_xor(row_fingerprint) <> 0
            order by order_date
        {%- endset -%}
        {%- set days = run_query(differing).columns[0].values() -%}
        {%- if days -%}{%- do conditions.append("order_date in (date '" ~ days | join("', date '") ~ "')") -%}{%- endif -%}
    {%- endif -%}
    {%- if var('rebuild_from', none) -%}{%- do conditions.append(_days_to_rebuild()) -%}{%- endif -%}
    {{ return('(' ~ conditions | join(' or ') ~ ')' if conditions else 'false') }}
{%- endmacro %}

{% macro _days_to_rebuild() -%}
    order_date between date '{{ var('rebuild_from') }}' and date '{{ var('rebuild_to') }}'
{%- endmacro %}

{# The condition that in_changed_days has put into a compiled statement; none where there is none. #}
{% macro changed_days_in(sql) -%}
    {{ return(sql.split(changed_days_mark())[1].split(changed_days_end())[0] | trim if changed_days_mark() in sql else none) }}
{%- endmacro %}

{# dbt's own answer, or yes where all days are to be built: a table built from nothing may have columns of other types. #}
{% macro should_full_refresh() -%}
    {{ return(dbt.should_full_refresh() or (compiled_code is string and changed_days_in(compiled_code) == 'true')) }}
{%- endmacro %}

{# In place of dbt's MERGE, for models that follow days. #}
{% macro bigquery__get_merge_sql(target, source, unique_key, dest_columns, incremental_predicates=none) -%}
    {%- set days = changed_days_in(compiled_code) -%}
    {%- if days is none -%}
        {{ return(dbt.default__get_merge_sql(target, source, unique_key, dest_columns, incremental_predicates)) }}
    {%- endif -%}
    {%- set of_target = days | replace('order_date', 'DBT_INTERNAL_DEST.order_date') -%}
    {%- set columns = get_quoted_csv(dest_columns | map(attribute='name')) -%}
    merge into {{ target }} as DBT_INTERNAL_DEST
        using {{ source }} as DBT_INTERNAL_SOURCE
        on DBT_INTERNAL_DEST.{{ unique_key }} = DBT_INTERNAL_SOURCE.{{ unique_key }} and {{ of_target }}
    when matched and (
        DBT_INTERNAL_DEST.row_fingerprint is distinct from DBT_INTERNAL_SOURCE.row_fingerprint
        {%- if var('rebuild_from', none) %}
        or {{ _days_to_rebuild() | replace('order_date', 'DBT_INTERNAL_DEST.order_date') }}
        {%- endif %}
    ) then update set
        {%- for column in dest_columns %}
        {{ column.quoted }} = DBT_INTERNAL_SOURCE.{{ column.quoted }}{{ ',' if not loop.last }}
        {%- endfor %}
    when not matched then insert ({{ columns }}) values ({{ columns }})
    when not matched by source and {{ of_target }} then delete
{%- endmacro %}
