"""Functions that Google's reference evaluator computes, for what DuckDB has no equal of: exact by construction, at some
30 µs a value. Values travel as text; see ``functions.evaluated`` for the encoding.
"""

from __future__ import annotations

import threading

import pyarrow as pa
from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as service
from zetasql.wasi._pb2.zetasql.public import type_pb2

from bq_emulator.model import BigQueryError
from bq_emulator.sql.analyzer import Analyzer, Pool

Row = tuple[str | None, ...]

_pool: Pool | None = None
_lock = threading.Lock()


def _analyzers() -> Pool:
    """One thread with an instance of its own: the evaluator must not wait for the front end's, nor the other way."""
    global _pool
    with _lock:
        if _pool is None:
            _pool = Pool(1, strict=False)
        return _pool


def evaluate(program: pa.ChunkedArray, arguments: pa.ChunkedArray) -> pa.Array:
    """DuckDB's ``bq_google(program, [arguments])``, a vector at a time.

    ``program`` (the same in every row) is a GoogleSQL expression of type STRING over the STRING columns ``a0``, ``a1``,
    …, which are the elements of ``arguments``.

    Raises:
        ValueError: what the evaluator says, if any row fails.
    """
    rows: list[Row] = [tuple(row) for row in arguments.to_pylist()]
    distinct = list(dict.fromkeys(rows))
    text = program[0].as_py()
    try:
        values = _analyzers().run(lambda analyzer: _evaluate(analyzer, text, distinct))
    except BigQueryError as error:
        raise ValueError(error.message) from None
    known = dict(zip(distinct, values, strict=True))
    return pa.array([known[row] for row in rows], pa.string())


def _evaluate(analyzer: Analyzer, program: str, rows: list[Row]) -> list[str | None]:
    options = type(analyzer.options)()
    options.CopyFrom(analyzer.options)
    kind = type_pb2.TypeProto(type_kind=type_pb2.TYPE_ARRAY)
    element = kind.array_type.element_type
    element.type_kind = type_pb2.TYPE_STRUCT
    element.struct_type.SetInParent()
    for place in range(len(rows[0]) + 1):
        field = element.struct_type.field.add(field_name=f"a{place}")
        field.field_type.type_kind = type_pb2.TYPE_STRING
    options.query_parameters.add(name="rows").type.CopyFrom(kind)
    sql = f"SELECT place, {program} FROM UNNEST(@rows) WITH OFFSET place"
    request = service.EvaluateQueryRequest(sql=sql, options=options)
    given = request.params.add(name="rows").value.array_value
    for row in rows:
        cells = given.element.add().struct_value.field
        for cell in (*row, None):  # one more: a STRUCT of nothing is not one
            added = cells.add()
            if cell is not None:
                added.string_value = cell
    analyzer.use_catalog(request, analyzer.catalog())
    answer = analyzer.call("EvaluateQuery", request, service.EvaluateQueryResponse)
    values: list[str | None] = [None] * len(rows)
    for found in answer.content.table_data.row:
        place, value = found.cell
        values[place.int64_value] = value.string_value if value.HasField("string_value") else None
    return values
