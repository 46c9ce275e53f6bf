{# The column is a primary key: it has a value in every row, and no value twice. One statement where unique and not_null
   are two: BigQuery bills at least 10 MB for each. (Marts need `unique` alone: their contract has the key NOT NULL.) #}
{% test primary_key(model, column_name) %}
    select {{ column_name }}, count(*) as occurrences
    from {{ model }}
    group by {{ column_name }}
    having {{ column_name }} is null or count(*) > 1
{% endtest %}
