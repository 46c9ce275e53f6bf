"""OPTIONS(…): constants evaluated to Python values."""

from __future__ import annotations

from functools import cache
from threading import Lock
from typing import Any

import duckdb

from bq_emulator.model import BigQueryError
from bq_emulator.sql import errors, literal, macros, python_functions, types
from bq_emulator.sql.resolved import Node
from bq_emulator.sql.translate.context import Context, unsupported
from bq_emulator.sql.translate.expr import expression


def evaluate(context: Context, nodes: list[Node]) -> dict[str, Any]:
    """Option name → value: str, int, float, bool, Decimal, aware datetime for TIMESTAMP, list, dict for ``labels``,
    None for NULL.

    Raises:
        BigQueryError: invalidQuery, where a value cannot be computed.
    """
    values = {node.name: constant(context, node.value) for node in nodes}
    if isinstance(values.get("labels"), list):
        values["labels"] = {
            key: value
            for key, value in (item.values() if isinstance(item, dict) else item for item in values["labels"])
        }
    return values


def constant(context: Context, node: Node) -> Any:
    """The value of an expression that reads no table."""
    if node.kind == "Literal":
        return literal.from_proto(node.value.value, types.from_proto(node.type))
    if node.kind == "Constant":
        return context.variable_value(node)
    text = expression(context, node)
    if "getvariable(" in text:
        raise unsupported("An expression of script variables where a constant is needed")
    try:
        with _one_at_a_time:
            row = _evaluator().execute(f"SELECT {text}").fetchone()
    except duckdb.Error as error:
        raise errors.from_duckdb(error) from None
    if row is None:
        raise BigQueryError("invalidQuery", "An option has no value", "query")
    return row[0]


_one_at_a_time = Lock()  # a connection serves one thread


@cache
def _evaluator() -> duckdb.DuckDBPyConnection:
    """A private empty database; making one takes as long as a small query."""
    connection = duckdb.connect()
    python_functions.register(connection)
    for statement in macros.SETUP_SQL:
        connection.execute(statement)
    return connection
