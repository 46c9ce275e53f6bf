"""Name resolution for one query, in the transaction of one session."""

from __future__ import annotations

from dataclasses import dataclass

from bq_emulator import information_schema
from bq_emulator.duck import Session
from bq_emulator.model import BigQueryError, Table, TableRef
from bq_emulator.partitions import PSEUDO_COLUMNS, by_ingestion_time
from bq_emulator.tables import Tables


@dataclass(frozen=True)
class Seen:
    """What a name stood for: None for nothing."""

    physical: str | None
    definition: str | None


class SnapshotCatalog:
    """:class:`bq_emulator.model.Catalog`. It remembers what it told, so that a statement translated in one transaction
    can be carried out in a later one if nothing it relies on has changed (:meth:`is_current`)."""

    def __init__(self, db: Session, tables: Tables) -> None:
        self._db = db
        self._tables = tables
        self._seen: dict[TableRef, Seen] = {}

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
        )

    def has_dataset(self, project: str, dataset: str) -> bool:
        if project != self._tables.metadata.project:
            return False
        return self._tables.metadata.find_dataset(self._db, dataset) is not None

    def is_current(self) -> bool:
        """Whether every name still stands for what it stood for, seen from the session's present transaction."""
        told = dict(self._seen)
        for ref in told:
            self.get_table(ref)
        return told == self._seen
