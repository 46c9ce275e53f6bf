"""A page of a table's rows as REST sends them."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

import orjson

from bq_emulator.duck import Session, identifier
from bq_emulator.metadata import TableRecord
from bq_emulator.rest.call import Call, non_negative
from bq_emulator.schema import Schema
from bq_emulator.wire import row_expression

#: Google's pages end at about 10 MB, too.
MAX_PAGE_BYTES = 10 * 1024 * 1024
#: Of rows whose size is not known yet, and of any at a time.
_FIRST_ROWS, _MOST_ROWS = 64, 20_000
#: To begin with, so many rows are tried at once, as long as no row's texts have more bytes than this.
_LIGHT_ROWS, _LIGHT_BYTES = 1000, 10_000


def start_index(call: Call) -> int:
    """Where the page begins: pageToken (a row number here) or startIndex."""
    return non_negative("pageToken", call.query.get("pageToken"), call.integer("startIndex", 0))


def read_page(
    db: Session,
    record: TableRecord,
    schema: Schema,
    start: int,
    limit: int | None,
    int64_timestamps: bool,
    rows: tuple[str, int] | None = None,
) -> dict[str, Any]:
    """``rows``, ``totalRows`` and, if more follow, ``pageToken``. ``schema`` holds the columns wanted; ``limit`` None
    leaves the page's size to the server. ``rows`` restricts the table to those a condition is true for (DuckDB text,
    and their number)."""
    condition, total = rows or ("", int(record.resource["numRows"]))
    page: dict[str, Any] = {"totalRows": str(total)}
    if limit == 0 or not record.physical or start >= total:
        return page
    end = total if limit is None else min(total, start + limit)
    row = row_expression(schema, int64_timestamps)
    where = f" WHERE {condition}" if condition else ""

    def source(rows: int) -> str:
        # The inner LIMIT keeps the rest of the table from being turned into text; DuckDB makes all it allows, so it
        # follows what the rows turn out to weigh. Without ORDER BY rows come in the order they were written, which is
        # the order of a query's result.
        part = f"LIMIT {min(rows, end - start - count)} OFFSET {start + count}"
        return f"(SELECT * FROM {record.physical}{where} {part})"

    parts: list[bytes] = []
    size = count = 0
    wanted = _FIRST_ROWS
    if light := _is_light(schema):
        # One query, which takes longer to plan than to run, is all that most results need.
        tried = db.rows(f"SELECT CASE WHEN {light} THEN {row} || ',' END FROM {source(_LIGHT_ROWS)}")
        texts = [*takewhile(lambda text: text is not None, (text for (text,) in tried))]
        parts.append("".join(texts).encode())
        size, count = len(parts[0]), len(texts)
        if count == _LIGHT_ROWS:
            wanted = _rows_left(size, count)
    while size < MAX_PAGE_BYTES and start + count < end:
        made, text = db.text(f"SELECT {row} || ',' FROM {source(wanted)}")
        if not made:
            break
        parts.append(text)
        size += len(text)
        count += made
        wanted = _rows_left(size, count)
    if count:
        page["rows"] = orjson.Fragment(b"[" + b"".join(parts)[:-1] + b"]")
    if start + count < total:
        page["pageToken"] = str(start + count)
    return page


def _rows_left(size: int, count: int) -> int:
    """How many rows more a page takes, of which ``count`` have ``size`` bytes."""
    return min(max(MAX_PAGE_BYTES - size, 0) * count // size + 1, _MOST_ROWS)


def _is_light(schema: Schema) -> str | None:
    """DuckDB text for whether a row's texts are short; None if that is not told by the columns alone."""
    if any(field.mode == "REPEATED" or field.fields for field in schema):
        return None
    sizes = {"STRING": "strlen", "JSON": "strlen", "BYTES": "octet_length"}
    lengths = [f"coalesce({sizes[f.type]}({identifier(f.name)}), 0)" for f in schema if f.type in sizes]
    return f"{' + '.join(lengths)} <= {_LIGHT_BYTES}" if lengths else "true"
