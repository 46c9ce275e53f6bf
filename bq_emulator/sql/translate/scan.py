"""Scans: the relational nodes of the resolved tree."""

from __future__ import annotations

import re
from collections.abc import Callable

from bq_emulator.model import Table
from bq_emulator.sql import literal, types
from bq_emulator.sql.functions.aggregates import Beneath
from bq_emulator.sql.resolved import Node
from bq_emulator.sql.translate.context import Context, column, unsupported
from bq_emulator.sql.translate.expr import aggregate, analytic, expression, order_item
from bq_emulator.sql.translate.select import Select
from bq_emulator.sql.types import quote


def scan(context: Context, node: Node) -> Select:
    """The rows of a scan; its columns are named by :func:`context.column`.

    Raises:
        BigQueryError: notImplemented, naming a node or function signature that is not in the tables.
    """
    translate = SCANS.get(node.kind)
    if translate is None:
        raise unsupported(node.kind)
    return translate(context, node)


def subquery(context: Context, node: Node) -> str:
    """The text of a scan as a query of exactly its columns, in order."""
    return exactly(scan(context, node), ids(node)).sql()


def exactly(select: Select, identifiers: list[int]) -> Select:
    """``select`` with these columns, in this order."""
    wanted = [column(each) for each in identifiers]
    if [name for _, name in select.items] == wanted:
        return select
    by_name = {name: (text, name) for text, name in select.items}
    if len(set(wanted)) == len(wanted) and set(wanted) <= set(by_name) and select.group_by is None:
        select.items = [by_name[name] for name in wanted]
        return select
    return Select([(name, name) for name in wanted], f"({select.sql()})")


def ids(node: Node) -> list[int]:
    """The ids of a scan's columns, each once."""
    return list(dict.fromkeys(each.column_id for each in node.column_list))


def _passed(node: Node) -> list[tuple[str, str]]:
    return [(column(each), column(each)) for each in ids(node)]


def _single_row(context: Context, node: Node) -> Select:
    return Select([])


def table_source(context: Context, table: Table) -> str:
    """The FROM text of a table or view, and a note that the statement reads it."""
    if table.ref not in context.referenced:
        context.referenced.append(table.ref)
    return f"({context.expand_view(table)})" if table.view_query is not None else table.physical


def _table(context: Context, node: Node) -> Select:
    if node.for_system_time_expr is not None:
        raise unsupported("FOR SYSTEM_TIME AS OF")
    table = context.tables[node.table.serialization_id]
    names = [table.column_text(index) for index in node.column_index_list]
    items = [(name, column(each.column_id)) for name, each in zip(names, node.column_list, strict=True)]
    return Select(items, table_source(context, table))


def _project(context: Context, node: Node) -> Select:
    inner = scan(context, node.input_scan)
    select = inner.opened() if node.input_scan.kind != "SingleRowScan" else inner
    computed = {item.column.column_id: expression(context, item.expr) for item in node.expr_list}
    select.items = [(computed.get(each) or column(each), column(each)) for each in ids(node)]
    return select


def _filter(context: Context, node: Node) -> Select:
    select = scan(context, node.input_scan).opened()
    select.items = _passed(node)
    select.where.append(expression(context, node.filter_expr))
    return select


def _join(context: Context, node: Node) -> Select:
    if node.is_lateral:
        raise unsupported("LATERAL join")
    left = scan(context, node.left_scan).as_source()
    right = scan(context, node.right_scan).as_source(right=True)
    if node.join_expr is None:
        kind = {"INNER": "CROSS JOIN"}.get(node.join_type, f"{node.join_type} JOIN")
        condition = "" if node.join_type == "INNER" else " ON true"
    else:
        kind = f"{node.join_type} JOIN"
        condition = f" ON {expression(context, node.join_expr)}"
    return Select(_passed(node), f"{left} {kind} {right}{condition}", joined=True)


def _array(context: Context, node: Node) -> Select:
    if len(node.array_expr_list) != 1:
        raise unsupported("UNNEST of several arrays")
    array = expression(context, node.array_expr_list[0])
    items = [f"unnest({array}) AS {column(node.element_column_list[0].column_id)}"]
    if node.array_offset_column is not None:
        items.append(f"generate_subscripts({array}, 1) - 1 AS {column(node.array_offset_column.column.column_id)}")
    elements = f"(SELECT {', '.join(items)})"
    if node.input_scan is None:
        return Select(_passed(node), elements)
    source = scan(context, node.input_scan).as_source()
    condition = expression(context, node.join_expr) if node.join_expr is not None else "true"
    join = "LEFT JOIN" if node.is_outer else "JOIN"
    return Select(_passed(node), f"{source} {join} LATERAL {elements} ON {condition}", joined=True)


