"""Columns: what of which tables they are made of, and which carry a partition column."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace

from bq_emulator.model import Scan, Table
from bq_emulator.sql.resolved import Node, children
from bq_emulator.sql.scans import elimination
from bq_emulator.sql.scans.elimination import Carried, Condition
from bq_emulator.sql.translate.context import Context

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
class TableScan:
    """One mention of a table, while it is looked at; see :class:`bq_emulator.model.Scan`."""

    table: Table
    read: set[str] = field(default_factory=set)
    conditions: list[str] = field(default_factory=list)
    filtered: bool = False
    rewrites: bool = False

    def frozen(self) -> Scan:
        key = self.table.partition
        unfiltered = key.filter_required if key is not None and not self.filtered else ()
        return Scan(self.table.ref, frozenset(self.read), tuple(self.conditions), self.rewrites, unfiltered)


class Lineage(ABC):
    """The columns and table scans of one statement, as far as it has been walked."""

    def __init__(self, context: Context) -> None:
        self.scans: list[TableScan] = []
        self._context = context
        #: By the analyzer's id, which is unique in a statement; a WITH entry's change with each reference to it.
        self._columns: dict[int, Column] = {}

    @abstractmethod
    def relation(self, node: Node) -> range:
        """Take in a scan of the tree; the numbers of the table scans in it."""

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
