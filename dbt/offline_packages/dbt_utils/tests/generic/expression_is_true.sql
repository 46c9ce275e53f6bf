{# As a column's test the expression follows the column's name. #}
{% test expression_is_true(model, expression, column_name=none) %}
    select *
    from {{ model }}
    where not ({{ column_name or '' }} {{ expression }})
{% endtest %}
