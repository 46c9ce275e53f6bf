"""The shape of a script: nested statements with the places of their parts in the text.

Scripts are the one thing the analyzer does not resolve: only its parser knows them. So DECLARE, SET, IF, CASE, BEGIN …
EXCEPTION … END, RAISE, RETURN, EXECUTE IMMEDIATE and transactions are read here from the parse tree and carried out by
:mod:`bq_emulator.jobs.script`; every expression and every other statement in them is analyzed by itself, when its turn
comes. Loops and labels are refused by name.
https://cloud.google.com/bigquery/docs/reference/standard-sql/procedural-language
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bq_emulator.model import BigQueryError
from bq_emulator.sql.catalog import Normalized
from bq_emulator.sql.resolved import Node


@dataclass(frozen=True)
class Part:
    """A piece of a text, in characters. Analyzed alone it is set between ``prefix`` and ``suffix``."""

    start: int
    end: int
    prefix: str = ""
    suffix: str = ""


@dataclass(frozen=True)
class Step:
    """One statement of a script; ``place`` is the whole of it."""

    place: Part


@dataclass(frozen=True)
class Leaf(Step):
    """A statement the analyzer knows. ``kind`` is the parse tree's name for it."""

    kind: str
    #: CREATE TEMP FUNCTION, which does not make a script of a query.
    is_temp_function: bool = False


@dataclass(frozen=True)
class Declare(Step):
    names: tuple[str, ...]
    type: Part | None
    default: Part | None


@dataclass(frozen=True)
class Assign(Step):
    """SET. ``names`` are variables, or with ``system`` the path of one system variable; ``from_struct`` for
    ``SET (a, b) = …``."""

    names: tuple[str, ...]
    value: Part
    from_struct: bool = False
    system: bool = False


@dataclass(frozen=True)
class Branch:
    condition: Part
    body: tuple[Step, ...]


@dataclass(frozen=True)
class Choice(Step):
    """IF, and CASE with or without the ``value`` that is compared. ``otherwise`` is None for a missing ELSE."""

    branches: tuple[Branch, ...]
    otherwise: tuple[Step, ...] | None
    value: Part | None = None


@dataclass(frozen=True)
class Block(Step):
    body: tuple[Step, ...]
    handler: tuple[Step, ...] | None


@dataclass(frozen=True)
class Raise(Step):
    message: Part | None


@dataclass(frozen=True)
class Return(Step):
    pass


@dataclass(frozen=True)
class Transaction(Step):
    """``action`` is BEGIN, COMMIT or ROLLBACK."""

    action: str


@dataclass(frozen=True)
class ExecuteImmediate(Step):
    """``using`` holds (expression, name or None)."""

    sql: Part
    into: tuple[str, ...]
    using: tuple[tuple[Part, str | None], ...]


@dataclass(frozen=True)
class Script:
    """``text`` is what the places of the steps refer to."""

    text: Normalized
    steps: tuple[Step, ...]

    def source(self, part: Part) -> str:
        """The text of a part."""
        return self.text.sql[part.start : part.end]

    def position(self, part: Part) -> tuple[int, int]:
        """The 1-based line and column in the user's text at which a part starts."""
        line = self.text.sql.count("\n", 0, part.start) + 1
        return line, self.text.column_at(part.start)


_WORDS = (
    "begin|declare|set|if|case|raise|return|execute|commit|rollback|loop|while|repeat|for|call|break|leave|continue"
)
_PROCEDURAL = re.compile(
    rf"(?:\s|/\*.*?\*/|--[^\n]*\n|#[^\n]*\n)*(?:(?:{_WORDS})\b|`?\w+`?\s*:)", re.IGNORECASE | re.DOTALL
)


def may_be_script(text: str) -> bool:
    """False for what can only be one plain statement; saves it the parsing."""
    return ";" in text.rstrip(" \t\r\n;") or _PROCEDURAL.match(text) is not None


def read(text: Normalized, tree: Node) -> Script:
    """The script of the parse tree ``tree``, whose places are bytes of ``text``.

    Raises:
        BigQueryError: notImplemented, for loops and labels; invalidQuery, for a DECLARE out of place.
    """
    return Script(text, _Reader(text).body(tree.statement_list_node))


def is_query_with_functions(script: Script) -> bool:
    """True for CREATE TEMP FUNCTIONs with one query after them, which Google does not call a script."""
    *before, last = script.steps or [None]
    return isinstance(last, Leaf) and all(isinstance(step, Leaf) and step.is_temp_function for step in before)


