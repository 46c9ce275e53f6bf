{# The relation of the model or seed `name`, which the model under test (`model`, a relation) depends on.

   A test that calls ref() on a second model has two parents, and Cosmos gates reliably only on tests with one. The
   dependency is there already, through the model under test; this looks the relation up without declaring it twice,
   and refuses a name that is not upstream, because such a relation might not be built yet. #}
{% macro upstream_relation(model, name) -%}
    {%- if not execute -%}{{ return(model) }}{%- endif -%}
    {%- set nodes = graph.nodes.values() | selectattr('resource_type', 'in', ['model', 'seed']) | list -%}
    {%- set tested = nodes | selectattr('alias', 'equalto', model.identifier) | selectattr('schema', 'equalto', model.schema) | list -%}
    {%- if not tested -%}
        {{ exceptions.raise_compiler_error("upstream_relation: no model builds the tested relation " ~ model) }}
    {%- endif -%}
    {%- set ancestors = [] -%}
    {%- set to_visit = tested[0].depends_on.nodes | list -%}
    {%- for _ in graph.nodes if to_visit -%}
        {%- set unique_id = to_visit.pop() -%}
        {%- if unique_id in graph.nodes and unique_id not in ancestors -%}
            {%- do ancestors.append(unique_id) -%}
            {%- do to_visit.extend(graph.nodes[unique_id].depends_on.nodes) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set found = nodes | selectattr('name', 'equalto', name) | selectattr('unique_id', 'in', ancestors) | list -%}
    {%- if not found -%}
        {{ exceptions.raise_compiler_error("upstream_relation: '" ~ name ~ "' is not upstream of " ~ tested[0].name
            ~ "; name one of its ancestors, or make the model depend on it") }}
    {%- endif -%}
    {{ return(api.Relation.create(database=found[0].database, schema=found[0].schema, identifier=found[0].alias)) }}
{%- endmacro %}
