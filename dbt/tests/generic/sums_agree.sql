{# Sums of `columns` per `group_by` are the same here and in `upstream`; a group missing on one side counts as 0. #}
{% test sums_agree(model, upstream, columns, group_by) %}
    {{ config(store_failures=true, tags=['gate']) }}
    {%- set keys = group_by | join(', ') %}
    with both_sides as (
        select
            {{ keys }}
            {%- for column in columns %},
            {{ column }} as found_value_{{ loop.index }},
            0 as expected_value_{{ loop.index }}
            {%- endfor %}
        from {{ model }}
        union all
        select
            {{ keys }}
            {%- for column in columns %},
            0,
            {{ column }}
            {%- endfor %}
        from {{ upstream_relation(model, upstream) }}
    ),

    sums as (
        select
            {{ keys }}
            {%- for column in columns %},
            sum(found_value_{{ loop.index }}) as found_{{ column }},
            sum(expected_value_{{ loop.index }}) as expected_{{ column }}
            {%- endfor %}
        from both_sides
        group by {{ keys }}
    )

    select * from sums
    where
        {%- for column in columns %}
        {{ 'or ' if not loop.first }}found_{{ column }} is distinct from expected_{{ column }}
        {%- endfor %}
{% endtest %}
