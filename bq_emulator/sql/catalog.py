"""Names: from paths as written in a query to tables of the engine's catalog, mounted for the analyzer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from zetasql.wasi._pb2.zetasql.proto import simple_catalog_pb2
from zetasql.wasi._pb2.zetasql.public import simple_table_pb2

from bq_emulator.model import BigQueryError, Catalog, Table, TableRef
from bq_emulator.sql import routines, types
from bq_emulator.sql.known_tables import number
from bq_emulator.sql.scope import Scope
from bq_emulator.sql.types import quote

#: Identifiers in back-ticks, and everything that may hide one.
_TOKENS = re.compile(
    r"""(?P<comment>/\*.*?\*/|--[^\n]*|\#[^\n]*)
      | (?P<string>[rRbB]{0,2}(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''
                              |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
      | (?P<name>`(?:\\.|[^`\\])*`)""",
    re.DOTALL | re.VERBOSE,
)


#: Columns from one tab stop to the next, as the analyzer counts.
_TAB = 8


def _after(character: str, column: int) -> int:
    """The column after a character at ``column``."""
    return (column - 1) // _TAB * _TAB + _TAB + 1 if character == "\t" else column + 1


def column_after(text: str) -> int:
    """The 1-based column behind ``text``, which begins a line."""
    column = 1
    for character in text:
        column = _after(character, column)
    return column


@dataclass(frozen=True)
class Normalized:
    """A statement whose dotted back-ticked names are split, with the means to map positions back."""

    sql: str
    #: Offsets in ``sql`` (characters) at which one character was inserted.
    inserted: tuple[int, ...]

    def original_column(self, line: int, column: int) -> int:
        """The 1-based column in the user's text for a position that the analyzer gave in ``sql``."""
        start = 0
        for _ in range(line - 1):
            start = self.sql.find("\n", start) + 1
        offset, reached = start, 1
        while reached < column and offset < len(self.sql):
            reached = _after(self.sql[offset], reached)
            offset += 1
        return self.column_at(offset)

    def column_at(self, offset: int) -> int:
        """The 1-based column in the user's text of a place in ``sql``."""
        start = self.sql.rfind("\n", 0, offset) + 1
        inserted = {place for place in self.inserted if start <= place < offset}
        return column_after("".join(self.sql[place] for place in range(start, offset) if place not in inserted))

    def restore(self, message: str) -> str:
        """``message`` with its "[at line:column]" turned into "at [line:column]" of the user's text."""

        def place(found: re.Match[str]) -> str:
            line, column = int(found.group(1)), int(found.group(2))
            return f"at [{line}:{self.original_column(line, column)}]"

        return re.sub(r"\[at (\d+):(\d+)\]", place, message)


def split_dotted_names(sql: str) -> Normalized:
    """`` `p.d.t` `` → `` `p`.`d`.`t` ``. BigQuery reads both alike; the analyzer takes the first as one name. A dot
    occurs in no other identifier of BigQuery but the role of a GRANT, so all back-ticked names are treated the same."""
    parts: list[str] = []
    inserted: list[int] = []
    length = last = 0
    for found in _TOKENS.finditer(sql):
        name = found.group("name")
        if not name or "." not in name or "/" in name:  # the role of a GRANT
            continue
        parts.append(sql[last : found.start()])
        length += len(parts[-1])
        split = name[1:-1].split(".")
        for position, segment in enumerate(split):
            piece = f"`{segment}`" + ("." if position < len(split) - 1 else "")
            parts.append(piece)
            length += len(piece)
            if position < len(split) - 1:  # "`a`.`b" stands for "`a.b"; two characters are new
                inserted += [length - 2, length]
        last = found.end()
    parts.append(sql[last:])
    return Normalized("".join(parts), tuple(inserted))


def table_ref(path: tuple[str, ...], project: str, default_dataset: str | None) -> TableRef:
    """The full name for a path of one to four segments.

    Raises:
        BigQueryError: invalidQuery, when a one-part name has no default dataset or the path is too long.
    """
    schema = next((place for place, part in enumerate(path) if part.upper() == "INFORMATION_SCHEMA"), None)
    if schema is not None and schema < len(path) - 1:
        path = (*path[:schema], f"INFORMATION_SCHEMA.{'.'.join(path[schema + 1 :]).upper()}")
        if len(path) == 1:
            return TableRef(project, default_dataset or "region-us", path[0])
    if len(path) == 1:
        if default_dataset is None:
            message = f'Table "{path[0]}" must be qualified with a dataset (e.g. dataset.table).'
            raise BigQueryError("invalid", message, path[0])
        return TableRef(project, default_dataset, path[0])
    if len(path) == 2:
        return TableRef(project, path[0], path[1])
    if len(path) == 3:
        return TableRef(*path)
    raise BigQueryError("invalidQuery", f'Invalid table name: "{".".join(path)}"', "query")


def not_found(ref: TableRef, location: str = "US") -> BigQueryError:
    """Google's wording for a missing table."""
    message = f"Not found: Table {ref.project}:{ref.dataset}.{ref.table} was not found in location {location}"
    return BigQueryError("notFound", message, "query")


@dataclass
class Mount:
    """The small catalog of one query: each path exactly as written."""

    proto: simple_catalog_pb2.SimpleCatalogProto
    project: str
    default_dataset: str | None
    scope: Scope = field(default_factory=Scope)
    tables: dict[int, Table] = field(default_factory=dict)
    #: Functions by the paths they are called by.
    routines: dict[tuple[str, ...], dict[str, Any]] = field(default_factory=dict)
    #: The tables as the analyzer knows them, by their paths.
    mounted: dict[tuple[str, ...], bytes] = field(default_factory=dict)
    _paths: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_plain(self) -> bool:
        """Whether it holds tables only."""
        return not self.routines and not self.proto.constant

    def expect(self, paths: Iterable[tuple[str, ...]], catalog: Catalog) -> None:
        """Have ``catalog`` look ``paths`` up at once instead of one after another."""
        named = [path for path in paths if len(path) > 1 and self.scope.temp_table(path) is None]
        catalog.expect([table_ref(path, self.project, None) for path in named])

    def add(self, path: tuple[str, ...], catalog: Catalog, optional: bool = False) -> None:
        """Look ``path`` up and mount it; an ``optional`` one may be missing.

        Raises:
            BigQueryError: notFound.
        """
        folded = tuple(part.lower() for part in path)
        if folded in self._paths:
            if self._paths[folded] != path:
                names = f"{'.'.join(path)} and {'.'.join(self._paths[folded])}"
                message = f"Tables that differ only in case in one query are not supported: {names}"
                raise BigQueryError("notImplemented", message, "query")
            return
        ref = self.scope.temp_table(path) or table_ref(path, self.project, self.default_dataset)
        if ref.table.endswith("*"):
            message = f"Wildcard tables are not supported by this emulator: {'.'.join(path)}"
            raise BigQueryError("notImplemented", message, "query")
        table = catalog.get_table(ref)
        if table is None and optional:
            return
        if table is None:
            if not ref.table.startswith("INFORMATION_SCHEMA.") and not catalog.has_dataset(ref.project, ref.dataset):
                message = f"Not found: Dataset {ref.project}:{ref.dataset} was not found in location US"
                raise BigQueryError("notFound", message, "query")
            raise not_found(ref)
        self._paths[folded] = path
        self._mount(path, table)

    def add_variables(self) -> None:
        """Mount the scope's variables as constants. Only their types matter here, so all are NULL: a script's next
        statement finds its catalog known."""
        for variable in self.scope.variables.values():
            constant = self.proto.constant.add(name_path=[variable.name])
            constant.type.CopyFrom(variable.type)
            constant.value.SetInParent()

    def add_routine(self, path: tuple[str, ...], routine: dict[str, Any]) -> None:
        """Mount a function under the name it is called by."""
        self.routines[path] = routine
        routines.mount(home_of(self.proto, path), path[-1], routine)

    def _mount(self, path: tuple[str, ...], table: Table) -> None:
        mounted = as_mounted(path, table)
        self.tables[mounted.serialization_id] = table
        home_of(self.proto, path).table.append(mounted)
        self.mounted[path] = mounted.SerializeToString(deterministic=True)


def as_mounted(path: tuple[str, ...], table: Table) -> simple_table_pb2.SimpleTableProto:
    """The table as the analyzer knows it by ``path``."""
    mounted = simple_table_pb2.SimpleTableProto(name=path[-1], serialization_id=number(path), full_name=".".join(path))
    for column in table.schema:
        mounted.column.add(name=column.name, is_writable_column=True).type.CopyFrom(types.to_proto(column))
    for column, text in table.pseudo_columns:
        pseudo = mounted.column.add(name=column.name, is_pseudo_column=True)
        pseudo.is_writable_column = text == quote(column.name)
        pseudo.type.CopyFrom(types.to_proto(column))
    return mounted


def home_of(
    catalog: simple_catalog_pb2.SimpleCatalogProto, path: tuple[str, ...]
) -> simple_catalog_pb2.SimpleCatalogProto:
    """The catalog nested in ``catalog`` in which ``path`` ends."""
    for part in path[:-1]:
        for child in catalog.catalog:
            if child.name == part:
                catalog = child
                break
        else:
            catalog = catalog.catalog.add(name=part)
    return catalog
