{# GROUP BY / PARTITION BY columns of a payment event: rows share an event when they share an event_id; a row without
   one is an event of its own. #}
{% macro payment_event_key() -%}
    event_id, if(event_id is null, payment_id, null)
{%- endmacro %}
