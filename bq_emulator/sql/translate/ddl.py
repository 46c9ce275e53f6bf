"""CREATE, ALTER and DROP of schemas, tables and views."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from bq_emulator.model import (
    AlterSchema,
    AlterTable,
    BigQueryError,
    CopyTable,
    CreateSchema,
    CreateTable,
    CreateView,
    DropSchema,
    DropTable,
    Field,
    Query,
)
from bq_emulator.sql import types
from bq_emulator.sql.catalog import table_ref
from bq_emulator.sql.resolved import Node
from bq_emulator.sql.translate import copies, options
from bq_emulator.sql.translate.context import Context, unsupported
from bq_emulator.sql.translate.names import Names
from bq_emulator.sql.translate.query import query
from bq_emulator.sql.types import quote


def column_field(context: Context, node: Node) -> Field:
    """A column definition with its constraints, limits and description."""
    if node.generated_column_info is not None:
        raise unsupported("A generated column")
    field = types.from_proto(node.type).field(node.name)
    if node.annotations is not None:
        field = _annotated(context, field, node.annotations)
    if node.default_value is not None:
        field = replace(field, default_expression=node.default_value.sql)
    return field


def _annotated(context: Context, field: Field, notes: Node) -> Field:
    given = options.evaluate(context, notes.option_list)
    unknown = set(given) - {"description", "rounding_mode"}
    if unknown:
        raise BigQueryError("invalidQuery", f"Unknown option: {', '.join(sorted(unknown))}", "query")
    if given.get("description") is not None:
        field = replace(field, description=given["description"])
    if notes.not_null:
        if field.mode == "REPEATED":
            raise BigQueryError("invalidQuery", f"NOT NULL cannot be applied to ARRAY field {field.name}", "query")
        field = replace(field, mode="REQUIRED")
    children = notes.child_list
    if field.mode == "REPEATED" and children:
        element = _annotated(context, replace(field, mode="NULLABLE"), children[0])
        return replace(element, mode="REPEATED", description=field.description)
    if field.type == "STRUCT" and children:
        pairs = zip(field.fields, children, strict=False)
        inner = [_annotated(context, each, child) for each, child in pairs]
        field = replace(field, fields=(*inner, *field.fields[len(inner) :]))
    return limits(field, notes.type_parameters)


def limits(field: Field, parameters: Any) -> Field:
    """``field`` with the n of STRING(n) or the p and s of NUMERIC(p, s)."""
    if parameters is None:
        return field
    if parameters.HasField("string_type_parameters"):
        return replace(field, max_length=parameters.string_type_parameters.max_length)
    if parameters.HasField("numeric_type_parameters"):
        numeric = parameters.numeric_type_parameters
        return replace(field, precision=numeric.precision, scale=numeric.scale)
    return field


def create_table(context: Context, names: Names, node: Node) -> CreateTable | CopyTable:
    if copies.is_copy(node):
        return copies.copy_table(context, names, node)
    if node.collation_name is not None:
        raise unsupported("COLLATE")
    if node.check_constraint_list:
        raise unsupported("A CHECK constraint")
    schema = tuple(column_field(context, each) for each in node.column_definition_list)
    rows = None
    if node.kind == "CreateTableAsSelectStmt":
        rows = _as_select(context, node, schema)
    partitioning = _partitioning(context, node.partition_by_list)
    if rows is not None and partitioning and "field" not in partitioning:
        message = "CREATE TABLE AS SELECT cannot be combined with PARTITION BY _PARTITIONDATE or _PARTITIONTIME"
        raise BigQueryError("invalidQuery", message, "query")
    key = node.primary_key
    is_temporary = node.create_scope == "CREATE_TEMP"
    path = tuple(node.name_path)
    return CreateTable(
        "CREATE_TABLE_AS_SELECT" if rows is not None else "CREATE_TABLE",
        target=names.scope.for_temp_table(path) if is_temporary else names.named_table(path),
        schema=schema,
        query=rows,
        or_replace=node.create_mode == "CREATE_OR_REPLACE",
        if_not_exists=node.create_mode == "CREATE_IF_NOT_EXISTS",
        is_temporary=is_temporary,
        time_partitioning=partitioning if partitioning and "type" in partitioning else None,
        range_partitioning=partitioning if partitioning and "range" in partitioning else None,
        clustering=tuple(_column_name(each, "CLUSTER BY") for each in node.cluster_by_list),
        options=options.evaluate(context, node.option_list),
        primary_key=tuple(key.column_name_list) if key is not None else (),
        foreign_keys=tuple(_foreign_key(context, each) for each in node.foreign_key_list),
    )


def _as_select(context: Context, node: Node, schema: tuple[Field, ...]) -> Query:
    """The query with the table's columns; NULL arrays become empty ones."""
    inner = query(context, node)
    pairs = list(zip(inner.schema, schema, strict=True))
    if all(source.name == target.name and target.mode != "REPEATED" for source, target in pairs):
        return replace(inner, schema=schema)
    items = []
    for source, target in pairs:
        text = quote(source.name)
        items.append(f"{f'coalesce({text}, [])' if target.mode == 'REPEATED' else text} AS {quote(target.name)}")
    return replace(inner, sql=f"SELECT {', '.join(items)} FROM ({inner.sql})", schema=schema)


