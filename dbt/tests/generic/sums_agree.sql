{# Sums of `columns` per `group_by` are the same here and in `upstream`; a group missing on one side counts as 0.
   `upstream_group_by` gives the same keys as they are written over there, where that differs. #}
{% test sums_agree(model, upstream, columns, group_by, upstream_group_by=none) %}
    {{ config(store_failures=true, tags=['gate']) }}
    with both_sides as (
        select
            {%- for key in group_by %}
            {{ key }} as key_{{ loop.index }},
            {%- endfor %}
            {%- for column in columns %}
            {{ column }} as found_value_{{ loop.index }},
            0 as expected_value_{{ loop.index }}{{ ',' if not loop.last }}
            {%- endfor %}
        from {{ model }}
        union all
        select
            {%- for key in upstream_group_by or group_by %}
            {{ key }},
            {%- endfor %}
            {%- for column in columns %}
            0,
            {{ column }}{{ ',' if not loop.last }}
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
