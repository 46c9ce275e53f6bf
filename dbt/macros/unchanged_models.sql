{# Make's rule: a model whose inputs are what it was built from is left as it is: nothing read, nothing written.

   A table carries a fingerprint of what it was built from in its label `inputs`: its compiled code and its config; of a
   raw table when it was last written; of a seed its rows; of a view its query and what that reads; of another model its
   own label, so that a model left as it is leaves those behind it so, too. The fingerprint is taken before the model is
   built and stored after it, and a table that is replaced loses its label: what fails half-way, or is written to
   meanwhile, is built again. Of an incremental model's code counts what it is to hold, not of which days it is written
   (`changed_days.sql`): that is another at each run. Code that asks for the current date is another on each day. A table
   changed by hand is not noticed; --full-refresh builds in any case. Reading a table's metadata costs nothing on
   BigQuery. #}

{% macro inputs_of_model() -%}
    {%- set days = changed_days_in(compiled_code) -%}
    {%- set code = compiled_code | replace(days, var('rebuild_from', '') ~ var('rebuild_to', '')) if days else compiled_code -%}
    {%- set found = [code_fingerprint(code), local_md5(tojson(model.config)), tojson(model.columns), parents_of_model()] -%}
    {{ return(local_md5(found | join('\n'))) }}
{%- endmacro %}

{% macro parents_of_model() -%}
    {%- set found = [] -%}
    {%- for unique_id in model.depends_on.nodes -%}
        {%- do found.append(relation_fingerprint(unique_id)) -%}
    {%- endfor -%}
    {{ return(local_md5(found | join('\n'))) }}
{%- endmacro %}

{# The columns a model has promised, its code and that of all models before it, as it is written. #}
{% macro code_of_model() -%}
    {%- set nodes = [model.unique_id] -%}
    {%- for unique_id in nodes if unique_id in graph.nodes -%}
        {%- for parent in graph.nodes[unique_id].depends_on.nodes if parent not in nodes -%}
            {%- do nodes.append(parent) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- set found = [model.contract.checksum] -%}
    {%- for unique_id in nodes | sort if unique_id in graph.nodes -%}
        {%- do found.append(graph.nodes[unique_id].raw_code) -%}
    {%- endfor -%}
    {{ return(local_md5(found | join('\n'))) }}
{%- endmacro %}

{% macro code_fingerprint(sql) -%}
    {#- CURRENT_DATE and CURRENT_DATETIME, CURRENT_TIME and CURRENT_TIMESTAMP -#}
    {%- set asks_the_clock = 'current_date' in sql | lower or 'current_time' in sql | lower -%}
    {{ return(local_md5(sql ~ (run_started_at.date() if asks_the_clock else ''))) }}
{%- endmacro %}

{% macro relation_fingerprint(unique_id) -%}
    {%- set node = graph.sources[unique_id] if unique_id in graph.sources else graph.nodes[unique_id] -%}
    {%- set relation = api.Relation.create(node.database, node.schema, node.identifier or node.alias) -%}
    {%- set table = adapter.get_bq_table(relation) -%}
    {%- if not table -%}
        {#- built elsewhere (--defer): nothing is known of it, so it is another at each run -#}
        {{ return(invocation_id) }}
    {%- elif node.resource_type == 'seed' -%}
        {%- set rows = run_query('select bit_xor(farm_fingerprint(to_json_string(t))) from ' ~ relation ~ ' as t') -%}
        {{ return(rows.columns[0].values()[0] | string) }}
    {%- elif table.table_type == 'VIEW' -%}
        {%- set found = [code_fingerprint(table.view_query)] -%}
        {%- for parent in node.depends_on.nodes -%}
            {%- do found.append(relation_fingerprint(parent)) -%}
        {%- endfor -%}
        {{ return(found | join('\n')) }}
    {%- endif -%}
    {{ return(table.labels.get('inputs') or (table.modified | string)) }}
{%- endmacro %}

{% macro is_built_from(inputs) -%}
    {%- set table = none if should_full_refresh() else adapter.get_bq_table(this) -%}
    {{ return(table is not none and table.table_type == 'TABLE' and table.labels.get('inputs') == inputs) }}
{%- endmacro %}

{% macro leave_unchanged() -%}
    {%- do store_raw_result('main', message='UNCHANGED', code='UNCHANGED', rows_affected=0) -%}
    {{ return({'relations': [this.incorporate(type='table')]}) }}
{%- endmacro %}

{% macro remember(labels) -%}
    {%- set pairs = labels.items() | map('join', "', '") | join("'), ('") -%}
    {%- do run_query("alter table " ~ this ~ " set options (labels = [('" ~ pairs ~ "')])") -%}
{%- endmacro %}

{% materialization table, adapter='bigquery', supported_languages=['sql'] %}
    {%- set inputs = inputs_of_model() -%}
    {%- if is_built_from(inputs) -%}{{ return(leave_unchanged()) }}{%- endif -%}
    {%- set built = dbt.materialization_table_bigquery() -%}
    {%- do remember({'inputs': inputs}) -%}
    {%- do keep_days('true', none) -%}
    {{ return(built) }}
{% endmaterialization %}

{% materialization incremental, adapter='bigquery', supported_languages=['sql'] %}
    {%- set inputs = inputs_of_model() -%}
    {%- if is_built_from(inputs) -%}{{ return(leave_unchanged()) }}{%- endif -%}
    {%- set labels = {'inputs': inputs, 'code': code_of_model(), 'parents': parents_of_model()} -%}
    {%- set changed = changed_days_in(compiled_code) -%}
    {%- set known = days_of(this) if changed not in [none, 'true'] else none -%}
    {%- if changed == 'false' -%}
        {%- set built = leave_unchanged() -%}
    {%- else -%}
        {%- set built = dbt.materialization_incremental_bigquery() -%}
    {%- endif -%}
    {%- do remember(labels) -%}
    {%- do keep_days(changed, known) -%}
    {{ return(built) }}
{% endmaterialization %}
