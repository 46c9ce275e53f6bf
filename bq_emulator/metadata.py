"""Datasets and tables as recorded in the schema ``__bq`` of the database file, in the transactions that change them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson

from bq_emulator.duck import Session
from bq_emulator.model import BigQueryError, RoutineRef, TableRef
from bq_emulator.names import check_labels
from bq_emulator.partitions import PARTITION_TIME, Partitioning, by_ingestion_time
from bq_emulator.schema import Schema, schema_from_rest

#: Holds query results that have no destination; hidden from lists, as in BigQuery by the underscore.
ANONYMOUS_DATASET = "_anonymous_results"
ANONYMOUS_LIFETIME_MS = 24 * 3600 * 1000

#: Key of a table's record that changes with every change of its rows but appending.
REWRITTEN = "rewritten"

SETUP = (
    "CREATE SCHEMA IF NOT EXISTS __bq",
    "CREATE SCHEMA IF NOT EXISTS __data",
    "CREATE TABLE IF NOT EXISTS __bq.datasets (dataset_id VARCHAR NOT NULL, resource VARCHAR NOT NULL)",
    "CREATE TABLE IF NOT EXISTS __bq.tables (dataset_id VARCHAR NOT NULL, table_id VARCHAR NOT NULL, "
    "kind VARCHAR NOT NULL, physical VARCHAR, expires_ms BIGINT, resource VARCHAR NOT NULL)",
    "CREATE TABLE IF NOT EXISTS __bq.jobs (job_id VARCHAR NOT NULL, created_ms BIGINT NOT NULL, "
    "state VARCHAR NOT NULL, resource VARCHAR NOT NULL)",
    "CREATE TABLE IF NOT EXISTS __bq.routines (dataset_id VARCHAR NOT NULL, routine_id VARCHAR NOT NULL, "
    "resource VARCHAR NOT NULL)",
    "CREATE TABLE IF NOT EXISTS __bq.sizes (physical VARCHAR NOT NULL, rewritten VARCHAR, measured VARCHAR NOT NULL)",
    "ALTER TABLE __bq.jobs ADD COLUMN IF NOT EXISTS parent_job_id VARCHAR",
    # Of a hundred thousand jobs, each job is looked for when it begins, ends and is asked for.
    "CREATE INDEX IF NOT EXISTS jobs_by_id ON __bq.jobs (job_id)",
)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def new_etag() -> str:
    return secrets.token_urlsafe(16)


@dataclass
class DatasetRecord:
    """``resource`` is REST's Dataset without what is computed on reading."""

    project: str
    dataset_id: str
    resource: dict[str, Any]


@dataclass
class TableRecord:
    """``resource`` is REST's Table without what is computed on reading. ``physical`` is what to read: a quoted name, or
    a query in brackets (:mod:`bq_emulator.kept`), or None for a view."""

    ref: TableRef
    kind: str
    physical: str | None
    resource: dict[str, Any] = field(repr=False)

    @cached_property
    def schema(self) -> Schema:
        return schema_from_rest(self.resource.get("schema"))

    @cached_property
    def partitioning(self) -> Partitioning | None:
        return Partitioning.of(self.resource, self.schema)

    @property
    def stored_schema(self) -> Schema:
        """The columns of the store: the table's, and the time of a row's arrival where that decides its partition."""
        return (*self.schema, PARTITION_TIME) if by_ingestion_time(self.resource) else self.schema

    @property
    def expires_ms(self) -> int | None:
        value = self.resource.get("expirationTime")
        return int(value) if value else None

    @property
    def etag(self) -> str:
        return self.resource["etag"]

    def __str__(self) -> str:
        return f"{self.ref.project}:{self.ref.dataset}.{self.ref.table}"


def display(ref: TableRef) -> str:
    """``project:dataset.table``, the form Google's messages use."""
    return f"{ref.project}:{ref.dataset}.{ref.table}"


