"""A page of a table's rows as REST sends them."""

from __future__ import annotations

from typing import Any

import orjson

from bq_emulator.duck import Session
from bq_emulator.metadata import TableRecord
from bq_emulator.rest.call import Call, non_negative
from bq_emulator.schema import Schema
from bq_emulator.wire import row_expression

#: Google's pages end at about 10 MB, too.
MAX_PAGE_BYTES = 10 * 1024 * 1024
#: Of rows whose size is not known yet, and of any at a time.
_FIRST_ROWS, _MOST_ROWS = 64, 20_000


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
    parts: list[bytes] = []
    where = f" WHERE {condition}" if condition else ""
    size = count = 0
    wanted = _FIRST_ROWS
    while size < MAX_PAGE_BYTES and start + count < end:
        # The inner LIMIT keeps the rest of the table from being turned into text; DuckDB makes all it allows, so it
        # follows what the rows turn out to weigh. Without ORDER BY rows come in the order they were written, which is
        # the order of a query's result.
        part = f"LIMIT {min(wanted, end - start - count)} OFFSET {start + count}"
        made, text = db.text(f"SELECT {row} || ',' FROM (SELECT * FROM {record.physical}{where} {part})")
        if not made:
            break
        parts.append(text)
        size += len(text)
        count += made
        wanted = min((MAX_PAGE_BYTES - size) * count // size + 1, _MOST_ROWS)
    if count:
        page["rows"] = orjson.Fragment(b"[" + b"".join(parts)[:-1] + b"]")
    if start + count < total:
        page["pageToken"] = str(start + count)
    return page
