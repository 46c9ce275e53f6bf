"""The front end as the engine uses it: parameters, several statements, depth, threads, views that change."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from zetasql.wasi._pb2.zetasql.public.builtin_function_pb2 import FunctionSignatureId
from zetasql.wasi._pb2.zetasql.resolved_ast import resolved_ast_pb2

from bq_emulator.model import BigQueryError, Field, Query, RoutineRef, Table, TableRef
from bq_emulator.sql import python_functions, wasm
from bq_emulator.sql.analyzer import Analyzer
from bq_emulator.sql.catalog import split_dotted_names
from bq_emulator.sql.frontend import GoogleSqlFrontend
from bq_emulator.sql.functions import additional, registry
from bq_emulator.sql.macros import SETUP_SQL
from bq_emulator.sql.parameters import Parameters
from bq_emulator.sql.scans.statements import READING
from bq_emulator.sql.translate.statements import STATEMENTS


class Tables(dict[TableRef, Table]):
    def expect(self, refs: Collection[TableRef]) -> None:
        pass

    def get_table(self, ref: TableRef) -> Table | None:
        return self.get(ref)

    def has_dataset(self, project: str, dataset: str) -> bool:
        return True

    def get_routine(self, ref: RoutineRef) -> None:
        return None


@pytest.fixture(scope="module")
def frontend() -> GoogleSqlFrontend:
    return GoogleSqlFrontend(threads=2)


def run(frontend: GoogleSqlFrontend, sql: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
    query = frontend.compile(sql, catalog=Tables(), project="p", parameters=Parameters.of(parameters))
    assert isinstance(query, Query)
    with duckdb.connect() as connection:
        python_functions.register(connection)
        for statement in SETUP_SQL:
            connection.execute(statement)
        return connection.execute(query.sql).fetchall()


def parameter(kind: str, value: str, name: str | None = None) -> dict[str, Any]:
    given: dict[str, Any] = {"parameterType": {"type": kind}, "parameterValue": {"value": value}}
    return given | ({"name": name} if name else {})


def test_named_and_positional_parameters(frontend: GoogleSqlFrontend) -> None:
    named = {
        "parameterMode": "NAMED",
        "queryParameters": [parameter("INT64", "5", "n"), parameter("STRING", "x'", "S")],
    }
    assert run(frontend, "SELECT @n + 1 AS a, CONCAT(@s, 'y') AS b, @N AS c", named) == [(6, "x'y", 5)]
    positional = {"queryParameters": [parameter("NUMERIC", "0.1"), parameter("DATE", "2020-02-29")]}
    assert run(frontend, "SELECT ? * 3 = NUMERIC '0.3', CAST(? AS STRING)", positional) == [(True, "2020-02-29")]


def test_array_parameter(frontend: GoogleSqlFrontend) -> None:
    given = {
        "name": "ids",
        "parameterType": {"type": "ARRAY", "arrayType": {"type": "INT64"}},
        "parameterValue": {"arrayValues": [{"value": "1"}, {"value": "3"}]},
    }
    assert run(frontend, "SELECT 3 IN UNNEST(@ids)", {"queryParameters": [given]}) == [(True,)]


def test_wrong_parameter_is_named(frontend: GoogleSqlFrontend) -> None:
    with pytest.raises(BigQueryError, match=r"query parameter n: 'x' is not a valid INT64"):
        run(frontend, "SELECT @n", {"queryParameters": [parameter("INT64", "x", "n")]})


def test_missing_parameter(frontend: GoogleSqlFrontend) -> None:
    with pytest.raises(BigQueryError, match=r"Query parameter 'n' not found at \[1:8\]"):
        run(frontend, "SELECT @n")


def test_positions_count_tabs_as_the_analyzer_does(frontend: GoogleSqlFrontend) -> None:
    """A tab leads to the next of the stops, eight columns apart, in the user's text: without the split of names."""
    with pytest.raises(BigQueryError, match=r"nope at \[2:25\]"):
        run(frontend, "SELECT\n\tx.`a.b`,\tnope FROM (SELECT 1) AS x".replace("x.`a.b`", "'`a.b`'"))


