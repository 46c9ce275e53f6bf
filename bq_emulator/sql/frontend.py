"""GoogleSQL text to statements the engine can carry out."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import replace
from threading import Lock
from typing import Any

from zetasql.wasi._pb2.zetasql.public import options_pb2 as public_options
from zetasql.wasi._pb2.zetasql.public.type_pb2 import TypeProto

from bq_emulator.model import BigQueryError, Catalog, Field, Query, Statement, Table, TableRef
from bq_emulator.sql import types
from bq_emulator.sql.analyzer import Analyzer, Pool
from bq_emulator.sql.catalog import Mount, Normalized, split_dotted_names
from bq_emulator.sql.defaults import default_value
from bq_emulator.sql.parameters import Parameters
from bq_emulator.sql.resolved import Node
from bq_emulator.sql.scope import SYSTEM_VARIABLES, Scope
from bq_emulator.sql.script import Leaf, Part, Script, may_be_script, read
from bq_emulator.sql.translate import procedures, statements
from bq_emulator.sql.translate.context import Context
from bq_emulator.sql.translate.names import Names
from bq_emulator.sql.types import quote

VIEW_CACHE_SIZE = 500
MAX_VIEW_DEPTH = 16


class GoogleSqlFrontend:
    """The front end. Thread-safe; analysis runs on a few threads of its own."""

    def __init__(self, threads: int = 4) -> None:
        self._pool = Pool(threads)
        self._views: OrderedDict[tuple[TableRef, str], tuple[str, dict[TableRef, Table]]] = OrderedDict()
        self._views_lock = Lock()

    def warm_up(self) -> None:
        """Load the analyzer, compiling it first where no compiled copy is cached (about 15 s, once per version)."""
        self._pool.run(lambda analyzer: None)

    def script(self, sql: str) -> Script | None:
        """The shape of ``sql`` if it is a script, None for one plain statement.

        Raises:
            BigQueryError: invalidQuery for a syntax error, notImplemented for what scripts here cannot do.
        """
        if not may_be_script(sql):
            return None
        normalized = split_dotted_names(sql)
        try:
            tree = self._pool.run(lambda analyzer: analyzer.parse_script(normalized.sql))
        except BigQueryError as error:
            raise _restored(error, normalized) from None
        script = read(normalized, Node(tree.parsed_script))
        is_plain = len(script.steps) == 1 and isinstance(script.steps[0], Leaf)
        return None if is_plain else script

    def compile(
        self,
        sql: str | tuple[Script, Part],
        *,
        catalog: Catalog,
        project: str,
        default_dataset: str | None = None,
        parameters: Parameters | None = None,
        scope: Scope | None = None,
        expected: TypeProto | None = None,
    ) -> Statement:
        """Analyze and translate one statement: all of a text, or a part of a script.

        Args:
            scope: the variables and temporary tables the statement may name.
            expected: take the text as an expression that must be coercible to this type.

        Raises:
            BigQueryError: invalidQuery with Google's wording and "at [line:column]" of the whole text, notFound for a
                missing table, notImplemented naming the node, function signature or statement that is not in the
                tables.
        """

        def work(analyzer: Analyzer) -> Statement:
            compilation = _Compilation(
                self,
                analyzer,
                catalog,
                project,
                default_dataset,
                parameters or Parameters(),
                scope or Scope(),
                expected,
            )
            if isinstance(sql, str):
                return compilation.statement(sql)
            return compilation.part(*sql)

        return self._pool.run(work)

    def default_value(self, field: Field) -> str:
        """See :func:`bq_emulator.sql.defaults.default_value`."""
        return self._pool.run(lambda analyzer: default_value(analyzer, field))

    def view(self, compilation: _Compilation, table: Table) -> str:
        """The DuckDB text of a view, reused while the tables it reads stay as they were."""
        key = (table.ref, table.view_query or "")
        with self._views_lock:
            known = self._views.get(key)
        if known is not None and all(compilation.catalog.get_table(ref) == seen for ref, seen in known[1].items()):
            compilation.read |= known[1]
            return known[0]
        inner = compilation.for_view(table)
        text = inner.view_text(table)
        compilation.read |= inner.read
        with self._views_lock:
            self._views[key] = (text, dict(inner.read))
            while len(self._views) > VIEW_CACHE_SIZE:
                self._views.popitem(last=False)
        return text


def _restored(error: BigQueryError, normalized: Normalized) -> BigQueryError:
    """``error`` with positions in the user's text."""
    return BigQueryError(error.reason, normalized.restore(error.message), error.location)


