"""How a table entry says what a function signature becomes in DuckDB."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bq_emulator.model import BigQueryError
from bq_emulator.sql import literal
from bq_emulator.sql.resolved import Node
from bq_emulator.sql.types import Type, from_proto

if TYPE_CHECKING:
    from bq_emulator.sql.translate.context import Context


@dataclass
class Call:
    """One call: ``args`` are the DuckDB texts of its arguments, ``nodes`` what they were translated from."""

    context: Context
    name: str
    args: list[str]
    nodes: list[Node]
    result: Type

    def type(self, position: int) -> Type:
        """The GoogleSQL type of an argument."""
        return from_proto(self.nodes[position].type)

    def constant(self, position: int) -> Any:
        """The Python value of an argument that must be a constant; enums give their number.

        Raises:
            BigQueryError: notImplemented, where the argument is computed.
        """
        node = self.nodes[position]
        if node.kind == "Parameter":
            return self.context.parameter_value(node)
        if node.kind == "Constant":
            return self.context.variable_value(node)
        if node.kind != "Literal":
            message = f"{self.name} with an argument {position + 1} that is not a constant is not supported"
            raise BigQueryError("notImplemented", message, "query")
        return literal.from_proto(node.value.value, from_proto(node.type))


#: Text with {0}, {1}, … for arguments and {*} for all of them, or a function of the call.
Template = str | Callable[[Call], str]


_ATOMIC = re.compile(
    r"""[\w.]+|(?:struct_extract_at\()+[\w.]+(?:, \d+\))+"""
    r"""|(?:\w+\.)?"[^"]*"|'[^']*'|(?:[\d.]+|\([-\d.]+\)|NULL|'[^']*')::\w+(?:\(\d+,\d+\))?"""
    r"""|getvariable\('\w+'\)"""
)
_COLUMN = re.compile(r"(?!true$|false$|\d)[\w.]+")


def is_column(text: str) -> bool:
    """True for a column or a field of a bound argument."""
    return _COLUMN.fullmatch(text) is not None


def is_atomic(text: str) -> bool:
    """True for what costs nothing to repeat: such a column, a STRUCT's field or a constant."""
    return _ATOMIC.fullmatch(text) is not None


def needs_bound_arguments(template: str) -> bool:
    """True if an argument would be repeated in the text: named twice, or handed to one of our macros."""
    used = re.findall(r"\{(\d+)\}", template)
    return len(used) != len(set(used)) or "bq_" in template


def render(template: str, args: list[str]) -> str:
    """``template`` with its arguments in place."""
    return re.sub(r"\{(\*|\d+)\}", lambda hole: ", ".join(args) if hole[1] == "*" else args[int(hole[1])], template)


def by_count(*templates: tuple[int, str]) -> Template:
    """One template per number of arguments given."""
    table = dict(templates)

    def choose(call: Call) -> str:
        if len(call.args) not in table:
            message = f"{call.name} with {len(call.args)} arguments is not supported by this emulator"
            raise BigQueryError("notImplemented", message, "query")
        return call.context.apply(table[len(call.args)], call.args)

    return choose
