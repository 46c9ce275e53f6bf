"""Statements: what carrying them out reads of the tables they mention."""

from __future__ import annotations

from collections.abc import Callable

from bq_emulator.sql.resolved import Node, children
from bq_emulator.sql.scans import elimination
from bq_emulator.sql.scans.elimination import NEVER, Condition
from bq_emulator.sql.scans.relations import Relations


class Statements(Relations):
    """Definitions (CREATE VIEW, CREATE FUNCTION) and copies read nothing."""

    def statement(self, node: Node) -> None:
        """Take in a whole statement."""
        read = READING.get(node.kind)
        if read is not None:
            read(self, node)

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


#: Node kind → what takes it in.
READING: dict[str, Callable[[Statements, Node], None]] = {
    "QueryStmt": Statements.query,
    "CreateTableAsSelectStmt": Statements.query,
    "InsertStmt": Statements.insert,
    "UpdateStmt": Statements.update,
    "DeleteStmt": Statements.delete,
    "MergeStmt": Statements.merge,
    "AssignmentStmt": Statements.expressions,
    "AssertStmt": Statements.expressions,
}