class Metadata:
    """Reads and writes the records of one project; every method works within the session's transaction."""

    def __init__(self, project: str, location: str) -> None:
        self.project = project
        self.location = location

    def check_project(self, ref: TableRef) -> None:
        """Raises BigQueryError notFound for a table of another project."""
        if ref.project != self.project:
            raise BigQueryError("notFound", f"Not found: Project {ref.project}; this emulator serves {self.project}.")

    # Datasets -----------------------------------------------------------------------------------------------------

    def jobs(self, db: Session) -> list[dict[str, Any]]:
        """REST's Jobs, those of scripts' statements among them."""
        return [orjson.loads(text) for (text,) in db.rows("SELECT resource FROM __bq.jobs ORDER BY created_ms, rowid")]

    def find_dataset(self, db: Session, dataset_id: str) -> DatasetRecord | None:
        row = db.one("SELECT resource FROM __bq.datasets WHERE dataset_id = ?", [dataset_id])
        return DatasetRecord(self.project, dataset_id, orjson.loads(row[0])) if row else None

    def dataset(self, db: Session, dataset_id: str) -> DatasetRecord:
        """Raises BigQueryError notFound."""
        record = self.find_dataset(db, dataset_id)
        if record is None:
            raise BigQueryError(
                "notFound", f"Not found: Dataset {self.project}:{dataset_id} was not found in location {self.location}"
            )
        return record

    def datasets(self, db: Session) -> list[DatasetRecord]:
        rows = db.rows("SELECT dataset_id, resource FROM __bq.datasets ORDER BY dataset_id")
        return [DatasetRecord(self.project, name, orjson.loads(text)) for name, text in rows]

    def save_dataset(self, db: Session, record: DatasetRecord) -> None:
        check_labels(record.resource.get("labels") or {})
        record.resource["etag"] = new_etag()
        record.resource["lastModifiedTime"] = str(now_ms())
        text = orjson.dumps(record.resource).decode()
        if not db.change("UPDATE __bq.datasets SET resource = ? WHERE dataset_id = ?", [text, record.dataset_id]):
            db.execute("INSERT INTO __bq.datasets VALUES (?, ?)", [record.dataset_id, text])

    def delete_dataset(self, db: Session, dataset_id: str) -> None:
        """Forget a dataset without tables, and its functions."""
        db.execute("DELETE FROM __bq.routines WHERE dataset_id = ?", [dataset_id])
        db.execute("DELETE FROM __bq.datasets WHERE dataset_id = ?", [dataset_id])

    # Tables -------------------------------------------------------------------------------------------------------

    def find_table(self, db: Session, dataset_id: str, table_id: str) -> TableRecord | None:
        """The table; an expired one does not exist."""
        ref = TableRef(self.project, dataset_id, table_id)
        return self.find_tables(db, [ref]).get(ref)

    def find_tables(self, db: Session, refs: Collection[TableRef]) -> dict[TableRef, TableRecord]:
        """Those of the tables that exist; one query for all, and none for those known in the session's transaction."""
        memo = {} if db.memo is None else db.memo
        missing = [ref for ref in refs if ref not in memo]
        if missing:
            memo |= dict.fromkeys(missing)
            rows = db.rows(
                "SELECT dataset_id, table_id, kind, physical, resource, expires_ms FROM __bq.tables "
                f"WHERE {' OR '.join(['(dataset_id = ? AND table_id = ?)'] * len(missing))}",
                [part for ref in missing for part in (ref.dataset, ref.table)],
            )
            memo |= {TableRef(self.project, *row[:2]): row for row in rows}
        found = {ref: memo[ref] for ref in refs if memo[ref] is not None}
        return {ref: self._record(*row[:5]) for ref, row in found.items() if row[5] is None or row[5] > now_ms()}

    def expired_table(self, db: Session, ref: TableRef) -> TableRecord | None:
        """The table under a name that :meth:`find_table` has not found in this transaction, if it is an expired one."""
        row = db.memo[ref] if db.memo else None
        return self._record(*row[:5]) if row else None

    def expect_new(self, db: Session, ref: TableRef) -> None:
        """Spare the search for a name that can be no table's yet."""
        if db.memo is not None:
            db.memo[ref] = None

    def table(self, db: Session, dataset_id: str, table_id: str) -> TableRecord:
        """Raises BigQueryError notFound for the table or its dataset."""
        record = self.find_table(db, dataset_id, table_id)
        if record is None:
            if dataset_id != ANONYMOUS_DATASET:
                self.dataset(db, dataset_id)
            name = f"{self.project}:{dataset_id}.{table_id}"
            raise BigQueryError("notFound", f"Not found: Table {name} was not found in location {self.location}")
        return record

    def tables(self, db: Session, dataset_id: str) -> list[TableRecord]:
        return self._tables(db, "dataset_id = ?", [dataset_id])

    def all_tables(self, db: Session) -> list[TableRecord]:
        return self._tables(db, "dataset_id <> ?", [ANONYMOUS_DATASET])

    def expired_tables(self, db: Session) -> list[TableRecord]:
        rows = db.rows(
            "SELECT dataset_id, table_id, kind, physical, resource FROM __bq.tables WHERE expires_ms <= ?", [now_ms()]
        )
        return [self._record(*row) for row in rows]

    def kept(self, db: Session) -> list[str]:
        """What tables that have no store of their own, :mod:`bq_emulator.kept`, have in its place."""
        return [text for (text,) in db.rows("SELECT physical FROM __bq.tables WHERE starts_with(physical, '(')")]

    def tables_with_expiring_partitions(self, db: Session) -> list[TableRecord]:
        return self._tables(db, "physical IS NOT NULL AND resource LIKE ?", ['%"expirationMs":%'])

    def _tables(self, db: Session, condition: str, parameters: list[Any]) -> list[TableRecord]:
        rows = db.rows(
            "SELECT dataset_id, table_id, kind, physical, resource FROM __bq.tables "
            f"WHERE {condition} AND (expires_ms IS NULL OR expires_ms > ?) ORDER BY dataset_id, table_id",
            [*parameters, now_ms()],
        )
        return [self._record(*row) for row in rows]

    def _record(self, dataset: str, table: str, kind: str, physical: str | None, resource: str) -> TableRecord:
        return TableRecord(TableRef(self.project, dataset, table), kind, physical, orjson.loads(resource))

    def save_table(self, db: Session, record: TableRecord) -> None:
        check_labels(record.resource.get("labels") or {})
        record.resource["etag"] = new_etag()
        record.resource["lastModifiedTime"] = str(now_ms())
        record.__dict__.pop("schema", None)
        record.__dict__.pop("partitioning", None)
        text = orjson.dumps(record.resource).decode()
        key = [record.ref.dataset, record.ref.table]
        memo = {} if db.memo is None else db.memo
        is_new = record.ref in memo and memo[record.ref] is None
        if is_new or not db.change(
            "UPDATE __bq.tables SET kind = ?, physical = ?, expires_ms = ?, resource = ? "
            "WHERE dataset_id = ? AND table_id = ?",
            [record.kind, record.physical, record.expires_ms, text, *key],
        ):
            db.execute(
                "INSERT INTO __bq.tables VALUES (?, ?, ?, ?, ?, ?)",
                [*key, record.kind, record.physical, record.expires_ms, text],
            )
        memo[record.ref] = (*key, record.kind, record.physical, text, record.expires_ms)

    def delete_table(self, db: Session, record: TableRecord) -> None:
        if db.memo is not None:
            db.memo[record.ref] = None
        db.execute(
            "DELETE FROM __bq.tables WHERE dataset_id = ? AND table_id = ?", [record.ref.dataset, record.ref.table]
        )

    # Routines -----------------------------------------------------------------------------------------------------

    def find_routine(self, db: Session, ref: RoutineRef) -> dict[str, Any] | None:
        """REST's Routine."""
        if ref.project != self.project:
            return None
        text = db.scalar(
            "SELECT resource FROM __bq.routines WHERE dataset_id = ? AND routine_id = ?", [ref.dataset, ref.routine]
        )
        return orjson.loads(text) if text else None

    def routine(self, db: Session, ref: RoutineRef) -> dict[str, Any]:
        """Raises BigQueryError notFound for the routine or its dataset."""
        resource = self.find_routine(db, ref)
        if resource is None:
            self.dataset(db, ref.dataset)
            raise BigQueryError("notFound", f"Not found: Routine {ref}")
        return resource

    def routines(self, db: Session, dataset_id: str) -> list[dict[str, Any]]:
        rows = db.rows("SELECT resource FROM __bq.routines WHERE dataset_id = ? ORDER BY routine_id", [dataset_id])
        return [orjson.loads(text) for (text,) in rows]

    def save_routine(self, db: Session, ref: RoutineRef, resource: dict[str, Any]) -> None:
        resource["etag"] = new_etag()
        resource["lastModifiedTime"] = str(now_ms())
        self.delete_routine(db, ref)
        db.execute(
            "INSERT INTO __bq.routines VALUES (?, ?, ?)", [ref.dataset, ref.routine, orjson.dumps(resource).decode()]
        )

    def delete_routine(self, db: Session, ref: RoutineRef) -> None:
        db.execute("DELETE FROM __bq.routines WHERE dataset_id = ? AND routine_id = ?", [ref.dataset, ref.routine])