class _Reader:
    def __init__(self, text: Normalized) -> None:
        self._script = Script(text, ())
        self._data = text.sql.encode()
        self._is_ascii = len(self._data) == len(text.sql)

    def part(self, node: Node) -> Part:
        place = node.parse_location_range
        return Part(self._characters(place.start), self._characters(place.end))

    def _characters(self, position: int) -> int:
        return position if self._is_ascii else len(self._data[:position].decode())

    def body(self, node: Node | None) -> tuple[Step, ...]:
        steps = tuple(self.step(each) for each in node.statement_list) if node is not None else ()
        for before, step in pairwise(steps):
            if isinstance(step, Declare) and not isinstance(before, Declare):
                line, column = self._script.position(step.place)
                message = "Variable declarations are allowed only at the start of a block or script"
                raise BigQueryError("invalidQuery", f"{message} at [{line}:{column}]", "query")
        return steps

    def step(self, node: Node) -> Step:
        if node.kind in REFUSED:
            raise BigQueryError("notImplemented", f"{REFUSED[node.kind]} is not supported by this emulator", "query")
        read = STEPS.get(node.kind)
        if read is not None:
            return read(self, node)
        is_function = node.kind == "ASTCreateFunctionStatement" and node.scope == "TEMPORARY"
        return Leaf(self.part(node), node.kind, is_function)


REFUSED = {
    "ASTWhileStatement": "LOOP or WHILE",
    "ASTRepeatStatement": "REPEAT",
    "ASTForInStatement": "FOR … IN",
    "ASTBreakStatement": "BREAK",
    "ASTContinueStatement": "CONTINUE",
}


def _names(node: Node | None) -> tuple[str, ...]:
    return tuple(each.id_string for each in node.identifier_list) if node is not None else ()


def _declare(reader: _Reader, node: Node) -> Step:
    kind, default = node.type, node.default_value
    return Declare(
        reader.part(node),
        _names(node.variable_list),
        reader.part(kind) if kind is not None else None,
        reader.part(default) if default is not None else None,
    )


def _if(reader: _Reader, node: Node) -> Step:
    branches = [Branch(reader.part(node.condition), reader.body(node.then_list))]
    clauses = node.elseif_clauses.elseif_clauses if node.elseif_clauses is not None else []
    branches += [Branch(reader.part(each.condition), reader.body(each.body)) for each in clauses]
    return Choice(reader.part(node), tuple(branches), reader.body(node.else_list))


def _case(reader: _Reader, node: Node) -> Step:
    clauses = node.when_then_clauses.when_then_clauses
    return Choice(
        reader.part(node),
        tuple(Branch(reader.part(each.condition), reader.body(each.body)) for each in clauses),
        reader.body(node.else_list) if node.else_list is not None else None,
        reader.part(node.expression) if node.expression is not None else None,
    )


def _block(reader: _Reader, node: Node) -> Step:
    if node.label is not None:
        raise BigQueryError("notImplemented", "A label is not supported by this emulator", "query")
    handlers = node.handler_list
    handler = reader.body(handlers.exception_handler_list[0].statement_list) if handlers is not None else None
    return Block(reader.part(node), reader.body(node.statement_list_node), handler)


def _execute(reader: _Reader, node: Node) -> Step:
    arguments = node.using_clause.arguments if node.using_clause is not None else []
    using = [
        (reader.part(each.expression), each.alias.identifier.id_string if each.alias else None) for each in arguments
    ]
    into = _names(node.into_clause.identifiers) if node.into_clause is not None else ()
    return ExecuteImmediate(reader.part(node), reader.part(node.sql), into, tuple(using))


def _raise(reader: _Reader, node: Node) -> Step:
    message = node.get("message")  # ``node.message`` is the protobuf message
    return Raise(reader.part(node), reader.part(message) if message is not None else None)


def _transaction(action: str) -> Callable[[_Reader, Node], Step]:
    return lambda reader, node: Transaction(reader.part(node), action)


def _system_path(node: Node) -> tuple[str, ...]:
    return tuple(each.id_string.lower() for each in node.path.names)


STEPS: dict[str, Callable[[_Reader, Any], Step]] = {
    "ASTVariableDeclaration": _declare,
    "ASTSingleAssignment": lambda reader, node: Assign(
        reader.part(node), (node.variable.id_string,), reader.part(node.expression)
    ),
    "ASTAssignmentFromStruct": lambda reader, node: Assign(
        reader.part(node), _names(node.variables), reader.part(node.struct_expression), from_struct=True
    ),
    "ASTSystemVariableAssignment": lambda reader, node: Assign(
        reader.part(node), _system_path(node.system_variable), reader.part(node.expression), system=True
    ),
    "ASTIfStatement": _if,
    "ASTCaseStatement": _case,
    "ASTBeginEndBlock": _block,
    "ASTRaiseStatement": _raise,
    "ASTReturnStatement": lambda reader, node: Return(reader.part(node)),
    "ASTBeginStatement": _transaction("BEGIN"),
    "ASTCommitStatement": _transaction("COMMIT"),
    "ASTRollbackStatement": _transaction("ROLLBACK"),
    "ASTExecuteImmediateStatement": _execute,
}