def _column_name(node: Node, clause: str) -> str:
    if node.kind != "ColumnRef":
        raise BigQueryError("invalidQuery", f"{clause} expression must be a column", "query")
    return str(node.column.name)


#: Function at the top of PARTITION BY → the part it stands for, None where its argument says.
PARTITION_FUNCTIONS = {
    "date": "DAY",
    "date_trunc": None,
    "datetime_trunc": None,
    "timestamp_trunc": None,
}
PARTITION_TYPES = ("HOUR", "DAY", "MONTH", "YEAR")


def _partitioning(context: Context, nodes: list[Node]) -> dict[str, Any] | None:
    """PARTITION BY as REST's timePartitioning or rangePartitioning."""
    if not nodes:
        return None
    if len(nodes) > 1:
        raise BigQueryError("invalidQuery", "Only a single PARTITION BY expression is supported", "query")
    node = nodes[0]
    if node.kind == "ColumnRef":
        if types.from_proto(node.type).name != "DATE":
            raise BigQueryError(
                "invalidQuery",
                "PARTITION BY expression must be DATE(<timestamp_column>), DATE(<datetime_column>), DATETIME_TRUNC("
                "<datetime_column>, DAY/HOUR/MONTH/YEAR), a DATE column, TIMESTAMP_TRUNC(<timestamp_column>, "
                "DAY/HOUR/MONTH/YEAR), DATE_TRUNC(<date_column>, MONTH/YEAR), or "
                "RANGE_BUCKET(<int64_column>, GENERATE_ARRAY(<int64_value>, <int64_value>[, <int64_value>]))",
                "query",
            )
        return _by_column("DAY", str(node.column.name))
    if node.kind == "FunctionCall":
        function = node.function.name.removeprefix("ZetaSQL:")
        arguments = node.argument_list
        if function == "range_bucket":
            return _range_partitioning(context, arguments)
        if function in PARTITION_FUNCTIONS:
            from zetasql.wasi._pb2.zetasql.public.functions import datetime_pb2

            part = PARTITION_FUNCTIONS[function]
            if part is None:
                number = options.constant(context, arguments[1])
                part = datetime_pb2.DateTimestampPart.Name(number)
            if part in PARTITION_TYPES:
                return _by_column(part, _column_name(arguments[0], "PARTITION BY"))
    raise unsupported("This PARTITION BY expression")


def _by_column(part: str, column: str) -> dict[str, Any]:
    """REST's timePartitioning; one without a field goes by ingestion time."""
    return {"type": part} if column.upper() in ("_PARTITIONTIME", "_PARTITIONDATE") else {"type": part, "field": column}


def _range_partitioning(context: Context, arguments: list[Node]) -> dict[str, Any]:
    bounds = [options.constant(context, each) for each in arguments[1].argument_list]
    start, end, *step = bounds
    interval = step[0] if step else 1
    limits_of_range = {"start": str(start), "end": str(end), "interval": str(interval)}
    return {"field": _column_name(arguments[0], "PARTITION BY"), "range": limits_of_range}


