"""What the views of INFORMATION_SCHEMA are made of, and what they are made with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa

from bq_emulator.duck import Session
from bq_emulator.metadata import ANONYMOUS_DATASET, DatasetRecord, TableRecord
from bq_emulator.model import Field
from bq_emulator.schema import Schema
from bq_emulator.tables import Tables

Row = dict[str, Any]
#: A constraint's or option's (name, GoogleSQL type, GoogleSQL text of the value).
Option = tuple[str, str, str]

#: The columns that say which table a row is of.
TABLE_KEY = "table_catalog STRING, table_schema STRING, table_name STRING"
_ARROW = {
    "STRING": pa.string(),
    "INT64": pa.int64(),
    "FLOAT64": pa.float64(),
    "BOOL": pa.bool_(),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
}


class Source:
    """The metadata of some datasets, in a session's transaction."""

    def __init__(self, db: Session, engine: Tables, datasets: list[DatasetRecord]) -> None:
        self.db = db
        self.engine = engine
        self.project = engine.metadata.project
        self.location = engine.metadata.location
        self.datasets = [dataset for dataset in datasets if dataset.dataset_id != ANONYMOUS_DATASET]

    def tables(self) -> Iterator[TableRecord]:
        for dataset in self.datasets:
            yield from self.engine.metadata.tables(self.db, dataset.dataset_id)

    def routines(self) -> list[Row]:
        """REST's Routines."""
        metadata = self.engine.metadata
        return [each for dataset in self.datasets for each in metadata.routines(self.db, dataset.dataset_id)]


@dataclass(frozen=True)
class View:
    """``rows`` may leave out columns, which are NULL then."""

    schema: Schema
    rows: Callable[[Source], Iterable[Row]]

    def arrow(self, rows: list[Row]) -> pa.Table:
        return pa.Table.from_pylist(rows, schema=pa.schema([_arrow_field(field) for field in self.schema]))


def _arrow_field(field: Field) -> pa.Field:
    kind = pa.struct([_arrow_field(each) for each in field.fields]) if field.fields else _ARROW[field.type]
    return pa.field(field.name, pa.list_(kind) if field.mode == "REPEATED" else kind)


def view(columns: str, rows: Callable[[Source], Iterable[Row]], *records: Field) -> View:
    """``columns`` as in ``"name STRING, n INT64"``; ``records`` come after them."""
    return View((*_fields(columns), *records), rows)


def record(name: str, columns: str, repeated: bool = False) -> Field:
    """A column of STRUCTs, or of arrays of them."""
    return Field(name, "STRUCT", "REPEATED" if repeated else "NULLABLE", _fields(columns))


def _fields(columns: str) -> Schema:
    return tuple(Field(name, kind) for name, kind in (column.split() for column in columns.split(",")))


def time(milliseconds: str | None) -> datetime | None:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC) if milliseconds else None


def yes(condition: object) -> str:
    return "YES" if condition else "NO"


def table_key(table: TableRecord, prefix: str = "table") -> Row:
    ref = table.ref
    return {f"{prefix}_catalog": ref.project, f"{prefix}_schema": ref.dataset, f"{prefix}_name": ref.table}


def quoted(text: str) -> str:
    """A GoogleSQL string literal (JSON's escapes are a subset of its escapes)."""
    return orjson.dumps(text).decode()


def described(resource: dict[str, Any]) -> Iterator[Option]:
    """The options of REST's properties that tables and datasets share."""
    for key, option in (("description", "description"), ("friendlyName", "friendly_name")):
        if resource.get(key):
            yield option, "STRING", quoted(resource[key])
    if resource.get("labels"):
        pairs = ", ".join(f"STRUCT({quoted(k)}, {quoted(v)})" for k, v in sorted(resource["labels"].items()))
        yield "labels", "ARRAY<STRUCT<STRING, STRING>>", f"[{pairs}]"


def days(milliseconds: str) -> str:
    """A FLOAT64 literal."""
    return repr(int(milliseconds) / 86_400_000)
