{# Sums of `columns` per `group_by` are the same here and in `upstream`; a group missing on one side counts as 0. Where a
   column is not of the same name over there, `columns` is a mapping of the name to what is summed upstream, or to both
   sides' expressions, `here` and `upstream`. `upstream_group_by` gives the same keys as they are written over there, where
   that differs. #}
{% test sums_agree(model, upstream, columns, group_by, upstream_group_by=none) %}
    {{ config(store_failures=true, tags=['gate']) }}
    {%- set sums = [] -%}
    {%- for name in columns -%}
        {%- set given = columns[name] if columns is mapping else name -%}
        {%- do sums.append(given if given is mapping else {'here': name, 'upstream': given}) -%}
    {%- endfor %}
    with both_sides as (
        select
            {%- for key in group_by %}
            {{ key }} as key_{{ loop.index }},
            {%- endfor %}
            {%- for sum in sums %}
            {{ sum.here }} as found_value_{{ loop.index }},
            0 as expected_value_{{ loop.index }}{{ ',' if not loop.last }}
            {%- endfor %}
        from {{ model }}
        union all
        select
            {%- for key in upstream_group_by or group_by %}
            {{ key }},
            {%- endfor %}
            {%- for sum in sums %}
            0,
            {{ sum.upstream }}{{ ',' if not loop.last }}
            {%- endfor %}
        from {{ upstream_relation(model, upstream) }}
    ),

    sums as (
        select
            {%- for key in group_by %}
            key_{{ loop.index }},
            {%- endfor %}
            {%- for column in columns %}
            sum(found_value_{{ loop.index }}) as found_{{ column }},
            sum(expected_value_{{ loop.index }}) as expected_{{ column }}{{ ',' if not loop.last }}
            {%- endfor %}
        from both_sides
        group by {% for key in group_by %}key_{{ loop.index }}{{ ', ' if not loop.last }}{% endfor %}
    )

    select * from sums
    where
        {%- for column in columns %}
        {{ 'or ' if not loop.first }}found_{{ column }} is distinct from expected_{{ column }}
        {%- endfor %}
{% endtest %}