def _foreign_key(context: Context, node: Node) -> dict[str, Any]:
    """A foreign key as REST's tableConstraints.foreignKeys."""
    if node.enforced:
        raise BigQueryError("invalidQuery", "Enforced foreign key constraints are not supported", "query")
    referenced = context.tables[node.referenced_table.serialization_id]
    if referenced.ref not in context.referenced:
        context.referenced.append(referenced.ref)
    pairs = zip(node.referencing_column_list, node.referenced_column_offset_list, strict=True)
    return {
        **({"name": node.constraint_name} if node.constraint_name else {}),
        "referencedTable": {
            "projectId": referenced.ref.project,
            "datasetId": referenced.ref.dataset,
            "tableId": referenced.ref.table,
        },
        "columnReferences": [
            {"referencingColumn": name, "referencedColumn": referenced.schema[offset].name} for name, offset in pairs
        ],
    }


def create_view(context: Context, names: Names, node: Node) -> CreateView:
    materialized = node.kind == "CreateMaterializedViewStmt"
    if node.recursive:
        raise unsupported("A recursive view")
    target = names.named_table(node.name_path)
    for path in names.read:
        if names.scope.temp_table(path) is not None:
            message = f"A view cannot refer to the temporary table {'.'.join(path)}"
            raise BigQueryError("invalidQuery", message, "query")
        if len(path) == 1 and table_ref(path, names.project, names.default_dataset).dataset != target.dataset:
            message = f'Table "{path[0]}" must be qualified with a dataset (e.g. dataset.table).'
            raise BigQueryError("invalid", message, path[0])
    for name in names.scope.functions:
        if re.search(rf"\b{re.escape(name)}\b", node.sql, re.IGNORECASE):
            message = f"A view cannot refer to the temporary function {name}"
            raise BigQueryError("invalidQuery", message, "query")
    compiled = query(context, node)
    if context.variables_read:
        message = f"A view cannot refer to the variable {context.variables_read[0]}"
        raise BigQueryError("invalidQuery", message, "query")
    schema = compiled.schema
    if node.column_definition_list:
        schema = tuple(
            replace(kind, name=definition.name, description=column_field(context, definition).description)
            for kind, definition in zip(compiled.schema, node.column_definition_list, strict=True)
        )
    elif node.has_explicit_columns:
        pairs = zip(compiled.schema, node.output_column_list, strict=True)
        schema = tuple(replace(kind, name=output.name) for kind, output in pairs)
    return CreateView(
        "CREATE_MATERIALIZED_VIEW" if materialized else "CREATE_VIEW",
        target=target,
        schema=schema,
        view_query=node.sql,
        or_replace=node.create_mode == "CREATE_OR_REPLACE",
        if_not_exists=node.create_mode == "CREATE_IF_NOT_EXISTS",
        is_materialized=materialized,
        options=options.evaluate(context, node.option_list),
        **(_layout(context, node) if materialized else {}),
    )


def _layout(context: Context, node: Node) -> dict[str, Any]:
    """PARTITION BY and CLUSTER BY of a materialized view."""
    partitioning = _partitioning(context, node.partition_by_list) or {}
    return {
        "time_partitioning": partitioning if "type" in partitioning else None,
        "range_partitioning": partitioning if "range" in partitioning else None,
        "clustering": tuple(_column_name(each, "CLUSTER BY") for each in node.cluster_by_list),
    }


def create_schema(context: Context, names: Names, node: Node) -> CreateSchema:
    project, dataset = names.dataset(node.name_path)
    return CreateSchema(
        "CREATE_SCHEMA",
        project=project,
        dataset=dataset,
        or_replace=node.create_mode == "CREATE_OR_REPLACE",
        if_not_exists=node.create_mode == "CREATE_IF_NOT_EXISTS",
        options=options.evaluate(context, node.option_list),
    )


