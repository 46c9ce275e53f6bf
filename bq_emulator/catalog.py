"""Name resolution for one query, in the transaction of one session."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from bq_emulator import information_schema
from bq_emulator.duck import Session
from bq_emulator.metadata import TableRecord
from bq_emulator.model import BigQueryError, PartitionKey, RoutineRef, Table, TableRef
from bq_emulator.partitions import PSEUDO_COLUMNS, by_ingestion_time
from bq_emulator.tables import STORED_KINDS, Tables


@dataclass(frozen=True)
class Seen:
    """What a name stood for: None for nothing."""

    physical: str | None
    definition: str | None


def _partition_key(record: TableRecord) -> PartitionKey | None:
    """What queries of a table can be filtered by."""
    partitioning = record.partitioning
    if partitioning is None or record.kind not in STORED_KINDS:
        return None
    columns: tuple[tuple[str, str], ...] = ((partitioning.column, partitioning.text),)
    names: tuple[str, ...] = (partitioning.column,)
    if by_ingestion_time(record.resource):
        columns = tuple((column.name, text) for column, text in PSEUDO_COLUMNS)
        names = ("_PARTITION_LOAD_TIME", "_PARTITIONDATE", "_PARTITIONTIME")
    time = record.resource.get("timePartitioning") or {}
    required = record.resource.get("requirePartitionFilter") or time.get("requirePartitionFilter")
    return PartitionKey(columns, partitioning.is_exact, names if required else ())


class SnapshotCatalog:
    """:class:`bq_emulator.model.Catalog`. It remembers what it told, so that a statement translated in one transaction
    can be carried out in a later one if nothing it relies on has changed (:meth:`is_current`)."""

    def __init__(self, db: Session, tables: Tables) -> None:
        self._db = db
        self._tables = tables
        self._seen: dict[TableRef, Seen] = {}
        self._seen_routines: dict[RoutineRef, dict[str, Any] | None] = {}

    def expect(self, refs: Collection[TableRef]) -> None:
        """Read the tables' records in one query."""
        project = self._tables.metadata.project
        known = [ref for ref in refs if ref.project == project and not information_schema.is_virtual(ref)]
        self._tables.metadata.find_tables(self._db, known)

    def get_table(self, ref: TableRef) -> Table | None:
        if "$" in ref.table or "@" in ref.table:
            raise BigQueryError("invalidQuery", f'Table "{ref.table}" cannot include decorator', "query")
        if ref.project != self._tables.metadata.project:
            return None
        if information_schema.is_virtual(ref):
            return information_schema.read(self._db, self._tables, ref)
        record = self._tables.metadata.find_table(self._db, ref.dataset, ref.table)
        if record is None:
            self._seen[ref] = Seen(None, None)
            return None
        # Rows may change under a translation, the definition may not.
        definition = str(record.stored_schema) + str(record.resource.get("view"))
        self._seen[ref] = Seen(record.physical, definition)
        view = record.resource.get("view") or record.resource.get("materializedView")
        return Table(
            ref,
            record.kind,
            record.schema,
            record.physical or "",
            view["query"] if view else None,
            PSEUDO_COLUMNS if record.kind == "TABLE" and by_ingestion_time(record.resource) else (),
            _partition_key(record),
        )

    def has_dataset(self, project: str, dataset: str) -> bool:
        if project != self._tables.metadata.project:
            return False
        return self._tables.metadata.find_dataset(self._db, dataset) is not None

    def get_routine(self, ref: RoutineRef) -> dict[str, Any] | None:
        routine = self._tables.metadata.find_routine(self._db, ref)
        self._seen_routines[ref] = routine
        return routine

    def is_current(self) -> bool:
        """Whether every name still stands for what it stood for, seen from the session's present transaction."""
        told, told_routines = dict(self._seen), dict(self._seen_routines)
        self.expect(told)
        for ref in told:
            self.get_table(ref)
        for routine in told_routines:
            self.get_routine(routine)
        return told == self._seen and told_routines == self._seen_routines
