"""A script's variables: DuckDB keeps the values, one session variable each, so they are exact for every type."""

from __future__ import annotations

import itertools
from typing import Any

from zetasql.wasi._pb2.zetasql.public.type_pb2 import TypeProto

from bq_emulator.duck import Session
from bq_emulator.model import BigQueryError, Field
from bq_emulator.sql.scope import Variable
from bq_emulator.sql.types import from_proto
from bq_emulator.stored import stored_value


def has_limits(field: Field) -> bool:
    """Whether a STRING(n) or NUMERIC(p, s) is in the type."""
    return bool(field.precision or field.max_length) or any(has_limits(child) for child in field.fields)


class Variables:
    """Frames of variables, the innermost last. Names are case-insensitive."""

    def __init__(self, db: Session) -> None:
        self._db = db
        self._frames: list[dict[str, tuple[Variable, Field | None]]] = [{}]
        self._slots = itertools.count(1)
        self._used: list[str] = []

    def visible(self) -> dict[str, Variable]:
        return {name: variable for frame in self._frames for name, (variable, _) in frame.items()}

    def push(self) -> None:
        self._frames.append({})

    def pop(self) -> None:
        self._frames.pop()

    def declare(self, name: str, kind: TypeProto, limits: Field | None = None) -> Variable:
        """A new variable, NULL at first. ``limits`` is a field whose limits its values must keep.

        Raises:
            BigQueryError: invalidQuery for a name that is taken in this or an outer block.
        """
        if name.lower() in self.visible():
            raise BigQueryError("invalidQuery", f"Variable '{name}' redeclaration is not allowed.", "query")
        variable = Variable(name, kind, self._slot())
        self._frames[-1][name.lower()] = (variable, limits if limits is not None and has_limits(limits) else None)
        self.set(variable, f"NULL::{from_proto(kind).duckdb()}")
        return variable

    def hidden(self, kind: TypeProto) -> Variable:
        """A variable that only a name no script can write reaches."""
        slot = self._slot()
        return Variable(f"$ {slot}", kind, slot)

    def find(self, name: str) -> Variable:
        """Raises BigQueryError invalidQuery for a name that is not declared."""
        variable = self.visible().get(name.lower())
        if variable is None:
            raise BigQueryError("invalidQuery", f"Undeclared variable: {name}", "query")
        return variable

    def set(self, variable: Variable, value: str) -> None:
        """Give it the value of the DuckDB expression ``value``."""
        limits = next((kept for frame in self._frames for v, kept in frame.values() if v == variable), None)
        if limits is not None:
            checked = f"CASE WHEN x IS NULL THEN NULL ELSE {stored_value(limits, 'x')} END"
            value = f"(SELECT {checked} FROM (SELECT {value} AS x))"
        kind = from_proto(variable.type).duckdb()
        self._db.execute(f"SET VARIABLE {variable.slot} = (SELECT CAST({value} AS {kind}))")
        self._used.append(variable.slot)

    def value(self, variable: Variable) -> Any:
        """The Python value, as DuckDB gives it."""
        return self._db.scalar(f"SELECT {variable.sql}")

    def clear(self) -> None:
        """Forget the values; the session serves other jobs."""
        for slot in dict.fromkeys(self._used):
            self._db.execute(f"RESET VARIABLE {slot}")

    def _slot(self) -> str:
        return f"script_variable_{next(self._slots)}"
