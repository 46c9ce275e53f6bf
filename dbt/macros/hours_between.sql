{# Hours from one instant to another, NUMERIC with 2 decimals; NULL when either is missing. #}
{% macro hours_between(start, ending) -%}
    round(cast(timestamp_diff({{ ending }}, {{ start }}, second) as numeric) / 3600, 2)
{%- endmacro %}
