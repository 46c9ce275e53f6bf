"""The expressions of a script: DEFAULT, SET, conditions, messages, and the pieces of EXECUTE IMMEDIATE."""

from __future__ import annotations

from typing import TypeVar

from zetasql.wasi._pb2.zetasql.public import type_pb2

from bq_emulator.jobs.report import report
from bq_emulator.jobs.script_children import ChildJobs
from bq_emulator.jobs.script_state import ScriptState
from bq_emulator.jobs.statement import Source
from bq_emulator.model import BigQueryError, CreateTable, Expression, Field, Query, Statement
from bq_emulator.sql import types
from bq_emulator.sql.catalog import Normalized
from bq_emulator.sql.parameters import Parameters
from bq_emulator.sql.scope import Variable
from bq_emulator.sql.script import Part, Script

S = TypeVar("S", bound=Statement)
_BOOL = type_pb2.TypeProto(type_kind=type_pb2.TYPE_BOOL)
_STRING = type_pb2.TypeProto(type_kind=type_pb2.TYPE_STRING)


class Expressions:
    """Values stay in DuckDB: they go from expression to variable, and are looked at only where control needs them."""

    def __init__(self, state: ScriptState, children: ChildJobs) -> None:
        self._state = state
        self._children = children
        self._variables = state.variables
        self._transaction = state.transaction

    def evaluate(self, part: Part, target: Variable, extra: Variable | None = None) -> None:
        """Set ``target`` to the value of an expression; ``extra`` is one more variable that it names."""
        with self._transaction.reading():
            statement = self._compile(self._source(part), Expression, target.type, extra)
            self._variables.set(target, statement.sql)
            child = self._children.expression(part, statement)
        if child is not None:
            self._children.save(child)
            report(child)

    def infer(self, part: Part) -> Variable:
        """A hidden variable with the type and value of an expression."""
        with self._transaction.reading():
            query = self._compile(self._source(Part(part.start, part.end, "SELECT ")), Query)
        value = self._variables.hidden(types.to_proto(query.schema[0]))
        self.evaluate(part, value)
        return value

    def text(self, part: Part) -> str | None:
        """The value of a STRING expression."""
        value = self._variables.hidden(_STRING)
        self.evaluate(part, value)
        found: str | None = self._variables.value(value)
        return found

    def condition(self, part: Part, compared: Variable | None) -> bool:
        """Whether an expression is true, or equal to ``compared``; NULL counts as false."""
        if compared is not None:
            part = Part(part.start, part.end, f"SET @@script_value = `{compared.name}` = (", ")")
        result = self._variables.hidden(_BOOL)
        self.evaluate(part, result, extra=compared)
        return self._variables.value(result) is True

    def declared(self, part: Part) -> Field:
        """The type named at ``part``, with its limits."""
        with self._transaction.reading():
            source = self._source(Part(part.start, part.end, "CREATE TEMP TABLE t (c ", ")"))
            return self._compile(source, CreateTable).schema[0]

    def set_from_row(self, sql: str, parameters: Parameters, targets: list[Variable]) -> None:
        """Set ``targets`` to the columns of the one row of a query."""
        with self._transaction.reading():
            query = self._compile(sql, Query, parameters=parameters)
            if len(query.schema) != len(targets):
                message = f"EXECUTE IMMEDIATE … INTO needs a query of {len(targets)} columns"
                raise BigQueryError("invalidQuery", message, "query")
            row = self._variables.hidden(types.to_proto(Field("", "STRUCT", fields=query.schema)))
            self._variables.set(row, f"(SELECT q FROM ({query.sql}) AS q)")
        for target, column in zip(targets, query.schema, strict=True):
            text = f"`{row.name}`.`{column.name}`"
            with self._transaction.reading():
                whole = Script(Normalized(text, ()), ())
                cell = self._compile((whole, Part(0, len(text))), Expression, target.type, row)
                self._variables.set(target, cell.sql)

    def _source(self, part: Part) -> Source:
        return (self._state.script, part)

    def _compile(
        self,
        source: Source,
        wanted: type[S],
        expected: type_pb2.TypeProto | None = None,
        extra: Variable | None = None,
        parameters: Parameters | None = None,
    ) -> S:
        """A statement that must be of the kind ``wanted``; ``expected`` is the type of an Expression."""
        state = self._state
        parameters = parameters or state.parameters
        statement, _ = state.statements.compile(
            state.db, source, state.default_dataset, parameters, state.scope(extra), expected
        )
        if not isinstance(statement, wanted):
            raise BigQueryError("invalidQuery", f"Unexpected {statement.statement_type} statement", "query")
        return statement
