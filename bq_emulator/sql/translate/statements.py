"""Statements: which are there, and what makes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bq_emulator.model import Statement, TableRef
from bq_emulator.sql.analyzer import Analyzer
from bq_emulator.sql.catalog import table_ref
from bq_emulator.sql.resolved import Node
from bq_emulator.sql.translate.context import Context, unsupported
from bq_emulator.sql.translate.query import query


@dataclass(frozen=True)
class Names:
    """How paths written in a statement are read, and the statement's text."""

    project: str
    default_dataset: str | None
    sql: str

    def table(self, path: list[str]) -> TableRef:
        return table_ref(tuple(path), self.project, self.default_dataset)


def altered_tables(analyzer: Analyzer, sql: str) -> list[tuple[str, ...]]:
    return []


def translate(context: Context, names: Names, node: Node) -> Statement:
    """A resolved statement as the engine carries it out.

    Raises:
        BigQueryError: notImplemented, naming the kind of statement.
    """
    make = STATEMENTS.get(node.kind)
    if make is None:
        raise unsupported(node.kind)
    return make(context, names, node)


STATEMENTS: dict[str, Callable[[Context, Names, Node], Statement]] = {
    "QueryStmt": lambda context, names, node: query(context, node),
}
