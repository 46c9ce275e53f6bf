{# Rows here, plus the rows `dropped_column` says were left out, are exactly the rows of `upstream`. #}
{% test accounts_for_every_row(model, upstream, dropped_column=none) %}
    {{ config(store_failures=true, tags=['gate']) }}
    with counts as (
        select
            (select count(*) from {{ upstream_relation(model, upstream) }}) as rows_in,
            (select count(*) from {{ model }}) as rows_kept,
            {% if dropped_column -%}
            (select coalesce(sum({{ dropped_column }}), 0) from {{ model }}) as rows_dropped
            {%- else -%}
            0 as rows_dropped
            {%- endif %}
    )

    select * from counts
    where rows_in <> rows_kept + rows_dropped
{% endtest %}
