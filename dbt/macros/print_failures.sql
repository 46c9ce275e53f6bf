{# Print the failing rows that tests have kept in test_failures: those of each test's latest run.
   dbt run-operation print_failures [--args '{limit: 20, test: gate_payments__event_id_unique}'] #}
{% macro print_failures(limit=10, test=none) -%}
    {%- set kept = graph.nodes.values() | selectattr('resource_type', 'equalto', 'test')
        | selectattr('config.store_failures') | sort(attribute='name') -%}
    {%- set failing = [] -%}
    {%- for node in kept if test is none or node.name == test -%}
        {%- set relation = adapter.get_relation(node.database, node.schema, node.alias) -%}
        {%- if relation -%}
            {%- set rows = run_query('select * from ' ~ relation ~ ' limit ' ~ limit) -%}
            {%- if rows | length -%}
                {%- do failing.append(node.name) -%}
                {%- set total = run_query('select count(*) from ' ~ relation).columns[0].values()[0] -%}
                {%- do print('\n' ~ node.name ~ ': ' ~ total ~ ' failing rows, in ' ~ relation) -%}
                {%- do rows.print_table(max_rows=limit, max_columns=20) -%}
            {%- endif -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if not failing -%}
        {%- do print('No failing rows are kept' ~ (' of ' ~ test if test else '') ~ '.') -%}
    {%- endif -%}
{%- endmacro %}
