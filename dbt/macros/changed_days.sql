{# Incremental marts that follow their inputs by the day of the order.

   Each row bears a fingerprint of all its values, or the XOR of the fingerprints of the rows that it is made of. So the XOR
   over a day of the inputs and of what was built from them is 0 exactly if nothing of that day has changed, whatever the
   reason: a late payment, a buyer's country filled in, a category renamed, a tier corrected, a row that is gone;
   extraction times could not tell. Beside each table with fingerprints stands one with those of its days,
   `<table>__days`, of which a build writes anew what it has changed. So what changed is found in some bytes a day, however
   many rows there are; and all else is read, compared and written of the changed days alone, as BigQuery leaves out
   partitions by constants.

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

{# The condition on order_date that leaves the days of which `inputs` (of their rows those `where` a condition on is_gmv
   holds) and this table differ, and those from rebuild_from to rebuild_to, if these variables are given. It is `true`
   where the table is not there yet, and where the code of this model or of one before it is not what the table was built
   by; `false` where nothing has changed. #}
{% macro in_changed_days(inputs, where='true') -%}
    {{ return(changed_days_mark() ~ ' ' ~ _changed_days(inputs, where) ~ ' ' ~ changed_days_end()) }}
{%- endmacro %}

{% macro changed_days_mark() -%}/* days that changed: */{%- endmacro %}
{% macro changed_days_end() -%}/* */{%- endmacro %}

{% macro _changed_days(inputs, where) -%}
    {%- if not execute or flags.WHICH not in ['build', 'run'] or not is_incremental() -%}{{ return('true') }}{%- endif -%}
    {%- set labels = adapter.get_bq_table(this).labels -%}
    {%- if labels.get('code') != code_of_model() -%}{{ return('true') }}{%- endif -%}
    {%- set conditions = [] -%}
    {%- if labels.get('parents') != parents_of_model() -%}
        {%- set differing -%}
            select order_date from (
                {%- for input in inputs %}
                select order_date, row_fingerprint from {{ days_of(input) or input }} where {{ where }}
                union all
                {%- endfor %}
                select order_date, row_fingerprint from {{ days_of(this) or this }}
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

{# The fingerprints of a table's days, if there are any and nothing else has written to the table since. #}
{% macro days_of(table) -%}
    {%- set days = days_beside(table) -%}
    {%- set found, of = adapter.get_bq_table(days), adapter.get_bq_table(table) -%}
    {{ return(days if found and of and found.labels.get('table_modified') == milliseconds_of(of.modified)) }}
{%- endmacro %}

{# Write the fingerprints of this table's days: of those that `changed`, a condition; others stay as they are in `known`,
   what days_of(this) was before. GMV is kept apart, for what follows that alone. #}
{% macro keep_days(changed, known) -%}
    {%- if 'row_fingerprint' not in model.columns or 'order_date' not in model.columns -%}{{ return('') }}{%- endif -%}
    {%- set columns = 'order_date, is_gmv' if 'is_gmv' in model.columns else 'order_date' -%}
    {%- set kept -%}
        create or replace table {{ days_beside(this) }} (
            order_date date options (description = 'Day whose rows these are'),
            {%- if 'is_gmv' in columns %}
            is_gmv bool options (description = 'Whether they count as GMV'),
            {%- endif %}
            row_fingerprint int64 options (description = 'XOR of their fingerprints')
        )
        options (
            description = 'Fingerprints of the days of {{ this.identifier }}, for the next build to find those that changed',
            labels = [('table_modified', '{{ milliseconds_of(adapter.get_bq_table(this).modified) }}')]
        ) as
        select {{ columns }}, bit_xor(row_fingerprint) as row_fingerprint
        from {{ this }}
        {%- if known %}
        where {{ changed }}
        {%- endif %}
        group by {{ columns }}
        {%- if known %}
        union all
        select {{ columns }}, row_fingerprint from {{ known }}
        where not {{ changed }}
        {%- endif %}
    {%- endset -%}
    {%- do run_query(kept) -%}
{%- endmacro %}

{% macro days_beside(table) -%}
    {{ return(api.Relation.create(table.database, table.schema, table.identifier ~ '__days')) }}
{%- endmacro %}

{% macro milliseconds_of(time) -%}
    {{ return((time.timestamp() * 1000) | round | int | string) }}
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
