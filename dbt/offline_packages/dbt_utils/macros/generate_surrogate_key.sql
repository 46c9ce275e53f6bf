{# MD5, in hexadecimal, of the columns' texts joined by '-'. NULL has a text of its own, so NULL and '' differ. #}
{% macro generate_surrogate_key(field_list) -%}
    {%- set parts = [] -%}
    {%- for field in field_list -%}
        {%- do parts.append("coalesce(cast(" ~ field ~ " as string), '_dbt_utils_surrogate_key_null_')") -%}
    {%- endfor -%}
    to_hex(md5(concat({{ parts | join(", '-', ") }})))
{%- endmacro %}