def drop(context: Context, names: Names, node: Node) -> DropSchema | DropTable:
    if node.kind == "DropSnapshotTableStmt":
        return DropTable("DROP_SNAPSHOT_TABLE", names.table(node.name_path), "SNAPSHOT", node.is_if_exists)
    kind = "MATERIALIZED VIEW" if node.kind == "DropMaterializedViewStmt" else node.object_type.upper()
    if kind == "SCHEMA":
        project, dataset = names.dataset(node.name_path)
        return DropSchema("DROP_SCHEMA", project, dataset, node.is_if_exists, node.drop_mode == "CASCADE")
    if kind not in ("TABLE", "VIEW", "MATERIALIZED VIEW"):
        raise unsupported(f"DROP {kind}")
    name = kind.replace(" ", "_")
    return DropTable(f"DROP_{name}", names.table(node.name_path), name, node.is_if_exists)


def alter_schema(context: Context, names: Names, node: Node) -> AlterSchema:
    project, dataset = names.dataset(node.name_path)
    given: dict[str, Any] = {}
    for action in node.alter_action_list:
        if action.kind != "SetOptionsAction":
            raise unsupported(f"ALTER SCHEMA with {action.kind}")
        given |= options.evaluate(context, action.option_list)
    return AlterSchema("ALTER_SCHEMA", project, dataset, node.is_if_exists, given)


def alter(context: Context, names: Names, node: Node) -> AlterTable:
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", node.kind.removesuffix("Stmt")).upper().removesuffix("_SET_OPTIONS")
    if node.kind == "AlterTableSetOptionsStmt":
        actions = [{"action": "set_options", "options": options.evaluate(context, node.option_list)}]
    else:
        actions = [_action(context, each) for each in node.alter_action_list]
        if names.scope.temp_table(tuple(node.name_path)) and any(each["action"] == "rename_to" for each in actions):
            raise unsupported("RENAME TO of a temporary table")
    return AlterTable(kind, names.table(node.name_path), node.is_if_exists, tuple(actions))


def _action(context: Context, node: Node) -> dict[str, Any]:
    if node.kind == "AddColumnAction":
        field = column_field(context, node.column_definition)
        if field.mode == "REQUIRED":
            message = "Cannot add required columns to an existing table"
            raise BigQueryError("invalidQuery", message, "query")
        return {"action": "add_column", "field": field, "if_not_exists": node.is_if_not_exists}
    if node.kind == "DropColumnAction":
        return {"action": "drop_column", "name": node.name, "if_exists": node.is_if_exists}
    if node.kind == "RenameColumnAction":
        return {"action": "rename_column", "old": node.name, "new": node.new_name, "if_exists": node.is_if_exists}
    if node.kind == "AlterColumnSetDataTypeAction":
        field = limits(types.from_proto(node.updated_type).field(node.column), node.updated_type_parameters)
        return {"action": "alter_column_type", "name": node.column, "field": field}
    if node.kind == "AlterColumnDropNotNullAction":
        return {"action": "drop_not_null", "name": node.column}
    if node.kind == "AlterColumnOptionsAction":
        given = options.evaluate(context, node.option_list)
        return {"action": "set_column_options", "name": node.column, "options": given}
    if node.kind == "SetOptionsAction":
        return {"action": "set_options", "options": options.evaluate(context, node.option_list)}
    if node.kind == "RenameToAction":
        return {"action": "rename_to", "name": node.new_path[-1]}
    if node.kind == "AlterColumnSetDefaultAction":
        return {"action": "set_default", "name": node.column, "expression": node.default_value.sql}
    if node.kind == "AlterColumnDropDefaultAction":
        return {"action": "drop_default", "name": node.column}
    if node.kind == "AddConstraintAction" and node.constraint.kind == "PrimaryKey":
        columns = tuple(node.constraint.column_name_list)
        return {"action": "add_primary_key", "columns": columns, "if_not_exists": node.is_if_not_exists}
    if node.kind == "AddConstraintAction" and node.constraint.kind == "ForeignKey":
        return {"action": "add_foreign_key", "key": _foreign_key(context, node.constraint)}
    if node.kind == "DropPrimaryKeyAction":
        return {"action": "drop_primary_key", "if_exists": node.is_if_exists}
    if node.kind == "DropConstraintAction":
        return {"action": "drop_constraint", "name": node.name, "if_exists": node.is_if_exists}
    raise unsupported(f"ALTER with {node.kind}")
