"""GoogleSQL text to statements the engine can carry out."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

from cachetools import LRUCache
from zetasql.wasi._pb2.zetasql.public import options_pb2 as public_options
from zetasql.wasi._pb2.zetasql.public.type_pb2 import TypeProto

from bq_emulator.model import (
    BigQueryError,
    Catalog,
    CreateTable,
    CreateView,
    Field,
    Query,
    RoutineRef,
    Statement,
    Table,
    TableRef,
)
from bq_emulator.sql import routines, scans, types
from bq_emulator.sql.analyzer import Analyzer, Pool
from bq_emulator.sql.catalog import Mount, Normalized, as_mounted, column_after, split_dotted_names
from bq_emulator.sql.defaults import default_value
from bq_emulator.sql.parameters import Parameters
from bq_emulator.sql.resolved import Node
from bq_emulator.sql.scope import SYSTEM_VARIABLES, Scope
from bq_emulator.sql.script import Leaf, Part, Script, may_be_script, read
from bq_emulator.sql.translate import procedures, statements
from bq_emulator.sql.translate.context import Context
from bq_emulator.sql.translate.names import Names
from bq_emulator.sql.types import quote

#: More than there are processors gain nothing, and each registers catalogs of its own. A single one could be kept busy.
ANALYZERS = min(4, max(2, os.cpu_count() or 4))
VIEW_CACHE_SIZE = 500
#: Queries that are kept translated; longer texts are not.
QUERY_CACHE_SIZE = 200
#: Statements whose tables' names are kept: those of a large dbt project.
NAMES_CACHE_SIZE = 1_000
_MAX_CACHED_TEXT = 50_000
MAX_VIEW_DEPTH = 16


class GoogleSqlFrontend:
    """The front end. Thread-safe; analysis runs on a few threads of its own."""

    def __init__(self, threads: int = ANALYZERS, strict: bool = True) -> None:
        """``strict``: see :class:`Analyzer`."""
        self._pool = Pool(threads, strict)
        self._views: LRUCache[tuple[TableRef, str], View] = LRUCache(VIEW_CACHE_SIZE)
        self._queries: LRUCache[tuple[str, str, str | None], tuple[Query, Read]] = LRUCache(QUERY_CACHE_SIZE)
        self._names: LRUCache[str, list[tuple[str, ...]]] = LRUCache(NAMES_CACHE_SIZE)
        self._caches_lock = Lock()

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

        key = _cache_key(sql, project, default_dataset, parameters, scope, expected)
        if key is not None and (known := self._known(key, catalog)) is not None:
            return known

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
            if not isinstance(sql, str):
                return compilation.part(*sql)
            statement = compilation.statement(sql)
            if key is not None and isinstance(statement, Query) and compilation.read.is_lasting:
                with self._caches_lock:
                    self._queries[key] = statement, compilation.read
            return statement

        return self._pool.run(work)

    def _known(self, key: tuple[str, str, str | None], catalog: Catalog) -> Query | None:
        """The translation of a query that was asked before, if all that it names is as it was."""
        with self._caches_lock:
            known = self._queries.get(key)
        return known[0] if known is not None and known[1].is_current(catalog) else None

    def default_value(self, field: Field) -> str:
        """See :func:`bq_emulator.sql.defaults.default_value`."""
        return self._pool.run(lambda analyzer: default_value(analyzer, field))

    def view(self, compilation: _Compilation, table: Table) -> View:
        """A view, reused while the tables it reads stay as they were."""
        key = (table.ref, table.view_query or "")
        with self._caches_lock:
            known = self._views.get(key)
        if known is None or not known.seen.is_current(compilation.catalog):
            known = compilation.for_view(table).view(table)
            with self._caches_lock:
                self._views[key] = known
        compilation.read.add(known.seen)
        return known

    def table_names(self, analyzer: Analyzer, sql: str) -> list[tuple[str, ...]]:
        """See :meth:`Analyzer.table_names`: dbt asks the same again with each build, while its tables change."""
        with self._caches_lock:
            known = self._names.get(sql)
        if known is None:
            known = analyzer.table_names(sql)
            if len(sql) <= _MAX_CACHED_TEXT:
                with self._caches_lock:
                    self._names[sql] = known
        return known


@dataclass
class Read:
    """What a statement reads, by name: tables and views with what is in them, functions with what they call."""

    tables: dict[TableRef, Table] = field(default_factory=dict)
    routines: dict[RoutineRef, dict[str, Any]] = field(default_factory=dict)

    def add(self, other: Read) -> None:
        self.tables |= other.tables
        self.routines |= other.routines

    @property
    def is_lasting(self) -> bool:
        """Whether none of the tables is made anew for each query, as those of INFORMATION_SCHEMA are."""
        return all(table.kind != "VIEW" or table.view_query for table in self.tables.values())

    def is_current(self, catalog: Catalog) -> bool:
        """Whether every name still stands for what it stood for."""
        catalog.expect(list(self.tables))
        return all(catalog.get_table(ref) == seen for ref, seen in self.tables.items()) and all(
            catalog.get_routine(ref) == seen for ref, seen in self.routines.items()
        )


@dataclass(frozen=True)
class View:
    """The DuckDB ``text`` that stands for a view, the ``tables`` behind it, what it ``reads`` of them, and the names as
    they were ``seen`` then."""

    text: str
    tables: tuple[TableRef, ...]
    reads: scans.Summary
    seen: Read


def _cache_key(
    sql: str | tuple[Script, Part],
    project: str,
    default_dataset: str | None,
    parameters: Parameters | None,
    scope: Scope | None,
    expected: TypeProto | None,
) -> tuple[str, str, str | None] | None:
    """What a translation depends on besides what is in the catalog; None for one that also depends on parameters or on
    a script, or may depend on system variables."""
    if not isinstance(sql, str) or len(sql) > _MAX_CACHED_TEXT or "@" in sql or expected is not None:
        return None
    if parameters is not None and (parameters.named or parameters.positional):
        return None
    if scope is not None and (scope.variables or scope.temp_tables or scope.functions):
        return None
    return sql, project, default_dataset


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
        self.read = Read()
        self._views: dict[TableRef, View] = {}
        #: What a view's query reads.
        self._reads = scans.Summary()

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
        line, column = before.count("\n") + 1, column_after(before[before.rfind("\n") + 1 :])

        def place(found: re.Match[str]) -> str:
            at, where = int(found.group(1)), int(found.group(2))
            return f"[at {at}:{max(where - len(prefix), column) if at == line else where}]"

        try:
            return self._statement(before + prefix + text[part.start : part.end] + part.suffix)
        except BigQueryError as error:
            message = re.sub(r"\[at (\d+):(\d+)\]", place, error.message)
            raise _restored(BigQueryError(error.reason, message, error.location), script.text) from None

    def view(self, table: Table) -> View:
        """A view's query; its columns are named as the view's."""
        inner = self.statement(table.view_query or "")
        if not isinstance(inner, Query):
            raise BigQueryError("invalidQuery", f"View {table.ref} is not a query", "query")
        wanted = [field.name for field in table.schema]
        found = [field.name for field in inner.schema]
        if len(found) != len(wanted):
            message = f"View {table.ref} has {len(wanted)} columns, but its query now gives {len(found)}"
            raise BigQueryError("invalidQuery", message, "query")
        text = inner.sql
        if found != wanted:
            items = ", ".join(f"{quote(old)} AS {quote(new)}" for old, new in zip(found, wanted, strict=True))
            text = f"SELECT {items} FROM ({text})"
        return View(text, inner.referenced_tables, self._reads, self.read)

    def _statement(self, sql: str) -> Statement:
        if not sql.strip(" \t\r\n;"):
            raise BigQueryError("invalidQuery", "Syntax error: Unexpected end of statement", "query")
        refresh = procedures.refresh(sql, Names(self._project, self._default_dataset, ()))
        if refresh is not None:
            return refresh
        statements.refuse(sql)
        mount = Mount(self._analyzer.catalog(), self._project, self._default_dataset, self._scope)
        # What stays must not depend on what ends with the script.
        if not statements.makes_lasting_function(sql):
            mount.add_variables()
            for function in self._scope.functions.values():
                mount.add_routine((function.name,), function.routine)
                self._mount_read(mount, routines.query_of(function.routine))
        paths = self._mount_read(mount, sql)
        altered = statements.altered_table(self._analyzer, sql)
        if altered is not None:
            mount.add(altered[0], self.catalog, optional=altered[1])
        try:
            if altered is not None and altered[0] not in mount.mounted:  # what is not there must not be found
                response = self._analyzer.analyze(sql, mount.proto, self._options(sql))
            else:
                response = self._analyzer.analyze_mounted(sql, mount, self._options(sql))
        except BigQueryError as error:
            error.message = routines.restore_names(error.message, (".".join(path) for path in mount.routines))
            raise
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
        if isinstance(compiled, CreateTable | CreateView):
            self._expect_reads(compiled)
        self.read.tables |= {table.ref: table for table in mount.tables.values()}
        # Google names the tables behind views, not the views.
        behind = ((self._views[ref].tables if ref in self._views else (ref,)) for ref in context.referenced)
        referenced = tuple(dict.fromkeys(ref for refs in behind for ref in refs))
        if self._depth:
            self._reads = scans.of_query(context, node, self._view_reads)
            return replace(compiled, referenced_tables=referenced)
        return replace(
            compiled,
            referenced_tables=referenced,
            referenced_routines=tuple(self.read.routines),
            scans=scans.of_statement(context, node, self._view_reads),
        )

    def _expect_reads(self, made: CreateTable | CreateView) -> None:
        """What is made to stay is read soon, and by its whole name."""
        if "expiration_timestamp" in made.options or (isinstance(made, CreateTable) and made.is_temporary):
            return
        ref = made.target
        path = (ref.project, ref.dataset, ref.table)
        table = as_mounted(path, Table(ref, "TABLE", made.schema, physical=""))
        self._analyzer.expect(path, table.SerializeToString(deterministic=True))

    def _mount_read(self, mount: Mount, sql: str) -> list[tuple[str, ...]]:
        """Mount the tables ``sql`` reads, whose paths are given back, and the functions it calls with what they
        read."""
        paths = self._frontend.table_names(self._analyzer, sql)
        mount.expect(paths, self.catalog)
        for path in paths:
            mount.add(path, self.catalog)
        for path in routines.called(sql):
            ref = self._routine_ref(path)
            if path in mount.routines or ref is None or (routine := self.catalog.get_routine(ref)) is None:
                continue
            self.read.routines[ref] = routine
            mount.add_routine(path, routine)
            self._mount_read(mount, routines.query_of(routine))
        return paths

    def _routine_ref(self, path: tuple[str, ...]) -> RoutineRef | None:
        """The function ``path`` may name; a built-in one comes before one of the default dataset."""
        match path:
            case (project, dataset, name):
                return RoutineRef(project, dataset, name)
            case (dataset, name):
                return RoutineRef(self._project, dataset, name)
            case (name,) if self._default_dataset and name.lower() not in self._analyzer.builtin_names:
                return RoutineRef(self._project, self._default_dataset, name)
        return None

    def _expand(self, table: Table) -> str:
        if table.ref not in self._views:
            self._views[table.ref] = self._frontend.view(self, table)
        return self._views[table.ref].text

    def _view_reads(self, table: Table) -> scans.Summary:
        return self._views[table.ref].reads

    def _options(self, sql: str) -> Any:
        parameters = self._parameters.named or self._parameters.positional
        if not parameters and "@@" not in sql:
            return self._analyzer.options
        options = type(self._analyzer.options)()
        options.CopyFrom(self._analyzer.options)
        for path, kind in SYSTEM_VARIABLES.items():
            options.system_variables.add(name_path=path).type.CopyFrom(types.to_proto(kind.field("")))
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
