{# Datasets are named as declared (staging, intermediate, marts, …), not <target dataset>_<declared> as dbt does by
   default. DBT_DATASET_PREFIX keeps a developer's or a CI run's datasets apart within one project. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ env_var('DBT_DATASET_PREFIX', '') }}{{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