def test_parts_of_a_script_keep_their_positions(frontend: GoogleSqlFrontend) -> None:
    assert frontend.script("SELECT ';' AS a -- ;\n ;\n") is None
    script = frontend.script("SELECT `d.t`.a;\n SELECT '\u00e4', `x.y`, nope")
    assert script is not None
    last = script.steps[-1].place
    assert (script.source(last), script.position(last)) == ("SELECT '\u00e4', `x`.`y`, nope", (2, 2))
    with pytest.raises(BigQueryError, match=r"Unrecognized name: x at \[2:14\]"):
        frontend.compile((script, last), catalog=Tables(), project="p")


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        (f"SELECT {' || '.join(['x'] * 300)} FROM (SELECT 'a' AS x)", "a" * 300),
        (f"SELECT {' OR '.join(f'x = {n}' for n in range(1000))} FROM (SELECT 999 AS x)", True),
        (f"SELECT {' AND '.join(f'x <> {n}' for n in range(1000))} FROM (SELECT 999 AS x)", False),
        (f"SELECT x IN ({', '.join(map(str, range(3000)))}) FROM (SELECT 2999 AS x)", True),
        (f"SELECT {' + '.join(['x'] * 300)} FROM (SELECT 1 AS x)", 300),
        (f"SELECT {'IFNULL(x, ' * 300}1{')' * 300} FROM (SELECT CAST(NULL AS INT64) AS x)", 1),
        (f"SELECT SUM(x) FROM ({' UNION ALL '.join(['SELECT 1 AS x'] * 500)})", 500),
        (f"SELECT x FROM {'(SELECT * FROM ' * 100}(SELECT 7 AS x){')' * 100}", 7),
    ],
    ids=["concat", "or", "and", "in", "add", "ifnull", "union", "subqueries"],
)
def test_deep_expressions(frontend: GoogleSqlFrontend, sql: str, value: object) -> None:
    assert run(frontend, sql) == [(value,)]


def test_too_deep_is_an_error_and_the_next_query_works(frontend: GoogleSqlFrontend) -> None:
    with pytest.raises(BigQueryError, match=r"(?i)too complex|deeply nested"):
        run(frontend, f"SELECT {'-(' * 20000}1{')' * 20000}")
    assert run(frontend, "SELECT 1") == [(1,)]


def test_threads_share_a_front_end(frontend: GoogleSqlFrontend) -> None:
    def work(n: int) -> bool:
        return run(frontend, f"SELECT {n} AS x") == [(n,)]

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(work, range(30)))


def test_a_view_follows_its_tables(frontend: GoogleSqlFrontend) -> None:
    base = Table(TableRef("p", "d", "t"), "TABLE", (Field("x", "INT64"),), '"first"')
    view = Table(TableRef("p", "d", "v"), "VIEW", (Field("x", "INT64"),), "", "SELECT x FROM d.t")
    catalog = Tables({base.ref: base, view.ref: view})

    def text() -> str:
        query = frontend.compile("SELECT * FROM d.v", catalog=catalog, project="p")
        assert isinstance(query, Query)
        assert query.referenced_tables == (base.ref,)
        return query.sql

    assert '"first"' in text() and text() == text()
    catalog[base.ref] = replace(base, physical='"second"')
    assert '"second"' in text()
    del catalog[base.ref]
    with pytest.raises(BigQueryError, match=r"Table p:d\.t was not found"):
        text()


def test_splitting_names_leaves_strings_and_comments_alone() -> None:
    sql = "SELECT '`a.b`', \"`a.b`\", '''`a.b`''', r'\\', 'it\\'s `a.b`' /* `a.b` */ -- `a.b`\nFROM `a.b` # `a.b`"
    assert split_dotted_names(sql).sql == sql.replace("FROM `a.b`", "FROM `a`.`b`")


def test_tables_name_only_signatures_the_analyzer_knows() -> None:
    known = set(FunctionSignatureId.keys()) | {each.name_path[0] for each in additional.declarations()}
    assert not (set(registry.SCALAR) | set(registry.AGGREGATE) | set(registry.ANALYTIC)) - known


