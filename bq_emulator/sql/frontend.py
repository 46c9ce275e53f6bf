"""GoogleSQL text to statements the engine can carry out."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from threading import Lock
from typing import Any

from zetasql.wasi._pb2.zetasql.public import options_pb2 as public_options

from bq_emulator.model import BigQueryError, Catalog, Field, Query, Statement, Table, TableRef
from bq_emulator.sql import types
from bq_emulator.sql.analyzer import Analyzer, Pool
from bq_emulator.sql.catalog import Mount, split_dotted_names
from bq_emulator.sql.defaults import default_value
from bq_emulator.sql.parameters import Parameters
from bq_emulator.sql.resolved import Node
from bq_emulator.sql.translate import statements
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

    def compile(
        self,
        sql: str,
        *,
        catalog: Catalog,
        project: str,
        default_dataset: str | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> list[Statement]:
        """Analyze and translate ``sql``; see :class:`bq_emulator.model.Frontend`.

        Statements separated by ``;`` are all compiled before the first one runs: one that needs another's effect is
        refused as not found.
        """
        given = Parameters.of(parameters)
        return self._pool.run(
            lambda analyzer: _Compilation(self, analyzer, catalog, project, default_dataset, given).statements(sql)
        )

    def default_value(self, field: Field) -> str:
        """See :class:`bq_emulator.model.Frontend`."""
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
        depth: int = 0,
    ) -> None:
        self._frontend = frontend
        self._analyzer = analyzer
        self.catalog = catalog
        self._project = project
        self._default_dataset = default_dataset
        self._parameters = parameters
        self._depth = depth
        #: Every table and view read, by name.
        self.read: dict[TableRef, Table] = {}

    def for_view(self, table: Table) -> _Compilation:
        if self._depth >= MAX_VIEW_DEPTH:
            message = f"Too many nested views or a view that reads itself: {table.ref}"
            raise BigQueryError("invalidQuery", message, "query")
        return _Compilation(
            self._frontend, self._analyzer, self.catalog, table.ref.project, table.ref.dataset, Parameters(),
            self._depth + 1,
        )  # fmt: skip

    def statements(self, sql: str) -> list[Statement]:
        normalized = split_dotted_names(sql)
        try:
            return [self._statement(text) for text in self._split(normalized.sql)]
        except BigQueryError as error:
            message = normalized.restore(error.message)
            if message == error.message:
                raise
            raise BigQueryError(error.reason, message, error.location) from None

    def view_text(self, table: Table) -> str:
        """The text of a view's query; its columns are named as the view's."""
        compiled = self.statements(table.view_query or "")
        if len(compiled) != 1 or not isinstance(compiled[0], Query):
            raise BigQueryError("invalidQuery", f"View {table.ref} is not one query", "query")
        inner = compiled[0]
        wanted = [field.name for field in table.schema]
        found = [field.name for field in inner.schema]
        if found == wanted:
            return inner.sql
        if len(found) != len(wanted):
            message = f"View {table.ref} has {len(wanted)} columns, but its query now gives {len(found)}"
            raise BigQueryError("invalidQuery", message, "query")
        items = ", ".join(f"{quote(old)} AS {quote(new)}" for old, new in zip(found, wanted, strict=True))
        return f"SELECT {items} FROM ({inner.sql})"

    def _split(self, sql: str) -> list[str]:
        """The statements of a text, each with what stands before it blanked out, so that positions stay true."""
        if ";" not in sql.rstrip().rstrip(";"):
            return [sql]
        data = sql.encode()
        texts = []
        for start, end in self._analyzer.statements(sql):
            before = "".join(letter if letter == "\n" else " " for letter in data[:start].decode())
            texts.append(before + data[start:end].decode())
        return texts

    def _statement(self, sql: str) -> Statement:
        if not sql.strip(" \t\r\n;"):
            raise BigQueryError("invalidQuery", "Syntax error: Unexpected end of statement", "query")
        mount = Mount(self._analyzer.catalog(), self._project, self._default_dataset)
        paths = self._analyzer.table_names(sql)
        for path in paths:
            mount.add(path, self.catalog)
        altered = statements.altered_table(self._analyzer, sql)
        if altered is not None:
            mount.add(altered[0], self.catalog, optional=altered[1])
        response = self._analyzer.analyze(sql, mount.proto, self._options())
        node = Node(response.resolved_statement)
        context = Context(
            mount.tables,
            self._parameters,
            expand_view=self._expand,
            default_value=lambda field: default_value(self._analyzer, field),
        )
        names = Names(self._project, self._default_dataset, tuple(paths))
        compiled = statements.translate(context, names, node)
        self.read |= {table.ref: table for table in mount.tables.values()}
        return replace(compiled, referenced_tables=tuple(context.referenced))

    def _expand(self, table: Table) -> str:
        return self._frontend.view(self, table)

    def _options(self) -> Any:
        if not self._parameters.named and not self._parameters.positional:
            return self._analyzer.options
        options = type(self._analyzer.options)()
        options.CopyFrom(self._analyzer.options)
        if self._parameters.positional:
            options.parameter_mode = public_options.PARAMETER_POSITIONAL
            options.positional_query_parameters.extend(
                types.to_proto(declared) for declared, _ in self._parameters.positional
            )
        for name, (declared, _) in self._parameters.named.items():
            options.query_parameters.add(name=name).type.CopyFrom(types.to_proto(declared))
        return options
