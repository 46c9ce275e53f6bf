{# Sums of `columns` per `group_by` are the same here and in `upstream`; a group missing on one side counts as 0. #}
{% test sums_agree(model, upstream, columns, group_by) %}
    {{ config(store_failures=true, tags=['gate']) }}
    with both_sides as (
        select {{ group_by | join(', ') }}, {% for column in columns %}{{ column }} as {{ column }}, 0 as expected_{{ column }}{{ ', ' if not loop.last }}{% endfor %}
        from {{ model }}
        union all
        select {{ group_by | join(', ') }}, {% for column in columns %}0, {{ column }}{{ ', ' if not loop.last }}{% endfor %}
        from {{ upstream_relation(model, upstream) }}
    )

    select {{ group_by | join(', ') }}, {% for column in columns %}sum({{ column }}) as {{ column }}, sum(expected_{{ column }}) as expected_{{ column }}{{ ', ' if not loop.last }}{% endfor %}
    from both_sides
    group by {{ group_by | join(', ') }}
    having {% for column in columns %}sum({{ column }}) <> sum(expected_{{ column }}){{ ' or ' if not loop.last }}{% endfor %}
{% endtest %}
