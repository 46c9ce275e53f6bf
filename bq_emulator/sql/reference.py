"""Google's reference evaluator, which comes in the analyzer's package: an independent opinion on small queries.

It runs the very text that is translated, so a difference in type or value is a fault of the translation. It knows no
tables, and its WebAssembly build lacks some elements of format strings (``%F`` when parsing, ``%k``, ``%l`` and ``%P``
when formatting).
"""

from __future__ import annotations

from typing import Any

from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as service

from bq_emulator.sql import literal, types
from bq_emulator.sql.analyzer import Analyzer


def evaluate(analyzer: Analyzer, sql: str) -> tuple[list[types.Type], list[tuple[Any, ...]]]:
    """Types of the columns, and rows of Python values as :func:`literal.from_proto` gives them.

    Raises:
        BigQueryError: invalidQuery, where it rejects the query or fails on it.
    """
    request = service.EvaluateQueryRequest(sql=sql, options=analyzer.options)
    analyzer.use_catalog(request, analyzer.catalog())
    answer = analyzer.call("EvaluateQuery", request, service.EvaluateQueryResponse)
    kinds = [types.from_proto(column.type) for column in answer.prepared.columns]
    rows = [
        tuple(literal.from_proto(cell, kind) for cell, kind in zip(row.cell, kinds, strict=True))
        for row in answer.content.table_data.row
    ]
    return kinds, rows
