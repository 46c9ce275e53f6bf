"""Queries: a scan with the names and types of its result."""

from __future__ import annotations

from dataclasses import replace

from bq_emulator.model import GENERATED, BigQueryError, Field, Projection, Query
from bq_emulator.sql import types
from bq_emulator.sql.resolved import Node
from bq_emulator.sql.translate.context import Context, column
from bq_emulator.sql.translate.scan import scan
from bq_emulator.sql.translate.select import Select
from bq_emulator.sql.types import Type, quote


def query(context: Context, node: Node) -> Query:
    """A QueryStmt, or any statement with a ``query`` and an ``output_column_list``.

    Raises:
        BigQueryError: invalidQuery where two result columns share a name.
    """
    select = scan(context, node.query)
    outputs = [
        (each.name, each.column.column_id, types.from_proto(each.column.type)) for each in node.output_column_list
    ]
    if node.is_value_table:
        return _value_table(context, select, outputs[0][1], outputs[0][2])
    anonymous = -1
    columns: list[tuple[Field, str]] = []
    for name, identifier, kind in outputs:
        if name.startswith("$"):
            anonymous += 1
            name = f"f{anonymous}_"
        columns.append((kind.field(name), result(context, column(identifier), kind)))
    found = _finish(context, select, columns)
    return replace(found, projection=_projection(context, node.query, [identifier for _, identifier, _ in outputs]))


def _projection(context: Context, node: Node, outputs: list[int]) -> Projection | None:
    source = node.input_scan if node.kind == "ProjectScan" else node
    if source.kind != "TableScan":
        return None
    table = context.tables[source.table.serialization_id]
    if table.view_query is not None:
        return None
    columns: dict[int, str] = {
        each.column_id: table.column_text(index)
        for index, each in zip(source.column_index_list, source.column_list, strict=True)
    }
    if source is not node:
        for item in node.expr_list:
            if item.expr.kind == "FunctionCall" and item.expr.function.name.endswith(":generate_uuid"):
                columns[item.column.column_id] = GENERATED
    return Projection(table.ref, tuple(columns.get(each) for each in outputs))


def result(context: Context, text: str, kind: Type) -> str:
    """A value as it leaves a query: arrays must not hold NULL."""
    return context.apply("bq_array_without_null({0})", [text]) if kind.name == "ARRAY" else text


def _value_table(context: Context, select: Select, identifier: int, kind: Type) -> Query:
    """SELECT AS STRUCT gives the struct's fields as columns, SELECT AS VALUE of anything else one column."""
    whole = column(identifier)
    if kind.name != "STRUCT":
        return _finish(context, select, [(kind.field("f0_"), result(context, whole, kind))])
    columns = []
    for place, (name, (_, member)) in enumerate(zip(kind.field_names(), kind.fields, strict=True), 1):
        text = result(context, f"struct_extract_at({whole}, {place})", member)
        columns.append((member.field(name), text))
    return _finish(context, select, columns)


def _finish(context: Context, select: Select, columns: list[tuple[Field, str]]) -> Query:
    schema = tuple(field for field, _ in columns)
    seen: set[str] = set()
    repeated = []
    for field in schema:
        if field.name.lower() in seen:
            repeated.append(field.name)
        seen.add(field.name.lower())
    if repeated:
        message = f"Duplicate column names in the result are not supported. Found duplicate(s): {', '.join(repeated)}"
        raise BigQueryError("invalidQuery", message, "query")
    items = [(text, quote(field.name)) for field, text in columns]
    if select.order_by:
        # Renamed in place: wrapped, the rows would not be known to stay in order.
        select.items = items
    else:
        select = Select(items, f"({select.sql()})")
    return Query("SELECT", sql=select.sql(), schema=schema, referenced_tables=tuple(context.referenced))
