{# Half-open intervals [valid_from, valid_to) of an entity follow one another without overlap or hole, none is empty,
   and at most one is open. Returns each faulty interval with its fault. #}
{% test intervals_are_whole(model, entity_column) %}
    {{ config(store_failures=true, tags=['gate']) }}
    with intervals as (
        select
            {{ entity_column }},
            valid_from,
            valid_to,
            lead(valid_from) over (
                partition by {{ entity_column }} order by valid_from, valid_to nulls last
            ) as next_valid_from,
            countif(valid_to is null) over (partition by {{ entity_column }}) as open_intervals
        from {{ model }}
    ),

    judged as (
        select
            *,
            case
                when valid_to <= valid_from then 'empty'
                when open_intervals > 1 then 'several current'
                when next_valid_from < coalesce(valid_to, timestamp '9999-12-31 00:00:00+00') then 'overlap'
                when next_valid_from > valid_to then 'hole'
            end as fault
        from intervals
    )

    select * from judged
    where fault is not null
{% endtest %}
