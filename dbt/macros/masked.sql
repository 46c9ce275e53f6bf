{# A personal value as marts show it: its first character, so that people can tell rows apart who may see the source;
   nothing at all of somebody who left. `keep_domain` leaves the domain of an e-mail address. #}
{% macro masked(column, is_deleted, keep_domain=false) -%}
    case
        when {{ column }} is null then null
        when {{ is_deleted }} then '[deleted]'
        else concat(left({{ column }}, 1), '***'
            {%- if keep_domain %}, coalesce(regexp_extract({{ column }}, '@[^@]*$'), ''){% endif %})
    end
{%- endmacro %}