def test_a_damaged_or_foreign_compiled_analyzer_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wasm, "cache_folder", lambda: tmp_path / "cache")
    # Compiling the analyzer takes 15 s; an empty module serves as well here.
    (tmp_path / "empty.wat").write_text("(module)")

    def compiler(name: str) -> None:
        monkeypatch.setattr(wasm, "get_wasm_path", lambda: tmp_path / name)

    compiler("empty.wat")
    wasm.CompiledAnalyzer()
    (cached,) = (tmp_path / "cache").glob("*.cwasm")
    compiler("gone")
    wasm.CompiledAnalyzer()
    whole = cached.read_bytes()
    for damaged in (whole[:-1], whole[: len(whole) // 2] + b"\xff" + whole[len(whole) // 2 + 1 :], b""):
        cached.write_bytes(damaged)
        compiler("gone")
        with pytest.raises(FileNotFoundError):
            wasm.CompiledAnalyzer()
        assert not cached.exists()
        compiler("empty.wat")
        wasm.CompiledAnalyzer()
        assert cached.exists()
    # Whole, but not made by this wasmtime for this processor: left to whom it belongs.
    foreign = b"\x7fELF of another machine"
    name, digest = cached.stem.rpartition("-")[0], hashlib.sha256(foreign).hexdigest()
    cached.rename(tmp_path / "aside")
    (tmp_path / "cache" / f"{name}-{digest}.cwasm").write_bytes(foreign)
    wasm.CompiledAnalyzer()
    assert len(list((tmp_path / "cache").glob("*.cwasm"))) == 2


def test_assertions_are_left_out_of_the_pinned_analyzer_and_of_no_other() -> None:
    module = wasm.get_wasm_path().read_bytes()
    quick = wasm.without_assertions(module)
    assert quick != module, "another zetasql: find its assertions anew (docs/decisions.md)"
    assert len(quick) == len(module)
    assert wasm.without_assertions(module + b"\0") == module + b"\0"


def test_a_query_asked_again_follows_its_tables_parameters_and_variables(frontend: GoogleSqlFrontend) -> None:
    base = Table(TableRef("p", "d", "t"), "TABLE", (Field("x", "INT64"),), '"first"')
    catalog = Tables({base.ref: base})

    def compiled(sql: str, **more: Any) -> Query:
        query = frontend.compile(sql, catalog=catalog, project="p", **more)
        assert isinstance(query, Query)
        return query

    sql = "SELECT x FROM d.t"
    assert compiled(sql) is compiled(sql)
    catalog[base.ref] = replace(base, schema=(Field("x", "STRING"),))
    assert compiled(sql).schema[0].type == "STRING"
    del catalog[base.ref]
    with pytest.raises(BigQueryError, match="Not found"):
        compiled(sql)
    catalog[TableRef("p", "e", "t")] = replace(base, ref=TableRef("p", "e", "t"), physical='"other"')
    assert [compiled("SELECT x FROM t", default_dataset="e").sql.count('"other"')] == [1]
    with pytest.raises(BigQueryError, match="must be qualified"):
        compiled("SELECT x FROM t")
    number = Field("n", "INT64")
    one, two = (compiled("SELECT @n AS n", parameters=Parameters({"n": (number, n)})).sql for n in (1, 2))
    assert one != two


def test_every_statement_with_a_query_or_a_condition_is_looked_at_for_what_it_reads() -> None:
    """Definitions keep their query for later; TRUNCATE reads nothing."""
    unread = {"CreateViewStmt", "CreateMaterializedViewStmt", "CreateTableFunctionStmt", "TruncateStmt"}
    reading = {"query", "expr", "expression", "where_expr", "merge_expr"}
    fields = {kind: getattr(resolved_ast_pb2, f"Resolved{kind}Proto").DESCRIPTOR.fields_by_name for kind in STATEMENTS}
    assert {kind for kind, names in fields.items() if reading & set(names)} - unread == {*READING}


def test_statements_that_share_a_catalog_find_only_what_they_name() -> None:
    """A change of a table, names that differ in case, and a table that has gone are seen at once; an error suggests no
    table of another statement."""
    frontend = GoogleSqlFrontend(threads=1)
    a, upper = TableRef("p", "d", "a"), TableRef("p", "d", "A")
    before = Table(a, "TABLE", (Field("x", "INT64"),), "a")

    def compiled(sql: str, *tables: Table) -> Any:
        return frontend.compile(sql, catalog=Tables({table.ref: table for table in tables}), project="p")

    assert [field.name for field in compiled("SELECT * FROM d.a", before).schema] == ["x"]
    assert [field.name for field in compiled("SELECT * FROM d.b", replace(before, ref=TableRef("p", "d", "b"))).schema]
    after = replace(before, schema=(Field("y", "STRING"),))
    assert [(field.name, field.type) for field in compiled("SELECT * FROM d.a", after).schema] == [("y", "STRING")]
    assert compiled("SELECT x FROM d.A", replace(before, ref=upper)).referenced_tables == (upper,)
    with pytest.raises(BigQueryError, match=r"Unrecognized name: x at \[1:8\]"):
        compiled("SELECT x FROM d.a", after)
    with pytest.raises(BigQueryError, match=r"Not found: Table p:d\.b"):
        compiled("SELECT * FROM d.b")
    assert compiled("ALTER TABLE IF EXISTS d.a ADD COLUMN z INT64").statement_type == "ALTER_TABLE"


def test_what_statements_made_is_read_and_altered_with_one_catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    call = Analyzer.call

    def counted(analyzer: Analyzer, method: str, *rest: Any) -> Any:
        called.append(method)
        return call(analyzer, method, *rest)

    monkeypatch.setattr(Analyzer, "call", counted)
    refs = [TableRef("p", "d", name) for name in ("first", "second", "third")]
    tables = Tables({ref: Table(ref, "TABLE", (Field("x", "INT64"),), ref.table) for ref in refs})
    one_thread = GoogleSqlFrontend(threads=1)

    def compiled(sql: str) -> Any:
        return one_thread.compile(sql, catalog=tables, project="p")

    compiled("CREATE TABLE p.d.first AS SELECT 1 AS x")
    compiled("CREATE VIEW p.d.second AS SELECT x FROM p.d.first")
    compiled("CREATE TABLE p.d.third (x INT64)")
    called.clear()
    for ref in refs:
        assert compiled(f"SELECT x FROM p.d.{ref.table}").referenced_tables == (ref,)
    compiled("ALTER TABLE p.d.third SET OPTIONS (description = 'no')")
    assert called.count("Analyze") == 4
    assert called.count("RegisterCatalog") == 1
