"""What a statement reads: of each table it mentions the columns, and the conditions that rule partitions out.

The resolved tree is walked from its tables up. Of every column it is known which columns of tables it is made of, and
whether it carries a table's partition column, so that a condition reaches the table through projections, joins, unions,
WITH entries and views, as far as moving it there changes no result. Columns nobody uses are not counted: a view that
reads ten columns costs the one that is asked of it.
"""

from __future__ import annotations

from collections.abc import Callable

from bq_emulator.model import Scan, Table
from bq_emulator.sql.resolved import Node
from bq_emulator.sql.scans.relations import Summary
from bq_emulator.sql.scans.statements import Statements
from bq_emulator.sql.translate.context import Context

__all__ = ["Summary", "of_query", "of_statement"]


def of_query(context: Context, node: Node, views: Callable[[Table], Summary]) -> Summary:
    """What a statement with a ``query`` and an ``output_column_list`` reads; ``views`` tells it of views."""
    walk = Statements(context, views)
    walk.relation(node.query)
    columns = tuple(walk.column(each.column.column_id) for each in node.output_column_list)
    return Summary(tuple(walk.scans), columns)


def of_statement(context: Context, node: Node, views: Callable[[Table], Summary]) -> tuple[Scan, ...]:
    """What carrying out a statement reads."""
    walk = Statements(context, views)
    walk.statement(node)
    return tuple(scan.frozen() for scan in walk.scans)
