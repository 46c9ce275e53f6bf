"""tabledata: reading rows, and streaming inserts."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import orjson

from bq_emulator.duck import Session, translate_error
from bq_emulator.emulator import Emulator
from bq_emulator.loads import ndjson
from bq_emulator.metadata import TableRecord
from bq_emulator.model import BigQueryError
from bq_emulator.names import check_table_id
from bq_emulator.partitions import split_decorator
from bq_emulator.rest.call import Call
from bq_emulator.rest.partitions_summary import DECORATOR, summary
from bq_emulator.rest.rows import read_page, start_index
from bq_emulator.schema import select
from bq_emulator.tables import STORED_KINDS

#: What a table made from a template takes over from it, besides the schema.
_TEMPLATE = ("description", "friendlyName", "labels", "timePartitioning", "rangePartitioning", "clustering")


def list_rows(call: Call) -> dict[str, Any]:
    emulator = call.emulator
    with emulator.database.transaction() as db:
        name, partition = split_decorator(call.path["table"])
        record = emulator.metadata.table(db, call.path["dataset"], name)
        if partition == DECORATOR:
            record, partition = summary(db, record), None
        if record.kind not in STORED_KINDS:
            raise BigQueryError("invalid", f"Cannot list a table of type {record.kind}: {record}.")
        names = call.query.get("selectedFields")
        schema = select(record.schema, names, str(record)) if names else record.schema
        limit = call.integer("maxResults", 0) if call.query.get("maxResults") else None
        int64 = call.int64_timestamps
        rows = partition_rows(emulator, db, record, partition)
        page = read_page(db, record, schema, start_index(call), limit, int64, rows)
        return {"kind": "bigquery#tableDataList", "etag": record.etag, **page}


def partition_rows(
    emulator: Emulator, db: Session, record: TableRecord, partition: str | None
) -> tuple[str, int] | None:
    """The condition for a partition's rows, and their number; None for the whole table."""
    if partition is None:
        return None
    condition = emulator.tables.partition_condition(record, partition)
    return condition, emulator.tables.count(db, record, partition)


def insert_all(call: Call) -> dict[str, Any]:
    """Rows that do not fit come back in ``insertErrors``; the others stay out with them, unless skipInvalidRows."""
    entries = call.body.get("rows") or []
    if not entries:
        raise BigQueryError("invalid", "Empty request.")
    emulator, dataset = call.emulator, call.path["dataset"]
    table, partition = split_decorator(call.path["table"])
    with emulator.database.session() as db:
        record = emulator.metadata.table(db, dataset, table)
    if suffix := call.body.get("templateSuffix"):
        record = _from_template(emulator, record, suffix)
        table = record.ref.table
    if record.kind != "TABLE":
        raise BigQueryError("invalid", f"Cannot add rows to a table of type {record.kind}: {record}.")
    insertion = _Insertion(call, record, partition)
    with emulator.locks.tables([(dataset, table)]):
        rows = [entry.get("json") or {} for entry in entries]
        ids = [entry.get("insertId") for entry in entries]
        # The same name may stand for another table by now, whose creation makes it another one.
        key = f"{record} {record.resource['creationTime']}"
        again = {index for index, insert_id in enumerate(ids) if emulator.insert_ids.seen(key, insert_id)}
        fresh = [row for index, row in enumerate(rows) if index not in again]
        problem = insertion.insert(fresh) if fresh else None
        if problem is None:
            emulator.insert_ids.remember(key, ids)
            return {"kind": "bigquery#tableDataInsertAllResponse"}
        errors = {}
        for index, row in enumerate(rows):
            if index not in again and (found := insertion.insert([row], commit=False)):
                errors[index] = found
        if not errors:
            raise problem
        good = [index for index in range(len(rows)) if index not in errors and index not in again]
        if call.body.get("skipInvalidRows"):
            if good and (problem := insertion.insert([rows[index] for index in good])):
                raise problem
            emulator.insert_ids.remember(key, [ids[index] for index in good])
        else:
            stopped = BigQueryError("stopped", "")
            errors |= {index: stopped for index in range(len(rows)) if index not in errors}
    return {
        "kind": "bigquery#tableDataInsertAllResponse",
        "insertErrors": [{"index": index, "errors": [_error(errors[index])]} for index in sorted(errors)],
    }


def _from_template(emulator: Emulator, template: TableRecord, suffix: str) -> TableRecord:
    """The table named as ``template`` with ``suffix``, made like it if need be
    (https://cloud.google.com/bigquery/docs/streaming-data-into-bigquery#template-tables)."""
    ref = replace(template.ref, table=template.ref.table + suffix)
    check_table_id(ref.table)
    with emulator.locks.tables([(ref.dataset, ref.table)]), emulator.database.transaction() as db:
        existing = emulator.metadata.find_table(db, ref.dataset, ref.table)
        kept = {key: template.resource[key] for key in _TEMPLATE if key in template.resource}
        return existing or emulator.tables.create(db, ref, template.schema, kept)


def _error(error: BigQueryError) -> dict[str, str]:
    message = error.message.removeprefix("Error while reading data, error message: ").removeprefix(
        "JSON parsing error: "
    )
    reason = "stopped" if error.reason == "stopped" else "invalid"
    return {"reason": reason, "location": "", "debugInfo": "", "message": message}


class _RolledBack(Exception):
    pass


class _Insertion:
    """Rows go the way of a load job of newline-delimited JSON."""

    def __init__(self, call: Call, record: TableRecord, partition: str | None) -> None:
        self._emulator = call.emulator
        self._record = record
        self._partition = partition
        self._configuration = {"ignoreUnknownValues": call.body.get("ignoreUnknownValues")}

    def insert(self, rows: list[dict[str, Any]], commit: bool = True) -> BigQueryError | None:
        """What was wrong with the rows; None if they went in (or, without ``commit``, would have)."""
        with tempfile.TemporaryDirectory(dir=self._emulator.uploads) as folder:
            file = Path(folder) / "rows.json"
            try:
                file.write_bytes(b"".join(orjson.dumps(self._prepared(row)) + b"\n" for row in rows))
                with self._emulator.database.session() as db:
                    self._load(db, file, commit)
            except _RolledBack:
                return None
            except BigQueryError as error:
                return error
        return None

    def _load(self, db: Session, file: Path, commit: bool) -> None:
        record = self._record
        source = ndjson.read(db, file, self._configuration, record.schema, file.parent)
        try:
            with db.transaction():
                current = self._emulator.metadata.table(db, record.ref.dataset, record.ref.table)
                self._emulator.tables.insert(db, current, source.schema, source.sql, self._partition)
                if not commit:
                    raise _RolledBack
        except duckdb.Error as error:
            raise translate_error(error) from error
        finally:
            db.execute(f"DROP TABLE {source.stage}")

    def _prepared(self, row: dict[str, Any]) -> dict[str, Any]:
        """Clients send a JSON column's value as JSON text."""
        prepared = dict(row)
        for field in self._record.schema:
            value = prepared.get(field.name)
            if field.type == "JSON" and isinstance(value, str):
                try:
                    prepared[field.name] = orjson.loads(value)
                except orjson.JSONDecodeError as error:
                    raise BigQueryError("invalid", f"Invalid JSON for column {field.name}: {error}") from error
        return prepared


_TABLE = "/projects/{project}/datasets/{dataset}/tables/{table}"
ROUTES = (
    ("GET", _TABLE + "/data", list_rows),
    ("POST", _TABLE + "/insertAll", insert_all),
)