def _aggregate(context: Context, node: Node) -> Select:
    select = scan(context, node.input_scan).opened()
    if node.grouping_set_list or node.rollup_column_list:
        return _grouping_sets(context, node, select)
    groups = [(expression(context, item.expr), column(item.column.column_id)) for item in node.group_by_list]
    beneath = Beneath(context, [], [text for text, _ in groups])
    aggregates = [_aggregated(context, item, beneath) for item in node.aggregate_list]
    if beneath.items:
        keys = [(name, name) for _, name in groups]
        select = select.above(groups + beneath.items)
        groups = keys
    select.items = groups + aggregates
    select.group_by = ", ".join(str(place) for place in range(1, len(groups) + 1)) or None
    if select.group_by is None:
        select.group_by = "()"
    return select


def _aggregated(context: Context, item: Node, beneath: Beneath) -> tuple[str, str]:
    if item.kind != "ComputedColumn":
        raise unsupported(item.kind)
    return aggregate(context, item.expr, beneath), column(item.column.column_id)


def _grouping_sets(context: Context, node: Node, select: Select) -> Select:
    """Keys are computed below, so that a set can name them; DuckDB's GROUPING SETS does the rest, but for the grand
    total of no rows, which Google leaves out."""
    keys = [(expression(context, item.expr), column(item.column.column_id)) for item in node.group_by_list]
    beneath = Beneath(context, [], [])
    aggregates = [_aggregated(context, item, beneath) for item in node.aggregate_list]
    if any(" OVER " in text for text, _ in beneath.items):
        raise unsupported("HAVING MAX or MIN in an aggregate function with GROUPING SETS")
    inner = Select([(name, name) for _, name in select.items] + keys + beneath.items, select.source, select.where)
    names = [name for _, name in keys]
    sets = [_grouping_set(each) for each in node.grouping_set_list]
    if not sets:
        rolled = [column(each.column.column_id) for each in node.rollup_column_list]
        sets = [f"({', '.join(rolled[:size])})" for size in range(len(rolled), -1, -1)]
    calls = [
        (f"grouping({column(each.group_by_column.column.column_id)})", column(each.output_column.column_id))
        for each in node.grouping_call_list
    ]
    items = [(name, name) for name in names] + aggregates + calls
    return Select(items, f"({inner.sql()})", group_by=f"GROUPING SETS ({', '.join(sets)}) HAVING count(*) > 0")


def _grouping_set(node: Node) -> str:
    if node.kind == "GroupingSet":
        return f"({', '.join(column(each.column.column_id) for each in node.group_by_column_list)})"
    if node.kind in ("Rollup", "Cube"):
        parts = node.rollup_column_list if node.kind == "Rollup" else node.cube_column_list
        texts = [f"({', '.join(column(each.column.column_id) for each in part.column_list)})" for part in parts]
        return f"{node.kind.upper()} ({', '.join(texts)})"
    raise unsupported(node.kind)


def _analytic(context: Context, node: Node) -> Select:
    select = scan(context, node.input_scan).opened()
    computed: dict[int, str] = {}
    beneath: list[tuple[str, str]] = []
    for group in node.function_group_list:
        for item in group.analytic_function_list:
            computed[item.column.column_id] = analytic(context, item.expr, group, beneath)
    if beneath:
        select = select.above(beneath)
    select.items = [(computed.get(each) or column(each), column(each)) for each in ids(node)]
    return select


def _order_by(context: Context, node: Node) -> Select:
    select = scan(context, node.input_scan).opened()
    select.items = _passed(node)
    select.order_by = [key for item in node.order_by_item_list for key in order_item(context, item)]
    return select


def _limit(context: Context, node: Node) -> Select:
    select = scan(context, node.input_scan)
    if select.limit is not None or select.offset is not None:
        select = select.opened()
    select = exactly(select, ids(node))
    select.limit = _bound(context, node.limit) if node.limit is not None else None
    select.offset = _bound(context, node.offset) if node.offset is not None else None
    return select


def _bound(context: Context, node: Node) -> str:
    """A count of rows."""
    text = expression(context, node)
    if re.fullmatch(r"\d+::BIGINT", text):
        return text
    return context.apply("bq_check({0} >= 0, 'Limit requires non-negative count and offset', {0})", [text])


def _sample(context: Context, node: Node) -> Select:
    """TABLESAMPLE SYSTEM: rows by chance, as a small table has no blocks to choose from."""
    if node.get("method").lower() != "system" or node.unit != "PERCENT":
        raise unsupported(f"TABLESAMPLE {node.get('method').upper()} in {node.unit}")
    source = scan(context, node.input_scan)
    size = literal.from_proto(node.size.value.value, types.from_proto(node.size.type)) if _is_constant(node) else None
    if size is None:
        raise unsupported("TABLESAMPLE of a size that is not a constant")
    return Select(_passed(node), f"(SELECT * FROM ({source.sql()}) USING SAMPLE {size} PERCENT (bernoulli))")


def _is_constant(node: Node) -> bool:
    return bool(node.size.kind == "Literal" and not node.partition_by_list and node.weight_column is None)


def _assert(context: Context, node: Node) -> Select:
    """The pipe operator ASSERT fails the query at the first row that does not hold."""
    select = scan(context, node.input_scan).opened()
    select.items = _passed(node)
    condition, message = expression(context, node.condition), expression(context, node.get("message"))
    select.where.append(f"bq_check(coalesce({condition}, false), 'Assert failed: ' || {message}, true)")
    return select


