"""Statements: which are there, and what makes them."""

from __future__ import annotations

import re
from collections.abc import Callable

from bq_emulator.model import Assertion, CreateFunction, Expression, Statement
from bq_emulator.sql import types
from bq_emulator.sql.analyzer import Analyzer
from bq_emulator.sql.resolved import Node
from bq_emulator.sql.translate import copies, ddl, dml, grants
from bq_emulator.sql.translate.context import Context, unsupported
from bq_emulator.sql.translate.expr import expression
from bq_emulator.sql.translate.names import Names
from bq_emulator.sql.translate.query import query

_ALTER = re.compile(r"(?:\s|/\*.*?\*/|--[^\n]*\n|#[^\n]*\n)*alter\b", re.IGNORECASE | re.DOTALL)


def altered_table(analyzer: Analyzer, sql: str) -> tuple[tuple[str, ...], bool] | None:
    """The path of the table an ALTER changes, and whether it may be missing (IF EXISTS). The analyzer wants to find
    the table, but does not list it among the names."""
    if not _ALTER.match(sql):
        return None
    statement = Node(analyzer.parse(sql).parsed_statement)
    if statement.kind not in ("ASTAlterTableStatement", "ASTAlterViewStatement", "ASTAlterMaterializedViewStatement"):
        return None
    return tuple(each.id_string for each in statement.path.names), bool(statement.is_if_exists)


def translate(context: Context, names: Names, node: Node) -> Statement:
    """A resolved statement as the engine carries it out.

    Raises:
        BigQueryError: notImplemented, naming the kind of statement.
    """
    make = STATEMENTS.get(node.kind)
    if make is None:
        raise unsupported(node.kind)
    return make(context, names, node)


def _assignment(context: Context, names: Names, node: Node) -> Statement:
    """The value for a variable; which one, the script knows."""
    return Expression("SELECT", expression(context, node.expr))


def _create_function(context: Context, names: Names, node: Node) -> Statement:
    if node.create_scope != "CREATE_TEMP":
        raise unsupported("CREATE FUNCTION without TEMP")
    if node.language.upper() != "SQL" or node.is_remote:
        raise unsupported(f"A function in {node.language}")
    if node.is_aggregate:
        raise unsupported("CREATE AGGREGATE FUNCTION")
    body = node.code
    if node.has_explicit_return_type:
        body = f"CAST(({body}\n) AS {types.from_proto(node.return_type)})"
    return CreateFunction(
        "CREATE_FUNCTION", node.name_path[-1], tuple(node.argument_name_list), node.signature.SerializeToString(), body
    )


def _assertion(context: Context, names: Names, node: Node) -> Statement:
    return Assertion("ASSERT", expression(context, node.expression), node.description)


#: Node kind → translation.
STATEMENTS: dict[str, Callable[[Context, Names, Node], Statement]] = {
    "QueryStmt": lambda context, names, node: query(context, node),
    "InsertStmt": lambda context, names, node: dml.insert(context, node),
    "UpdateStmt": lambda context, names, node: dml.update(context, node),
    "DeleteStmt": lambda context, names, node: dml.delete(context, node),
    "MergeStmt": lambda context, names, node: dml.merge(context, node),
    "TruncateStmt": lambda context, names, node: dml.truncate(context, node),
    "AssignmentStmt": _assignment,
    "AssertStmt": _assertion,
    "CreateFunctionStmt": _create_function,
    "CreateTableStmt": ddl.create_table,
    "CreateTableAsSelectStmt": ddl.create_table,
    "CreateViewStmt": ddl.create_view,
    "CreateMaterializedViewStmt": ddl.create_view,
    "CreateSchemaStmt": ddl.create_schema,
    "DropStmt": ddl.drop,
    "DropMaterializedViewStmt": ddl.drop,
    "CreateSnapshotTableStmt": copies.copy_table,
    "DropSnapshotTableStmt": ddl.drop,
    "AlterSchemaStmt": ddl.alter_schema,
    "GrantStmt": grants.grant,
    "RevokeStmt": grants.grant,
    "AlterTableStmt": ddl.alter,
    "AlterTableSetOptionsStmt": ddl.alter,
    "AlterViewStmt": ddl.alter,
    "AlterMaterializedViewStmt": ddl.alter,
}
