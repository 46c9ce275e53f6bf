"""What one translation knows: tables, parameters, columns in reach, and names already taken."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bq_emulator.model import BigQueryError, Field, Table, TableRef
from bq_emulator.sql import types
from bq_emulator.sql.functions import spec
from bq_emulator.sql.parameters import Parameters
from bq_emulator.sql.resolved import Node
from bq_emulator.sql.scope import SYSTEM_VARIABLES, Scope, Variable


def column(identifier: int) -> str:
    """The DuckDB name of a resolved column; ids are unique within a statement, so names need no qualification."""
    return f"_c{identifier}"


@dataclass
class Context:
    tables: dict[int, Table]
    parameters: Parameters
    #: DuckDB text for the rows of a view, made by the front end.
    expand_view: Callable[[Table], str]
    #: DuckDB text of a column's default value.
    default_value: Callable[[Field], str]
    scope: Scope = field(default_factory=Scope)
    variables_read: list[str] = field(default_factory=list)
    referenced: list[TableRef] = field(default_factory=list)
    #: WITH entries in reach: their columns' ids, in order.
    ctes: dict[str, list[int]] = field(default_factory=dict)
    #: Columns of the table a DML statement changes: their text in place of the usual name.
    overrides: dict[int, str] = field(default_factory=dict)
    recursive: list[str] = field(default_factory=list)
    #: How many TRYs are around what is translated.
    attempts: int = 0
    _names: itertools.count = field(default_factory=lambda: itertools.count(1))

    def fresh(self, prefix: str) -> str:
        """A name not used before in this statement."""
        return f"{prefix}{next(self._names)}"

    def column(self, node: Node) -> str:
        """The text of a reference to a resolved column."""
        return self.overrides.get(node.column_id) or column(node.column_id)

    def parameter(self, node: Node) -> tuple[Field, Any]:
        """The declared type and Python value of a query parameter."""
        if node.name:
            return self.parameters.named[node.name.lower()]
        return self.parameters.positional[node.position - 1]

    def parameter_value(self, node: Node) -> Any:
        """The Python value of a query parameter, which EXECUTE IMMEDIATE may have left in a variable."""
        value = self.parameter(node)[1]
        if isinstance(value, Variable) and self.scope.value is not None:
            return self.scope.value(value)
        return value

    def variable(self, node: Node) -> Variable:
        """The script's variable that a constant of the analyzer stands for."""
        name = node.get("constant").name
        self.variables_read.append(name)
        return self.scope.variables[name.lower()]

    def variable_value(self, node: Node) -> Any:
        """The Python value a variable has now."""
        if self.scope.value is None:
            raise unsupported(f"The variable {self.variable(node).name} here")
        return self.scope.value(self.variable(node))

    def system_variable(self, node: Node) -> tuple[Any, types.Type]:
        path = tuple(part.lower() for part in node.name_path)
        self.variables_read.append(f"@@{'.'.join(path)}")
        return self.scope.system.get(path), SYSTEM_VARIABLES[path]

    def apply(self, template: str, args: list[str]) -> str:
        """``template`` filled in; arguments it repeats are computed once."""
        if spec.needs_bound_arguments(template):
            return self.bind(args, lambda bound: spec.render(template, bound))
        return spec.render(template, args)

    def bind(self, args: list[str], body: Callable[[list[str]], str], opaque: bool = False) -> str:
        """``body`` of ``args``, each evaluated once: DuckDB has no LET, so arguments that are more than a column or
        constant become fields of a one-element list's struct, read by a lambda.

        ``opaque`` binds constants too. Inside TRY they must be: DuckDB folds a CASE whose condition is constant
        before it knows of the TRY around it, and a failing check is such a condition.
        """
        atomic = spec.is_column if opaque else spec.is_atomic
        if all(map(atomic, args)):
            return body(args)
        name = self.fresh("p")
        fields = ", ".join(f"a{place} := {arg}" for place, arg in enumerate(args))
        inner = body([f"{name}.a{place}" for place in range(len(args))])
        return f"list_transform([struct_pack({fields})], lambda {name}: {inner})[1]"

    def type(self, node: Node) -> types.Type:
        """The GoogleSQL type of an expression."""
        return types.from_proto(node.type)


def unsupported(what: str) -> BigQueryError:
    """The refusal of something that is not in the tables."""
    return BigQueryError("notImplemented", f"{what} is not supported by this emulator", "query")
