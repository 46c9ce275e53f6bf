"""What a statement reads: of each table it mentions the columns, and the conditions that rule partitions out.

The resolved tree is walked from its tables up. Of every column it is known which columns of tables it is made of, and
whether it carries a table's partition column, so that a condition reaches the table through projections, joins, unions,
WITH entries and views, as far as moving it there changes no result. Columns nobody uses are not counted: a view that
reads ten columns costs the one that is asked of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace

from bq_emulator.model import Scan, Table
from bq_emulator.sql import elimination
from bq_emulator.sql.elimination import BOUND, NEVER, Carried, Condition
from bq_emulator.sql.resolved import Node, children
from bq_emulator.sql.translate.context import Context
from bq_emulator.sql.types import quote

#: Scans of one statement up to which a WITH entry is looked at anew for each reference to it.
MAX_SCANS = 1000

#: A column of a table: the number of its scan, and its name.
Need = tuple[int, str]


@dataclass(frozen=True)
class Column:
    """``needs`` is what computing it reads; ``keys`` what it carries of scans' partition columns. ``plain``: it is a
    column of a table just as it is there."""

    needs: frozenset[Need] = frozenset()
    keys: dict[int, Carried] = field(default_factory=dict)
    plain: bool = False

    def moved(self, offset: int) -> Column:
        needs = frozenset((scan + offset, name) for scan, name in self.needs)
        return replace(self, needs=needs, keys={scan + offset: key for scan, key in self.keys.items()})

    def without_keys(self) -> Column:
        return replace(self, keys={})

    def in_outer_join(self) -> Column:
        keys = {scan: kept for scan, key in self.keys.items() if (kept := key.in_outer_join()) is not None}
        return replace(self, keys=keys)


@dataclass
class _Scan:
    table: Table
    read: set[str] = field(default_factory=set)
    conditions: list[str] = field(default_factory=list)
    filtered: bool = False
    rewrites: bool = False

    def frozen(self) -> Scan:
        key = self.table.partition
        unfiltered = key.filter_required if key is not None and not self.filtered else ()
        return Scan(self.table.ref, frozenset(self.read), tuple(self.conditions), self.rewrites, unfiltered)


@dataclass(frozen=True)
class Summary:
    """What a query reads, whatever is asked of its result, and what its result ``columns`` are made of."""

    scans: tuple[_Scan, ...] = ()
    columns: tuple[Column, ...] = ()


def of_query(context: Context, node: Node, views: Callable[[Table], Summary]) -> Summary:
    """What a statement with a ``query`` and an ``output_column_list`` reads; ``views`` tells it of views."""
    walk = _Walk(context, views)
    walk.relation(node.query)
    columns = tuple(walk.column(each.column.column_id) for each in node.output_column_list)
    return Summary(tuple(walk.scans), columns)


def of_statement(context: Context, node: Node, views: Callable[[Table], Summary]) -> tuple[Scan, ...]:
    """What carrying out a statement reads. Definitions (CREATE VIEW, CREATE FUNCTION) and copies read nothing."""
    walk = _Walk(context, views)
    read = _STATEMENTS.get(node.kind)
    if read is not None:
        read(walk, node)
    return tuple(scan.frozen() for scan in walk.scans)


class _Walk:
    def __init__(self, context: Context, views: Callable[[Table], Summary]) -> None:
        self.scans: list[_Scan] = []
        self._context = context
        self._views = views
        #: By the analyzer's id, which is unique in a statement; a WITH entry's change with each reference to it.
        self._columns: dict[int, Column] = {}
        self._entries: dict[str, Node] = {}

    # Columns ----------------------------------------------------------------------------------------------------------

    def column(self, identifier: int) -> Column:
        """Unknown are those of lambdas and of recursive entries: they read nothing of their own."""
        return self._columns.get(identifier, Column())

    def read(self, needs: Iterable[Need]) -> None:
        for scan, name in needs:
            self.scans[scan].read.add(name)

    def use(self, *nodes: Node | None) -> None:
        """Read what expressions are made of."""
        for node in nodes:
            if node is not None:
                self.read(self.needs(node))

    def needs(self, node: Node) -> frozenset[Need]:
        """What evaluating an expression reads."""
        if node.kind == "ColumnRef":
            return self.column(node.column.column_id).needs
        if node.kind == "GetStructField" and (path := self._path(node)) is not None:
            return frozenset({path})
        found: frozenset[Need] = frozenset()
        if node.kind == "SubqueryExpr":
            self.relation(node.subquery)
            if node.subquery_type != "EXISTS":
                found = found.union(*(self.column(each.column_id).needs for each in node.subquery.column_list))
            below = [*([node.in_expr] if node.in_expr is not None else []), *node.parameter_list]
        else:
            below = list(children(node))
        return found.union(*(self.needs(each) for each in below))

    def _path(self, node: Node) -> Need | None:
        """The field of a STRUCT column, if that is what ``node`` is."""
        name = node.expr.type.struct_type.field[node.field_idx].field_name
        if node.expr.kind == "GetStructField":
            outer = self._path(node.expr)
            return (outer[0], f"{outer[1]}.{name}") if outer is not None else None
        if node.expr.kind != "ColumnRef":
            return None
        column = self.column(node.expr.column.column_id)
        if not column.plain or not name:
            return None
        ((scan, whole),) = column.needs
        return scan, f"{whole}.{name}"

    def computed(self, node: Node) -> Column:
        """The column that an expression makes."""
        if node.kind == "ColumnRef":
            return self.column(node.column.column_id)
        keys = {}
        identifiers = elimination.column_ids(node)
        for scan in self._carriers(identifiers):
            if (key := elimination.carried(self._context, node, self._keys(identifiers, scan))) is not None:
                keys[scan] = key
        return Column(self.needs(node), keys)

    def _carriers(self, identifiers: Iterable[int]) -> set[int]:
        return {scan for identifier in identifiers for scan in self.column(identifier).keys}

    def _keys(self, identifiers: Iterable[int], scan: int) -> dict[int, Carried]:
        columns = {identifier: self.column(identifier) for identifier in identifiers}
        return {identifier: column.keys[scan] for identifier, column in columns.items() if scan in column.keys}

    def _change(self, identifiers: Iterable[int], change: Callable[[Column], Column]) -> None:
        for identifier in identifiers:
            self._columns[identifier] = change(self.column(identifier))

    # Conditions -------------------------------------------------------------------------------------------------------

    def conditions(self, node: Node, below: Collection[int]) -> dict[int, Condition]:
        """What a condition says of each of the scans ``below``."""
        identifiers = elimination.column_ids(node)
        found = {}
        for scan in self._carriers(identifiers) & set(below) if identifiers else below:
            said = elimination.condition(self._context, node, self._keys(identifiers, scan))
            if said is not None:
                found[scan] = said
        return found

    def filter(self, node: Node, below: Collection[int]) -> None:
        """Rows that ``node`` is not true of are not wanted of the scans ``below``."""
        self.use(node)
        for part in elimination.conjuncts(node):
            for scan, said in self.conditions(part, below).items():
                self.scans[scan].conditions.append(said.text)
                self.scans[scan].filtered |= said.filters

    # Relations --------------------------------------------------------------------------------------------------------

    def relation(self, node: Node) -> range:
        """Take in a scan of the tree; the numbers of the table scans in it."""
        start = len(self.scans)
        _RELATIONS.get(node.kind, _Walk._anything)(self, node)
        return range(start, len(self.scans))

    def _anything(self, node: Node) -> None:
        """A kind of scan nothing is known of: all below is read, and no condition goes through."""
        for child in children(node):
            if child.kind.endswith("Scan"):
                self.relation(child)
                self.read(need for each in child.column_list for need in self.column(each.column_id).needs)
            else:
                self.use(child)

    def table(self, node: Node) -> None:
        table = self._context.tables[node.table.serialization_id]
        made = self._view(table) if table.view_query is not None else self._stored(table)
        for index, each in zip(node.column_index_list, node.column_list, strict=True):
            self._columns[each.column_id] = made(index)

    def _stored(self, table: Table) -> Callable[[int], Column]:
        number = len(self.scans)
        self.scans.append(_Scan(table))
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

    def _order_by(self, node: Node) -> None:
        self.relation(node.input_scan)
        self.use(*node.order_by_item_list)

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
            self._columns[each.column_id] = column

    def _recursive(self, node: Node) -> None:
        for item in (node.non_recursive_term, node.recursive_term):
            self.relation(item.scan)
            self.read(need for each in item.output_column_list for need in self.column(each.column_id).needs)
        self._change((each.column_id for each in node.column_list), lambda column: Column())

    def nothing(self, node: Node) -> None:
        """A scan of no table."""

    # Statements -------------------------------------------------------------------------------------------------------

    def query(self, node: Node) -> None:
        self.relation(node.query)
        self.read(need for each in node.output_column_list for need in self.column(each.column.column_id).needs)

    def expressions(self, node: Node) -> None:
        self.use(*children(node))

    def insert(self, node: Node) -> None:
        if node.query is not None:
            self.relation(node.query)
            for each in node.query_output_column_list:
                self.read(self.column(each.column_id).needs)
        self.use(*node.row_list)

    def update(self, node: Node) -> None:
        below = [*self.relation(node.table_scan), *(self.relation(node.from_scan) if node.from_scan else ())]
        self.scans[below[0]].rewrites = True
        self.filter(node.where_expr, below)
        self.use(*(item.set_value for item in node.update_item_list))

    def delete(self, node: Node) -> None:
        """Partitions that lose all rows are not read."""
        (target,) = below = self.relation(node.table_scan)
        parts = elimination.conjuncts(node.where_expr)
        said = [self.conditions(part, below).get(target) for part in parts]
        self.filter(node.where_expr, below)
        if all(each is not None and each.whole for each in said):
            self.scans[target].read.clear()
        else:
            self.scans[target].rewrites = True

    def merge(self, node: Node) -> None:
        """Rows of the target are wanted if they can match (unless only rows without a match are changed), or if a
        clause NOT MATCHED BY SOURCE applies to them."""
        (target,) = self.relation(node.table_scan)
        source = self.relation(node.from_scan)
        clauses = node.when_clause_list
        kinds = {clause.match_type for clause in clauses}
        self.scans[target].rewrites = any(clause.action_type != "INSERT" for clause in clauses)
        self.use(node.merge_expr)
        for clause in clauses:
            self.use(clause.match_expr, clause.insert_row, *(item.set_value for item in clause.update_item_list))
        wanted = []
        if kinds != {"NOT_MATCHED_BY_SOURCE"}:
            wanted.append(self._of_target(node.merge_expr, target))
        for clause in clauses:
            if clause.match_type == "NOT_MATCHED_BY_SOURCE":
                wanted.append(self._of_target(clause.match_expr, target) if clause.match_expr is not None else None)
        known = [said for said in wanted if said is not None]
        if len(known) == len(wanted):
            self.scans[target].conditions.append(" OR ".join(f"({said.text})" for said in known))
            self.scans[target].filtered = all(said.filters for said in known if said != NEVER)
        if "NOT_MATCHED_BY_TARGET" not in kinds:
            self.filter(node.merge_expr, source)

    def _of_target(self, node: Node, target: int) -> Condition | None:
        said = [self.conditions(part, (target,)).get(target) for part in elimination.conjuncts(node)]
        known = [each for each in said if each is not None]
        if not known:
            return None
        if len(known) == 1:
            return known[0]
        return Condition(" AND ".join(each.text for each in known), any(each.filters for each in known))


_RELATIONS: dict[str, Callable[[_Walk, Node], None]] = {
    "SingleRowScan": _Walk.nothing,
    "TableScan": _Walk.table,
    "ProjectScan": _Walk._project,
    "FilterScan": _Walk._filter,
    "JoinScan": _Walk._join,
    "ArrayScan": _Walk._array,
    "AggregateScan": _Walk._aggregate,
    "AnalyticScan": _Walk._analytic,
    "OrderByScan": _Walk._order_by,
    "LimitOffsetScan": _Walk._limit,
    "SetOperationScan": _Walk._set_operation,
    "WithScan": _Walk._with,
    "WithRefScan": _Walk._with_ref,
    "RecursiveScan": _Walk._recursive,
    "RecursiveRefScan": _Walk.nothing,
}
_STATEMENTS: dict[str, Callable[[_Walk, Node], None]] = {
    "QueryStmt": _Walk.query,
    "CreateTableAsSelectStmt": _Walk.query,
    "InsertStmt": _Walk.insert,
    "UpdateStmt": _Walk.update,
    "DeleteStmt": _Walk.delete,
    "MergeStmt": _Walk.merge,
    "AssignmentStmt": _Walk.expressions,
    "AssertStmt": _Walk.expressions,
}
