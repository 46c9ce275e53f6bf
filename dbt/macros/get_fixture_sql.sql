{# The rows of a unit test's input, in place of dbt's macro of this name. dbt writes every column of the input into every
   row, NULL where the test says nothing of it; here a row has the columns that the test's rows give, and the others are
   NULL once. What a unit test takes is above all analyzing its statements, column by column. #}
{% macro get_fixture_sql(rows, column_name_to_data_types) %}
{%- if not rows -%}{{ return(dbt.get_fixture_sql(rows, column_name_to_data_types)) }}{%- endif -%}
{%- set input = defer_relation if defer_relation and not load_relation(this) else this -%}
{%- set types = {} -%}
{%- for column in adapter.get_columns_in_relation(input) -%}
    {%- do types.update({column.name | lower: column.data_type}) -%}
{%- endfor -%}
{%- if not types -%}
    {{ exceptions.raise_compiler_error("The input '" ~ model.name ~ "' of a unit test has no columns in " ~ input
        ~ ": build it first (dbt build --select +" ~ model.name ~ ")") }}
{%- endif -%}
{%- set formatted = [] -%}
{%- set given = {} -%}
{%- for row in rows -%}
    {%- do formatted.append(format_row(row, types)) -%}
    {%- do given.update(formatted[-1]) -%}
{%- endfor -%}
-- Fixture for {{ model.name }}
select
{%- for name, type in types.items() %}
    {{ adapter.quote(name) if name in given else safe_cast('null', type) ~ ' as ' ~ adapter.quote(name) }}
    {{- ',' if not loop.last }}
{%- endfor %}
from (
{%- for row in formatted %}
    select {% for name in given -%}
        {{ row.get(name, safe_cast('null', types[name])) }} as {{ adapter.quote(name) }}{{ ', ' if not loop.last }}
    {%- endfor %}
    {{- ' union all' if not loop.last }}
{%- endfor %}
)
{% endmacro %}
