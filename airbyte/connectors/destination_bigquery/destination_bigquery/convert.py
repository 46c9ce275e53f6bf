"""Chunks of records to Arrow tables, typed as the stage table that they are loaded into.

A stage table has the stream's columns (JSON as text), when each record was extracted, the ``_airbyte_meta`` of those
records whose values were changed, and for deduplication the order of arrival. What all rows share is added in SQL.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, BinaryIO

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
import pyarrow.parquet as pq

from destination_bigquery import columns
from destination_bigquery.batch import Chunk
from destination_bigquery.catalog import EXTRACTED_AT, META, SEQUENCE, Stream
from destination_bigquery.channel import Frame
from destination_bigquery.columns import ARROW_TYPES, Change
from destination_bigquery.values import coerce, json_text, parse

#: In a frame, the record's meta.changes.
_FRAME_CHANGES = "_airbyte_meta_changes"

#: Rows by which a column is judged before it is written.
_SAMPLE_ROWS = 2000
_MICROSECONDS_UTC = pa.timestamp("us", tz="UTC")
_READ_AS_IS = ("STRING", "INT64", "NUMERIC", "BOOL")
_CHANGES = pa.list_(pa.struct([("field", pa.string()), ("change", pa.string()), ("reason", pa.string())]))

#: Arrays by column name, emitted_at (ms), and changes by row.
Parsed = tuple[dict[str, pa.Array], pa.Array, dict[int, list[Change]]]


def to_arrow(chunk: Chunk) -> pa.Table:
    """The chunk's records as rows of its stage table, in order.

    Values that BigQuery cannot hold are null (or rounded), and named in the row's ``_airbyte_meta``.

    Raises:
        ConnectorError: system_error for a frame that is not what its header says.
    """
    stream = chunk.stream
    frames = [row for row in chunk.rows if isinstance(row, Frame)]
    lines = [row for row in chunk.rows if not isinstance(row, Frame)]
    parts = [_table(_parse_frame(frame, stream), stream) for frame in frames]
    if lines:
        parts.append(_table(_parse_lines(lines, stream), stream))
    table = pa.concat_tables(_alike(parts))
    if stream.deduplicates:
        table = table.append_column(SEQUENCE, pa.arange(chunk.first, chunk.first + chunk.count))
    return table


def _alike(parts: list[pa.Table]) -> list[pa.Table]:
    """Decimals of frames that differ in their digits as NUMERIC has them."""
    differing = {
        name
        for name in parts[0].column_names
        if pa.types.is_decimal(parts[0].schema.field(name).type)
        and len({part.schema.field(name).type for part in parts}) > 1
    }
    if not differing:
        return parts
    wanted = pa.schema(
        [field.with_type(ARROW_TYPES["NUMERIC"]) if field.name in differing else field for field in parts[0].schema]
    )
    return [part.cast(wanted) for part in parts]


def write_parquet(table: pa.Table, file: BinaryIO, *, compressed: bool = True) -> None:
    """The table as a Parquet file; ``compressed`` is not worth its time where the file stays on this machine."""
    pq.write_table(
        table,
        file,
        compression="snappy" if compressed else "none",
        use_dictionary=[name for name in table.column_names if _repeats(table.column(name))],
        store_decimal_as_integer=True,
        # They take a third of the time, and who reads the file reads all of it.
        write_statistics=False,
    )


def _repeats(column: pa.ChunkedArray) -> bool:
    """Whether values come again often enough for a dictionary, judged by the first ones."""
    first = column.slice(0, _SAMPLE_ROWS)
    return bool(pc.count_distinct(first).as_py() * 4 <= len(first))


def _table(parsed: Parsed, stream: Stream) -> pa.Table:
    arrays, emitted_at, changes = parsed
    extracted_at = pc.cast(emitted_at, pa.timestamp("ms", tz="UTC")).cast(_MICROSECONDS_UTC)
    return pa.table({EXTRACTED_AT: extracted_at, META: _meta(changes, len(emitted_at), stream), **arrays})


def _meta(changes: dict[int, list[Change]], rows: int, stream: Stream) -> pa.Array:
    """Null where nothing was changed."""
    if not changes:
        return pa.nulls(rows, pa.string())
    texts = {row: json_text({"sync_id": stream.sync_id, "changes": listed}) for row, listed in changes.items()}
    return pa.array([texts.get(row) for row in range(rows)], pa.string())


def _parse_frame(frame: Frame, stream: Stream) -> Parsed:
    table = columns.read_frame(frame)
    arrays: dict[str, pa.Array] = {}
    changes: dict[int, list[Change]] = {}
    if _FRAME_CHANGES in table.column_names:
        given = table.column(_FRAME_CHANGES).combine_chunks()
        present = pc.indices_nonzero(given.is_valid()).to_pylist()
        changes = {row: orjson.loads(given[row].as_py()) for row in present}
    for column in stream.columns:
        if column.field not in table.column_names:
            arrays[column.name] = pa.nulls(frame.rows, ARROW_TYPES[column.type])
            continue
        array, changed = columns.fit(table.column(column.field).combine_chunks(), column.type)
        arrays[column.name] = array
        for row, (change, reason) in changed.items():
            changes.setdefault(row, []).append({"field": column.field, "change": change, "reason": reason})
    return arrays, pa.repeat(pa.scalar(frame.emitted_at, pa.int64()), frame.rows), changes


def _parse_lines(lines: Sequence[bytes], stream: Stream) -> Parsed:
    """Arrow's JSON reader parses all lines at once, decimals exactly. It refuses what is not plainly of its column's
    type; then the lines are gone through value by value."""
    try:
        return _parse_at_once(lines, stream)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, orjson.JSONDecodeError):
        return _parse_each(lines, stream)


def _parse_at_once(lines: Sequence[bytes], stream: Stream) -> Parsed:
    """All lines at once.

    Raises:
        ArrowInvalid, ArrowNotImplementedError, JSONDecodeError: if a value needs a closer look.
    """
    plain = [column for column in stream.columns if column.type != "JSON"]
    types = [
        pa.field(column.field, ARROW_TYPES[column.type] if column.type in _READ_AS_IS else pa.string())
        for column in plain
    ]
    record = pa.struct(
        [("data", pa.struct(types)), ("emitted_at", pa.int64()), ("meta", pa.struct([("changes", _CHANGES)]))]
    )
    table = pj.read_json(
        io.BytesIO(b"".join(lines)),
        # A line must fit into two blocks.
        pj.ReadOptions(block_size=max(1 << 20, max(map(len, lines)) + 1)),
        pj.ParseOptions(explicit_schema=pa.schema([("record", record)]), unexpected_field_behavior="ignore"),
    )
    parsed = table.column("record").combine_chunks()
    if len(parsed) != len(lines):
        raise pa.ArrowInvalid("a line does not hold one message")
    data = parsed.field("data")
    arrays = {column.name: columns.plain(data.field(column.field), column.type) for column in plain}
    if len(plain) < len(stream.columns):
        arrays |= _json_columns(lines, stream)
    changes = {}
    incoming = parsed.field("meta").field("changes")
    if incoming.null_count < len(lines):
        changes = {row: listed for row, listed in enumerate(incoming.to_pylist()) if listed}
    return {column.name: arrays[column.name] for column in stream.columns}, parsed.field("emitted_at"), changes


def _json_columns(lines: Sequence[bytes], stream: Stream) -> dict[str, pa.Array]:
    records = [orjson.loads(line)["record"]["data"] for line in lines]
    return {
        column.name: columns.plain(
            pa.array([_json_or_null(data.get(column.field)) for data in records], pa.string()), "JSON"
        )
        for column in stream.columns
        if column.type == "JSON"
    }


def _json_or_null(value: Any) -> str | None:
    return None if value is None else json_text(value)


def _parse_each(lines: Sequence[bytes], stream: Stream) -> Parsed:
    """Line by line and value by value."""
    values: dict[str, list[Any]] = {column.name: [] for column in stream.columns}
    emitted_at = []
    changes: dict[int, list[Change]] = {}
    for row, line in enumerate(lines):
        record = parse(line)["record"]
        data = record["data"]
        listed = list((record.get("meta") or {}).get("changes") or [])
        for column in stream.columns:
            value, change = coerce(data.get(column.field), column.type)
            values[column.name].append(value)
            if change:
                listed.append({"field": column.field, "change": change[0], "reason": change[1]})
        emitted_at.append(int(record["emitted_at"]))
        if listed:
            changes[row] = listed
    arrays = {column.name: pa.array(values[column.name], ARROW_TYPES[column.type]) for column in stream.columns}
    return arrays, pa.array(emitted_at, pa.int64()), changes
