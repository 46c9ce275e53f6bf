{# For models that collect rows somebody must look at. #}
{% test has_no_rows(model) %}
    select * from {{ model }}
{% endtest %}
