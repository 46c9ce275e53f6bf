"""Batches of records: decoded from what COPY sent, or from the texts of changes, and written as JSON lines."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from source_postgres import binary
from source_postgres.copying import Block
from source_postgres.decode import arrow_type, decode
from source_postgres.types import ColumnType

#: Name of the column that carries meta.changes on the Arrow channel (docs/data-channel.md).
CHANGES_COLUMN = "_airbyte_meta_changes"
#: What JSON text must escape.
_ESCAPED = r'["\\\x00-\x1f]'
_CONTROL = r"[\x00-\x1f]"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Field:
    """A field of a stream's records."""

    name: str
    type: ColumnType


@dataclass(frozen=True)
class Batch:
    """Decoded rows. ``changes`` is each record's meta.changes as JSON text, or null; None where no record has any."""

    fields: tuple[Field, ...]
    columns: tuple[pa.Array, ...]
    changes: pa.StringArray | None

    @property
    def rows(self) -> int:
        return len(self.columns[0])

    def arrow(self) -> pa.RecordBatch:
        """The batch as it travels on the Arrow channel."""
        names = [field.name for field in self.fields]
        if self.changes is None:
            return pa.RecordBatch.from_arrays(list(self.columns), names)
        return pa.RecordBatch.from_arrays([*self.columns, self.changes], [*names, CHANGES_COLUMN])

    def json_lines(self, head: bytes) -> memoryview:
        """RECORD lines; ``head`` is what precedes the record's data. The data are those of :meth:`arrow`."""
        parts: list[Any] = []
        separator = head.decode() + "{"
        for field, column in zip(self.fields, self.columns, strict=True):
            parts += [f"{separator}{orjson.dumps(field.name).decode()}:", _json(field.type, column)]
            separator = ","
        if self.changes is not None:
            meta = pc.binary_join_element_wise(',"meta":{"changes":', self.changes, "}", "")
            parts += ["}", pc.fill_null(meta, ""), "}}\n"]
        else:
            parts.append("}}}\n")
        lines = pc.binary_join_element_wise(*parts, "")
        _, offsets, data = lines.buffers()
        bounds = memoryview(offsets).cast("i")
        return memoryview(data)[bounds[lines.offset] : bounds[lines.offset + len(lines)]]

    def last(self, name: str) -> Any:
        """The last record's value of a field, as it is in JSON; decimals as text."""
        index = next(i for i, field in enumerate(self.fields) if field.name == name)
        text = _json(self.fields[index].type, self.columns[index][-1:])[0].as_py()
        return cursor_value(text)


def cursor_value(json_text: str) -> Any:
    """A JSON value as a state keeps it: numbers that a binary float cannot hold exactly are kept as their text."""
    try:
        value = orjson.loads(json_text)
    except orjson.JSONDecodeError:  # a number beyond all of them
        return json_text
    return json_text if isinstance(value, float) and repr(value) != json_text else value


def from_csv(fields: tuple[Field, ...], csv: Block) -> Batch:
    """Rows of COPY … (FORMAT csv), which tells a NULL from an empty text by its quotes."""
    types = {str(i): arrow_type(field.type) for i, field in enumerate(fields)}
    if bytes(csv[:3]) == _BYTE_ORDER_MARK:
        # Arrow takes one at the beginning for no part of the first value.
        csv = _BYTE_ORDER_MARK + bytes(csv)
    try:
        table = _read(csv, types)
    except pa.ArrowInvalid:
        # A value out of the ordinary: all columns once more, as texts.
        table = _read(csv, dict.fromkeys(types, pa.string()))
    return _finished(fields, [column.combine_chunks() for column in table.columns])


def from_binary(library: ctypes.CDLL, fields: tuple[Field, ...], block: Block) -> Batch:
    """Rows of COPY … (FORMAT binary)."""
    read = binary.arrays(library, [field.type for field in fields], block)
    return _finished(fields, [values for values, _ in read], [lost for _, lost in read])


def from_texts(fields: tuple[Field, ...], columns: Sequence[pa.Array]) -> Batch:
    """Rows given column by column, as Postgres's texts or typed already."""
    return _finished(fields, columns)


def json_of(column: ColumnType, text: str) -> str | None:
    """One of Postgres's texts as the JSON of a record; None for a value that is lost."""
    values, _ = decode(column, pa.array([text], pa.string()))
    return _json(column, values)[0].as_py() if values[0].is_valid else None


def _read(csv: Block, types: dict[str, pa.DataType]) -> pa.Table:
    return pyarrow.csv.read_csv(
        pa.BufferReader(csv),
        # One block: a value may be as large as a gigabyte.
        pyarrow.csv.ReadOptions(column_names=list(types), use_threads=False, block_size=max(len(csv), 1)),
        pyarrow.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        pyarrow.csv.ConvertOptions(
            column_types=types,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        ),
    )


def _finished(
    fields: tuple[Field, ...], read: Sequence[pa.Array], lost_before: Sequence[pa.BooleanArray | None] = ()
) -> Batch:
    columns = []
    losses: dict[str, pa.BooleanArray] = {}
    for field, values, before in zip(fields, read, lost_before or [None] * len(read), strict=True):
        decoded, lost = decode(field.type, values)
        lost = before if lost is None else lost
        columns.append(decoded)
        if lost is not None:
            losses[field.name] = lost
    return Batch(fields, tuple(columns), changes_of(losses) if losses else None)


def changes_of(losses: dict[str, pa.BooleanArray]) -> pa.StringArray:
    """meta.changes of each row, from the rows in which each field was lost."""
    entries = [
        pc.if_else(
            lost,
            orjson.dumps({"field": name, "change": "NULLED", "reason": "SOURCE_RETRIEVAL_ERROR"}).decode() + ",",
            "",
        )
        for name, lost in losses.items()
    ]
    joined = pc.utf8_rtrim(pc.binary_join_element_wise(*entries, ""), ",")
    listed = pc.binary_join_element_wise("[", joined, "]", "")
    return pc.if_else(pc.equal(joined, ""), pa.scalar(None, pa.string()), listed)


def _json(column: ColumnType, values: pa.Array) -> pa.StringArray:
    """The JSON text of each value."""
    kind = column.kind
    if pa.types.is_string(values.type):
        texts = values if kind in ("numeric", "money", "array", "integer", "float", "decimal") else _quoted(values)
    elif pa.types.is_temporal(values.type):
        texts = pc.cast(values, pa.string())
        if kind != "date":
            texts = pc.utf8_replace_slice(texts, 10, 11, "T")
        texts = pc.binary_join_element_wise('"', texts, '"', "")
    elif pa.types.is_boolean(values.type):
        texts = pc.if_else(values, "true", "false")
    else:
        texts = pc.cast(values, pa.string())
    return pc.fill_null(texts, "null")


def _quoted(values: pa.StringArray) -> pa.StringArray:
    if pc.any(pc.match_substring_regex(values, _ESCAPED)).as_py():
        values = pc.replace_substring(pc.replace_substring(values, "\\", "\\\\"), '"', '\\"')
        controls = pc.fill_null(pc.match_substring_regex(values, _CONTROL), False)
        if pc.any(controls).as_py():
            escaped = [_controls(text) for text in values.filter(controls).to_pylist()]
            values = pc.replace_with_mask(values, controls, pa.array(escaped, pa.string()))
    return pc.binary_join_element_wise('"', values, '"', "")


_CONTROLS = {code: orjson.dumps(chr(code)).decode()[1:-1] for code in range(0x20)}


def _controls(text: str) -> str:
    return text.translate(_CONTROLS)
