"""Relations: how columns and conditions pass through the scans of a resolved tree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from bq_emulator.model import Table
from bq_emulator.sql.resolved import Node, children
from bq_emulator.sql.scans.elimination import BOUND, Carried
from bq_emulator.sql.scans.lineage import Column, Lineage, Need, TableScan
from bq_emulator.sql.translate.context import Context
from bq_emulator.sql.types import quote

#: Scans of one statement up to which a WITH entry is looked at anew for each reference to it.
MAX_SCANS = 1000


@dataclass(frozen=True)
class Summary:
    """What a query reads, whatever is asked of its result, and what its result ``columns`` are made of."""

    scans: tuple[TableScan, ...] = ()
    columns: tuple[Column, ...] = ()


class Relations(Lineage):
    """``views`` tells what views read."""

    def __init__(self, context: Context, views: Callable[[Table], Summary]) -> None:
        super().__init__(context)
        self._views = views
        self._entries: dict[str, Node] = {}

    def relation(self, node: Node) -> range:
        """Take in a scan of the tree; the numbers of the table scans in it."""
        start = len(self.scans)
        _RELATIONS.get(node.kind, Relations._anything)(self, node)
        return range(start, len(self.scans))

    def _anything(self, node: Node) -> None:
        """A kind of scan nothing is known of: all below is read, and no condition goes through."""
        for child in children(node):
            if child.kind.endswith("Scan"):
                self.relation(child)
                self.read(need for each in child.column_list for need in self.column(each.column_id).needs)
            else:
                self.use(child)
        self._change((each.column_id for each in node.column_list), Column.without_keys)

    def _passed(self, node: Node) -> None:
        """Rows of another relation, some or all."""
        self.relation(node.input_scan)
        self.use(*(child for child in children(node) if not child.kind.endswith("Scan")))

    def _table(self, node: Node) -> None:
        table = self._context.tables[node.table.serialization_id]
        made = self._view(table) if table.view_query is not None else self._stored(table)
        for index, each in zip(node.column_index_list, node.column_list, strict=True):
            self._columns[each.column_id] = made(index)

    def _stored(self, table: Table) -> Callable[[int], Column]:
        number = len(self.scans)
        self.scans.append(TableScan(table))
        keys = dict(table.partition.columns) if table.partition is not None else {}

        def column(index: int) -> Column:
            pseudo = index >= len(table.schema)
            name = table.pseudo_columns[index - len(table.schema)][0].name if pseudo else table.schema[index].name
            carried = {}
            if name in keys and table.partition is not None:
                text = keys[name].replace(quote(table.partition.columns[0][0]), BOUND)
                carried = {number: Carried(text, table.partition.exact)}
            # Pseudo columns cost nothing.
            return Column(frozenset() if pseudo else frozenset({(number, name)}), carried, plain=not pseudo)

        return column

    def _view(self, table: Table) -> Callable[[int], Column]:
        summary, offset = self._views(table), len(self.scans)
        for scan in summary.scans:
            self.scans.append(replace(scan, read=set(scan.read), conditions=list(scan.conditions)))
        return lambda index: summary.columns[index].moved(offset)

    def _project(self, node: Node) -> None:
        self.relation(node.input_scan)
        for item in node.expr_list:
            self._columns[item.column.column_id] = self.computed(item.expr)

    def _filter(self, node: Node) -> None:
        below = self.relation(node.input_scan)
        self.filter(node.filter_expr, below)

    def _join(self, node: Node) -> None:
        left, right = self.relation(node.left_scan), self.relation(node.right_scan)
        if node.join_expr is not None:
            sides = {"INNER": [*left, *right], "LEFT": right, "RIGHT": left}.get(node.join_type, ())
            self.filter(node.join_expr, sides)
        if node.join_type in ("LEFT", "FULL"):
            self._change((each.column_id for each in node.right_scan.column_list), Column.in_outer_join)
        if node.join_type in ("RIGHT", "FULL"):
            self._change((each.column_id for each in node.left_scan.column_list), Column.in_outer_join)

    def _array(self, node: Node) -> None:
        below = self.relation(node.input_scan) if node.input_scan is not None else ()
        for array, element in zip(node.array_expr_list, node.element_column_list, strict=True):
            needs = self.needs(array)
            self.read(needs)
            self._columns[element.column_id] = Column(needs)
        if node.join_expr is not None:
            self.filter(node.join_expr, () if node.is_outer else below)

    def _aggregate(self, node: Node) -> None:
        self.relation(node.input_scan)
        for item in node.group_by_list:
            self.use(item.expr)
            self._columns[item.column.column_id] = self.computed(item.expr)
        if node.grouping_set_list or node.rollup_column_list:
            self._change((item.column.column_id for item in node.group_by_list), Column.in_outer_join)
        for item in node.aggregate_list:
            self._columns[item.column.column_id] = Column(self.needs(item))

    def _analytic(self, node: Node) -> None:
        """A condition may only drop whole windows."""
        self.relation(node.input_scan)
        shared: set[int] | None = None
        for group in node.function_group_list:
            window = [part for part in (group.partition_by, group.order_by) if part is not None]
            needs = frozenset[Need]().union(*(self.needs(part) for part in window))
            for item in group.analytic_function_list:
                self._columns[item.column.column_id] = Column(needs | self.needs(item.expr))
            parts = group.partition_by.partition_by_list if group.partition_by is not None else []
            named = {each.column.column_id for each in parts}
            shared = named if shared is None else shared & named
        passed = {each.column_id for each in node.input_scan.column_list} - (shared or set())
        self._change(passed, Column.without_keys)

    def _limit(self, node: Node) -> None:
        self.relation(node.input_scan)
        self._change((each.column_id for each in node.column_list), Column.without_keys)

    def _set_operation(self, node: Node) -> None:
        inputs: list[list[Column]] = []
        for item in node.input_item_list:
            self.relation(item.scan)
            inputs.append([self.column(each.column_id) for each in item.output_column_list])
        if node.op_type != "UNION_ALL":
            self.read(need for columns in inputs for column in columns for need in column.needs)
        for place, each in enumerate(node.column_list):
            made = [columns[place] for columns in inputs]
            keys = {scan: key for column in made for scan, key in column.keys.items()}
            self._columns[each.column_id] = Column(frozenset[Need]().union(*(column.needs for column in made)), keys)

    def _with(self, node: Node) -> None:
        for entry in node.with_entry_list:
            self._entries[entry.with_query_name] = entry.with_subquery
        self.relation(node.query)

    def _with_ref(self, node: Node) -> None:
        body = self._entries[node.with_query_name]
        # What lies behind a recursive entry, or behind very many references, is known from one look.
        if len(self.scans) < MAX_SCANS or any(each.column_id not in self._columns for each in body.column_list):
            self.relation(body)
        else:
            self._forget(body)
        for source, each in zip(body.column_list, node.column_list, strict=True):
            self._columns[each.column_id] = self.column(source.column_id)

    def _forget(self, body: Node) -> None:
        """One look at a WITH entry stands for several references: conditions on one do not hold for all."""
        for each in body.column_list:
            column = self.column(each.column_id).without_keys()
            self.read(column.needs)
            for scan, _ in column.needs:
                self.scans[scan].conditions.clear()
            self._columns[each.column_id] = column

    def _recursive(self, node: Node) -> None:
        for item in (node.non_recursive_term, node.recursive_term):
            self.relation(item.scan)
            self.read(need for each in item.output_column_list for need in self.column(each.column_id).needs)
        self._change((each.column_id for each in node.column_list), lambda column: Column())

    def _nothing(self, node: Node) -> None:
        """A scan of no table."""


_RELATIONS: dict[str, Callable[[Relations, Node], None]] = {
    "SingleRowScan": Relations._nothing,
    "TableScan": Relations._table,
    "ProjectScan": Relations._project,
    "FilterScan": Relations._filter,
    "JoinScan": Relations._join,
    "ArrayScan": Relations._array,
    "AggregateScan": Relations._aggregate,
    "AnalyticScan": Relations._analytic,
    "OrderByScan": Relations._passed,
    "LimitOffsetScan": Relations._limit,
    "SetOperationScan": Relations._set_operation,
    "WithScan": Relations._with,
    "WithRefScan": Relations._with_ref,
    "RecursiveScan": Relations._recursive,
    "RecursiveRefScan": Relations._nothing,
    "SampleScan": Relations._passed,
    "AssertScan": Relations._passed,
}
