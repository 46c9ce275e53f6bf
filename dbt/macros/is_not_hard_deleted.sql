{# Condition that leaves out rows deleted at the source. Change data capture marks them with _ab_cdc_deleted_at; a raw
   table replicated by cursor or full refresh has no such column, so it is looked up. #}
{% macro is_not_hard_deleted(raw_table) -%}
    {%- set columns = adapter.get_columns_in_relation(raw_table) if execute else [] -%}
    {%- if '_ab_cdc_deleted_at' in columns | map(attribute='name') -%}
        _ab_cdc_deleted_at is null
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}