class _Compilation:
    """One call of :meth:`GoogleSqlFrontend.compile`, on a thread of the pool."""

    def __init__(
        self,
        frontend: GoogleSqlFrontend,
        analyzer: Analyzer,
        catalog: Catalog,
        project: str,
        default_dataset: str | None,
        parameters: Parameters,
        scope: Scope,
        expected: TypeProto | None = None,
        depth: int = 0,
    ) -> None:
        self._frontend = frontend
        self._analyzer = analyzer
        self.catalog = catalog
        self._project = project
        self._default_dataset = default_dataset
        self._parameters = parameters
        self._scope = scope
        self._expected = expected
        self._depth = depth
        #: Every table and view read, by name.
        self.read: dict[TableRef, Table] = {}

    def for_view(self, table: Table) -> _Compilation:
        if self._depth >= MAX_VIEW_DEPTH:
            message = f"Too many nested views or a view that reads itself: {table.ref}"
            raise BigQueryError("invalidQuery", message, "query")
        return _Compilation(
            self._frontend, self._analyzer, self.catalog, table.ref.project, table.ref.dataset, Parameters(), Scope(),
            depth=self._depth + 1,
        )  # fmt: skip

    def statement(self, sql: str) -> Statement:
        """A text that is one statement."""
        normalized = split_dotted_names(sql)
        try:
            return self._statement(normalized.sql)
        except BigQueryError as error:
            raise _restored(error, normalized) from None

    def part(self, script: Script, part: Part) -> Statement:
        """A piece of a script. What stands before it is blanked out, so that positions stay true; a prefix moves
        them, by a width that leaves tab stops where they are."""
        text = script.text.sql
        prefix = part.prefix or ("SET @@script_value = " if self._expected is not None else "")
        prefix += " " * (-len(prefix) % 8)
        before = re.sub(r"[^\n\t]", " ", text[: part.start])
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1

        def place(found: re.Match[str]) -> str:
            at, where = int(found.group(1)), int(found.group(2))
            return f"[at {at}:{max(where - len(prefix), column) if at == line else where}]"

        try:
            return self._statement(before + prefix + text[part.start : part.end] + part.suffix)
        except BigQueryError as error:
            message = re.sub(r"\[at (\d+):(\d+)\]", place, error.message)
            raise _restored(BigQueryError(error.reason, message, error.location), script.text) from None

    def view_text(self, table: Table) -> str:
        """The text of a view's query; its columns are named as the view's."""
        inner = self.statement(table.view_query or "")
        if not isinstance(inner, Query):
            raise BigQueryError("invalidQuery", f"View {table.ref} is not a query", "query")
        wanted = [field.name for field in table.schema]
        found = [field.name for field in inner.schema]
        if found == wanted:
            return inner.sql
        if len(found) != len(wanted):
            message = f"View {table.ref} has {len(wanted)} columns, but its query now gives {len(found)}"
            raise BigQueryError("invalidQuery", message, "query")
        items = ", ".join(f"{quote(old)} AS {quote(new)}" for old, new in zip(found, wanted, strict=True))
        return f"SELECT {items} FROM ({inner.sql})"

    def _statement(self, sql: str) -> Statement:
        if not sql.strip(" \t\r\n;"):
            raise BigQueryError("invalidQuery", "Syntax error: Unexpected end of statement", "query")
        refresh = procedures.refresh(sql, Names(self._project, self._default_dataset, ()))
        if refresh is not None:
            return refresh
        mount = Mount(self._analyzer.catalog(), self._project, self._default_dataset, self._scope)
        mount.add_variables()
        mount.add_functions()
        for function in self._scope.functions.values():
            for path in self._analyzer.table_names(f"SELECT ({function.body})"):
                mount.add(path, self.catalog)
        paths = self._analyzer.table_names(sql)
        for path in paths:
            mount.add(path, self.catalog)
        altered = statements.altered_table(self._analyzer, sql)
        if altered is not None:
            mount.add(altered[0], self.catalog, optional=altered[1])
        response = self._analyzer.analyze(sql, mount.proto, self._options(sql))
        node = Node(response.resolved_statement)
        context = Context(
            mount.tables,
            self._parameters,
            expand_view=self._expand,
            scope=self._scope,
            default_value=lambda field: default_value(self._analyzer, field),
        )
        names = Names(self._project, self._default_dataset, tuple(paths), self._scope)
        compiled = statements.translate(context, names, node)
        self.read |= {table.ref: table for table in mount.tables.values()}
        return replace(compiled, referenced_tables=tuple(context.referenced))

    def _expand(self, table: Table) -> str:
        return self._frontend.view(self, table)

    def _options(self, sql: str) -> Any:
        parameters = self._parameters.named or self._parameters.positional
        if not parameters and not self._scope.functions and "@@" not in sql:
            return self._analyzer.options
        options = type(self._analyzer.options)()
        options.CopyFrom(self._analyzer.options)
        for path, kind in SYSTEM_VARIABLES.items():
            options.system_variables.add(name_path=path).type.CopyFrom(types.to_proto(kind.field("")))
        if self._scope.functions:
            options.enabled_rewrites.append(public_options.REWRITE_INLINE_SQL_FUNCTIONS)
        if self._expected is not None:
            options.system_variables.add(name_path=["script_value"]).type.CopyFrom(self._expected)
        if self._parameters.positional:
            options.parameter_mode = public_options.PARAMETER_POSITIONAL
            options.positional_query_parameters.extend(
                types.to_proto(declared) for declared, _ in self._parameters.positional
            )
        for name, (declared, _) in self._parameters.named.items():
            options.query_parameters.add(name=name).type.CopyFrom(types.to_proto(declared))
        return options
