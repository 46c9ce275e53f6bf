"""Statements: which are there, and what makes them."""

from __future__ import annotations

import re
from collections.abc import Callable

from bq_emulator.model import Assertion, BigQueryError, CreateFunction, DropFunction, Expression, Statement
from bq_emulator.sql import routines
from bq_emulator.sql.analyzer import Analyzer
from bq_emulator.sql.resolved import Node
from bq_emulator.sql.translate import copies, ddl, dml, grants, options
from bq_emulator.sql.translate.context import Context, unsupported
from bq_emulator.sql.translate.expr import expression
from bq_emulator.sql.translate.names import Names
from bq_emulator.sql.translate.query import query

_SPACE = r"(?:\s|/\*.*?\*/|--[^\n]*\n|#[^\n]*\n)"
_ALTER = re.compile(rf"{_SPACE}*alter\b", re.IGNORECASE | re.DOTALL)
_NEEDS_TABLE = re.compile(rf"{_SPACE}*(load{_SPACE}+data|analyze)\b", re.IGNORECASE | re.DOTALL)
_LASTING_FUNCTION = re.compile(
    rf"{_SPACE}*create{_SPACE}+(?:or{_SPACE}+replace{_SPACE}+)?(?:(?:aggregate|table){_SPACE}+)?function\b",
    re.IGNORECASE | re.DOTALL,
)


def altered_table(analyzer: Analyzer, sql: str) -> tuple[tuple[str, ...], bool] | None:
    """The path of the table an ALTER changes, and whether it may be missing (IF EXISTS). The analyzer wants to find
    the table, but does not list it among the names."""
    if not _ALTER.match(sql):
        return None
    statement = Node(analyzer.parse(sql).parsed_statement)
    if statement.kind not in ("ASTAlterTableStatement", "ASTAlterViewStatement", "ASTAlterMaterializedViewStatement"):
        return None
    return tuple(each.id_string for each in statement.path.names), bool(statement.is_if_exists)


def refuse(sql: str) -> None:
    """Raises BigQueryError notImplemented for the kinds of which the analyzer would say that their table is not there,
    as it does not list it among the names."""
    if found := _NEEDS_TABLE.match(sql):
        raise unsupported(" ".join(found[1].upper().split()))


def makes_lasting_function(sql: str) -> bool:
    return _LASTING_FUNCTION.match(sql) is not None


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
    routine = routines.from_statement(node)
    is_table_function = routine["routineType"] == "TABLE_VALUED_FUNCTION"
    path = tuple(node.name_path)
    target = None
    if node.create_scope != "CREATE_TEMP":
        target = names.routine(path)
        if unqualified := next((path[0] for path in names.read if len(path) == 1), None):
            message = f'Table "{unqualified}" must be qualified with a dataset (e.g. dataset.table).'
            raise BigQueryError("invalid", message, unqualified)
    elif is_table_function:
        raise unsupported("CREATE TEMP TABLE FUNCTION")
    return CreateFunction(
        "CREATE_TABLE_FUNCTION" if is_table_function else "CREATE_FUNCTION",
        path[-1],
        target,
        routine,
        or_replace=node.create_mode == "CREATE_OR_REPLACE",
        if_not_exists=node.create_mode == "CREATE_IF_NOT_EXISTS",
        options=options.evaluate(context, node.option_list),
    )


def _drop_function(context: Context, names: Names, node: Node) -> Statement:
    is_table_function = node.kind == "DropTableFunctionStmt"
    if not is_table_function and node.arguments is not None:
        raise BigQueryError("invalidQuery", "DROP FUNCTION takes the name of the function, without arguments", "query")
    kind = "DROP_TABLE_FUNCTION" if is_table_function else "DROP_FUNCTION"
    return DropFunction(kind, names.routine(tuple(node.name_path)), is_table_function, node.is_if_exists)


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
    "CreateTableFunctionStmt": _create_function,
    "DropFunctionStmt": _drop_function,
    "DropTableFunctionStmt": _drop_function,
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
