{# Every value of the column is a key of `upstream`. Tables are read one after the other, so the referenced row of an order
   placed while the sync ran may come with the next one: rows ordered after the latest extraction of `upstream` wait. #}
{% test references_upstream(model, column_name, upstream, key, ordered_on='order_date') %}
    {{ config(store_failures=true, tags=['gate']) }}
    select
        referencing.{{ column_name }},
        count(*) as row_count
    from {{ model }} as referencing
    left join {{ upstream_relation(model, upstream) }} as referenced
        on referencing.{{ column_name }} = referenced.{{ key }}
    where
        referenced.{{ key }} is null
        and referencing.{{ ordered_on }} < (
            select date(max(_airbyte_extracted_at), 'UTC') from {{ upstream_relation(model, upstream) }}
        )
    group by referencing.{{ column_name }}
{% endtest %}
