"""Calls into Google's analyzer: options that make it BigQuery, and a small pool of instances on large stacks."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TypeVar

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as service
from zetasql.wasi._pb2.zetasql.proto import options_pb2, simple_catalog_pb2
from zetasql.wasi._pb2.zetasql.public import options_pb2 as public_options
from zetasql.wasi._pb2.zetasql.public import type_pb2
from zetasql.wasi._pb2.zetasql.resolved_ast import resolved_node_kind_pb2 as node_kinds

from bq_emulator.model import BigQueryError
from bq_emulator.sql import errors, wasm
from bq_emulator.sql.catalog import Mount, home_of
from bq_emulator.sql.functions import additional
from bq_emulator.sql.known_tables import KnownTables, Path

Result = TypeVar("Result")

#: Python frames for the deepest query the analyzer itself can take.
RECURSION_LIMIT = 50_000
#: Catalogs an analyzer keeps; some 2 MB each.
REGISTERED_CATALOGS = 16
#: The largest texts take some seconds.
MAX_SECONDS = 300.0

#: In the analyzer's maximum, neither in BigQuery nor here.
NOT_HERE = (
    "FEATURE_TIMESTAMP_NANOS",
    "FEATURE_TIMESTAMP_PICOS",
    "FEATURE_JSON_TYPE_COMPARISON",
    "FEATURE_LATERAL_JOIN",
    "FEATURE_MAP_TYPE",
    "FEATURE_UUID_TYPE",
    "FEATURE_ROW_TYPE",
    "FEATURE_ANONYMIZATION",
    "FEATURE_INSERT_ON_CONFLICT_CLAUSE",
    "FEATURE_DML_RETURNING",
    "FEATURE_FOR_UPDATE",
    "FEATURE_MULTIWAY_UNNEST",
    "FEATURE_AGGREGATE_FILTERING",
    "FEATURE_MULTILEVEL_AGGREGATION",
    "FEATURE_MULTILEVEL_AGGREGATION_ON_UDAS",
    "FEATURE_WITH_RECURSIVE_DEPTH_MODIFIER",
    "FEATURE_ALLOW_MISSING_PATH_EXPRESSION_IN_ALTER_DDL",
)
#: Not in BigQuery, but harmless: taken unless the analyzer is strict.
EXTENSIONS = (
    "FEATURE_LATERAL_COLUMN_REFERENCES",
    "FEATURE_ARRAY_EQUALITY",
    "FEATURE_ARRAY_ORDERING",
    "FEATURE_ARRAY_GREATEST_LEAST",
    "FEATURE_IMPLICIT_COERCION_STRING_LITERAL_TO_BYTES",
    "FEATURE_PI_FUNCTIONS",
    "FEATURE_NULLIFZERO_ZEROIFNULL",
)
#: In BigQuery, not in the analyzer's maximum.
ALSO_IN_BIGQUERY = (
    "FEATURE_ALTER_COLUMN_SET_DATA_TYPE",
    "FEATURE_ALTER_TABLE_RENAME_COLUMN",
    "FEATURE_ALTER_VIEWS_ALTER_COLUMN_SET_OPTIONS",
    "FEATURE_CREATE_VIEWS_WITH_COLUMN_OPTIONS",
    "FEATURE_ALLOW_DASHES_IN_TABLE_NAME",
    "FEATURE_CREATE_TABLE_CLONE",
    "FEATURE_UNENFORCED_PRIMARY_KEYS",
    "FEATURE_JSON_STRICT_NUMBER_PARSING",
)


class Analyzer:
    """One instance of the analyzer with its options. Not thread-safe; lives on one thread of :class:`Pool`."""

    def __init__(self, strict: bool = True, known: KnownTables | None = None) -> None:
        """``strict`` takes what BigQuery takes, and not what GoogleSQL has beyond it (:data:`EXTENSIONS`); ``known``
        is shared by the analyzers of a pool."""
        self._strict = strict
        self._known = known or KnownTables()
        self._start()

    def _start(self) -> None:
        self._instance = wasm.Instance(wasm.compiled_analyzer())
        self._registered: dict[bytes, service.RegisterResponse] = {}
        self._shared: dict[Path, bytes] = {}
        self.options = self._bigquery_options()

    def _bigquery_options(self) -> options_pb2.AnalyzerOptionsProto:
        language = self._instance.call(
            "GetLanguageOptions",
            service.LanguageOptionsRequest(maximum_features=True),
            options_pb2.LanguageOptionsProto,
        )
        numbers = public_options.LanguageFeature
        features = set(language.enabled_language_features)
        features -= {numbers.Value(name) for name in (*NOT_HERE, *EXTENSIONS)}
        features |= {numbers.Value(name) for name in (*ALSO_IN_BIGQUERY, *(() if self._strict else EXTENSIONS))}
        del language.enabled_language_features[:]
        language.enabled_language_features.extend(sorted(features))
        language.product_mode = public_options.PRODUCT_EXTERNAL
        language.name_resolution_mode = public_options.NAME_RESOLUTION_DEFAULT
        del language.supported_statement_kinds[:]
        language.supported_statement_kinds.extend(
            number for name, number in node_kinds.ResolvedNodeKind.items() if name.endswith("_STMT")
        )
        language.reserved_keywords.append("QUALIFY")
        options = self._instance.call(
            "GetAnalyzerOptions", service.AnalyzerOptionsRequest(), options_pb2.AnalyzerOptionsProto
        )
        options.language_options.CopyFrom(language)
        options.default_timezone = "UTC"
        options.error_message_mode = public_options.ERROR_MESSAGE_ONE_LINE
        options.prune_unused_columns = True
        # Bodies of SQL functions take the place of their calls.
        for kind in ("FUNCTIONS", "TVFS", "UDAS"):
            options.enabled_rewrites.append(public_options.ResolvedASTRewrite.Value(f"REWRITE_INLINE_SQL_{kind}"))
        # For PARTITION BY of tables partitioned by ingestion time.
        options.ddl_pseudo_columns.add(name="_PARTITIONTIME").type.type_kind = type_pb2.TYPE_TIMESTAMP
        options.ddl_pseudo_columns.add(name="_PARTITIONDATE").type.type_kind = type_pb2.TYPE_DATE
        return options

    def table_names(self, sql: str) -> list[tuple[str, ...]]:
        """Paths of the tables a statement reads, as written."""
        request = service.ExtractTableNamesFromStatementRequest(
            sql_statement=sql, options=self.options.language_options
        )
        response = self.call("ExtractTableNamesFromStatement", request, service.ExtractTableNamesFromStatementResponse)
        return [tuple(name.table_name_segment) for name in response.table_name]

    @cached_property
    def builtin_names(self) -> frozenset[str]:
        """The functions that need no dataset, in lower case."""
        request = options_pb2.ZetaSQLBuiltinFunctionOptionsProto()
        request.language_options.CopyFrom(self.options.language_options)
        answer = self.call("GetBuiltinFunctions", request, service.GetBuiltinFunctionsResponse)
        own = self.catalog().custom_function
        return frozenset(".".join(each.name_path).lower() for each in (*answer.function, *own))

    def parse(self, sql: str) -> service.ParseResponse:
        """The parse tree of a statement."""
        request = service.ParseRequest(sql_statement=sql, options=self.options.language_options)
        return self.call("Parse", request, service.ParseResponse)

    def parse_script(self, sql: str) -> service.ParseResponse:
        """The parse tree of a text of statements, procedural ones among them."""
        request = service.ParseRequest(sql_statement=sql, options=self.options.language_options, allow_script=True)
        return self.call("Parse", request, service.ParseResponse)

    def analyze(
        self,
        sql: str,
        catalog: simple_catalog_pb2.SimpleCatalogProto,
        options: options_pb2.AnalyzerOptionsProto,
    ) -> service.AnalyzeResponse:
        """The resolved statement.

        Raises:
            BigQueryError: what the analyzer found wrong.
        """
        request = service.AnalyzeRequest(sql_statement=sql, options=options)
        self.use_catalog(request, catalog)
        return self.call("Analyze", request, service.AnalyzeResponse)

    def analyze_mounted(
        self, sql: str, mount: Mount, options: options_pb2.AnalyzerOptionsProto
    ) -> service.AnalyzeResponse:
        """As :meth:`analyze`, with the tables of ``mount``; others that statements named before are in reach, too."""
        if not mount.is_plain or not mount.mounted:
            return self.analyze(sql, mount.proto, options)
        if any(self._shared.get(path) != table for path, table in mount.mounted.items()):
            self._shared = self._known.with_tables(mount.mounted)
        catalog = self.catalog()
        for path, table in self._shared.items():
            home_of(catalog, path).table.add().MergeFromString(table)
        try:
            return self.analyze(sql, catalog, options)
        except BigQueryError:
            return self.analyze(sql, mount.proto, options)  # for an error that suggests none of the others

    def expect(self, path: Path, table: bytes) -> None:
        """Have the next catalog that is registered hold ``table``, whose making was just analyzed."""
        self._known.with_tables({path: table})

    def use_catalog(
        self,
        request: service.AnalyzeRequest | service.EvaluateQueryRequest,
        catalog: simple_catalog_pb2.SimpleCatalogProto,
    ) -> None:
        """Have ``request`` use ``catalog``. Its functions cost the analyzer 16 ms, so catalogs are registered and the
        last few kept: a run of queries on the same tables, or on none, pays once."""
        key = catalog.SerializeToString()
        known = self._registered.pop(key, None)
        if known is None:
            register = service.RegisterCatalogRequest(simple_catalog=catalog)
            register.descriptor_pool_list.definitions.add().builtin.SetInParent()
            known = self.call("RegisterCatalog", register, service.RegisterResponse)
        self._registered[key] = known
        if len(self._registered) > REGISTERED_CATALOGS:
            oldest = self._registered.pop(next(iter(self._registered)))
            self.call("UnregisterCatalog", service.UnregisterRequest(registered_id=oldest.registered_id), Empty)
        request.registered_catalog_id = known.registered_id
        for pool in known.descriptor_pool_id_list.registered_ids:
            request.descriptor_pool_list.definitions.add(registered_id=pool)

    def catalog(self) -> simple_catalog_pb2.SimpleCatalogProto:
        """An empty catalog with all of the analyzer's functions, those it lacks, and BigQuery's aliases of types."""
        catalog = simple_catalog_pb2.SimpleCatalogProto(name="catalog", file_descriptor_set_index=0)
        catalog.builtin_function_options.language_options.CopyFrom(self.options.language_options)
        for alias in ("INT", "SMALLINT", "INTEGER", "BIGINT", "TINYINT", "BYTEINT"):
            catalog.named_type.add(name=alias).type.type_kind = type_pb2.TYPE_INT64
        catalog.custom_function.extend(additional.declarations())
        return catalog

    def call(self, method: str, request: Message, response: type[wasm.Response]) -> wasm.Response:
        """One call of the analyzer's service.

        Raises:
            BigQueryError: what the analyzer said; a crashed instance is replaced.
        """
        try:
            return self._instance.call(method, request, response)
        except errors.AnalyzerError as error:
            raise errors.from_analyzer(error) from None
        except wasm.AnalyzerCrash as crash:
            self._start()
            message = "The query is too complex to analyze: expressions are nested too deeply"
            raise BigQueryError("invalidQuery", f"{message} ({crash})", "query") from crash


class Pool:
    """Threads that each own an analyzer. Work is submitted as a function of the analyzer.

    Analysis and translation recurse as deep as the query does, so these threads have stacks of
    :data:`wasm.THREAD_STACK_BYTES` (address space, not memory) and Python's recursion limit is raised for the process.
    """

    def __init__(self, size: int, strict: bool = True) -> None:
        self._strict = strict
        self._known = KnownTables()
        self._executor = ThreadPoolExecutor(size, thread_name_prefix="sql-analyzer")
        self._local = threading.local()
        sys.setrecursionlimit(max(sys.getrecursionlimit(), RECURSION_LIMIT))

    def run(self, work: Callable[[Analyzer], Result]) -> Result:
        """Run ``work`` on a thread of the pool and give back its result or raise what it raised.

        Raises:
            BigQueryError: emulatorError if that takes longer than anything known does.
        """
        with _stack_size_lock:  # the size is process-wide and read when the executor starts a thread, in submit
            before = threading.stack_size(wasm.THREAD_STACK_BYTES)
            try:
                future = self._executor.submit(self._serve, work)
            finally:
                threading.stack_size(before)
        try:
            return future.result(MAX_SECONDS)
        except TimeoutError:
            if not future.done():
                future.cancel()
                raise BigQueryError(
                    "emulatorError", f"The SQL analyzer gave no answer within {MAX_SECONDS:.0f} s.", "query"
                ) from None
            raise  # the work's own

    def _serve(self, work: Callable[[Analyzer], Result]) -> Result:
        analyzer = getattr(self._local, "analyzer", None)
        if analyzer is None:
            analyzer = self._local.analyzer = Analyzer(self._strict, self._known)
        return work(analyzer)


_stack_size_lock = threading.Lock()