SET_OPERATIONS = {
    "UNION_ALL": "UNION ALL",
    "UNION_DISTINCT": "UNION",
    "INTERSECT_ALL": "INTERSECT ALL",
    "INTERSECT_DISTINCT": "INTERSECT",
    "EXCEPT_ALL": "EXCEPT ALL",
    "EXCEPT_DISTINCT": "EXCEPT",
}


def _renamed(context: Context, item: Node, targets: list[int]) -> Select:
    """One input of a set operation, its columns named as the operation's."""
    inner = scan(context, item.scan)
    pairs = zip(item.output_column_list, targets, strict=True)
    return Select([(column(each.column_id), column(target)) for each, target in pairs], f"({inner.sql()})")


def _set_operation(context: Context, node: Node) -> Select:
    targets = [each.column_id for each in node.column_list]
    inputs = [_renamed(context, item, targets).sql() for item in node.input_item_list]
    operator = f" {SET_OPERATIONS[node.op_type]} "
    return Select(_passed(node), f"({operator.join(inputs)})")


def _with(context: Context, node: Node) -> Select:
    entries: list[tuple[str, str]] = []
    for entry in node.with_entry_list:
        name, body = entry.with_query_name, entry.with_subquery
        context.ctes[name] = [each.column_id for each in body.column_list]
        if body.kind == "RecursiveScan":
            context.recursive.append(name)
        entries.append((_cte_name(name), _with_body(context, body)))
        if body.kind == "RecursiveScan":
            context.recursive.pop()
    select = scan(context, node.query)
    select.ctes = entries + select.ctes
    return select


def _with_body(context: Context, body: Node) -> str:
    """A WITH entry keeps every column of its scan: references go by position."""
    select = scan(context, body)
    return exactly(select, ids(body)).sql()


def _cte_name(name: str) -> str:
    """Never the name of a table."""
    return quote(f"@{name}")


def _with_ref(context: Context, node: Node) -> Select:
    pairs = zip(context.ctes[node.with_query_name], node.column_list, strict=True)
    items = [(column(source), column(each.column_id)) for source, each in pairs]
    return Select(items, _cte_name(node.with_query_name))


#: https://cloud.google.com/bigquery/docs/recursive-ctes#troubleshoot
_MOST_ITERATIONS = 500
_TOO_MANY = f"A recursive CTE has reached the maximum number of iterations: {_MOST_ITERATIONS}."
#: NULL but in the row that counts the iterations.
_COUNT = "_iterations"


def _recursive(context: Context, node: Node) -> Select:
    """A row beside the others counts the iterations: if they were numbered, UNION DISTINCT would keep them all."""
    if node.recursion_depth_modifier is not None:
        raise unsupported("WITH DEPTH")
    name, targets = context.recursive[-1], ids(node)
    context.ctes[name] = targets
    first = _counted(context, node.non_recursive_term, targets, "0")
    # The last iteration finds nothing but the count, and does not go on with it.
    count = f"bq_check(max({_COUNT}) <= {_MOST_ITERATIONS}, '{_TOO_MANY}', max({_COUNT}) + 1)"
    second = _counted(context, node.recursive_term, targets, count, f"{_cte_name(name)} HAVING count(*) > 1")
    # DuckDB knows a recursive entry by the set operation at its top.
    entry = _cte_name(name), f"({first}) {SET_OPERATIONS[node.op_type]} ({second})"
    return Select(_passed(node), entry[0], where=[f"{_COUNT} IS NULL"], ctes=[entry], recursive=True)


def _counted(context: Context, term: Node, targets: list[int], count: str, source: str | None = None) -> str:
    """The rows of a recursive entry's term, and one with the ``count`` computed from ``source``."""
    rows = _renamed(context, term, targets)
    rows.items.append(("NULL", _COUNT))
    counting = Select([*(("NULL", column(each)) for each in targets), (count, _COUNT)], source)
    return f"{rows.sql()} UNION ALL {counting.sql()}"


def _recursive_ref(context: Context, node: Node) -> Select:
    name = context.recursive[-1]
    pairs = zip(context.ctes[name], node.column_list, strict=True)
    items = [(column(source), column(each.column_id)) for source, each in pairs]
    return Select(items, _cte_name(name), where=[f"{_COUNT} IS NULL"])


#: Node kind → translation.
SCANS: dict[str, Callable[[Context, Node], Select]] = {
    "SingleRowScan": _single_row,
    "TableScan": _table,
    "ProjectScan": _project,
    "FilterScan": _filter,
    "JoinScan": _join,
    "ArrayScan": _array,
    "AggregateScan": _aggregate,
    "AnalyticScan": _analytic,
    "OrderByScan": _order_by,
    "LimitOffsetScan": _limit,
    "SampleScan": _sample,
    "AssertScan": _assert,
    "SetOperationScan": _set_operation,
    "WithScan": _with,
    "WithRefScan": _with_ref,
    "RecursiveScan": _recursive,
    "RecursiveRefScan": _recursive_ref,
}
