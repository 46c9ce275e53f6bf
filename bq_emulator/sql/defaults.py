"""Default values of columns (https://cloud.google.com/bigquery/docs/default-values)."""

from __future__ import annotations

from bq_emulator.model import Field
from bq_emulator.sql import types
from bq_emulator.sql.analyzer import Analyzer
from bq_emulator.sql.parameters import Parameters
from bq_emulator.sql.resolved import Node
from bq_emulator.sql.translate.context import Context, unsupported
from bq_emulator.sql.translate.expr import expression


def default_value(analyzer: Analyzer, field: Field) -> str:
    """DuckDB text of ``field``'s default expression, as a value of its type.

    Raises:
        BigQueryError: invalidQuery for an expression that reads a column or table, or is of another type.
    """
    sql = f"CREATE TABLE defaults (value {types.from_field(field)} DEFAULT {field.default_expression})"
    response = analyzer.analyze(sql, analyzer.catalog(), analyzer.options)
    definition = Node(response.resolved_statement).column_definition_list[0]
    return expression(Context({}, Parameters(), _refuse, _refuse), definition.default_value.expression)


def _refuse(what: object) -> str:
    raise unsupported(f"A default value that needs {what}")
