{# `expression` is true of every row; of others the columns `show` are kept. (Tests of dbt's own keep all columns, so
   BigQuery would read the whole table each time.) #}
{% test true_of_every_row(model, expression, show) %}
    {{ config(store_failures=true, tags=['gate']) }}
    select {{ show | join(', ') }}
    from {{ model }}
    where not coalesce({{ expression }}, false)
{% endtest %}
