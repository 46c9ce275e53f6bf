"""What has outlived its time goes, round after round: tables, partitions, jobs, and what else is handed in."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from bq_emulator.duck import Database
from bq_emulator.locks import Busy, Locks
from bq_emulator.metadata import Metadata, TableRecord
from bq_emulator.tables import Tables

log = structlog.get_logger("bq_emulator")

ROUND_SECONDS = 60.0


class Sweeper:
    """A thread of its own. It waits for nobody: what is in use has its turn in the next round."""

    def __init__(self, database: Database, metadata: Metadata, tables: Tables, locks: Locks) -> None:
        self._database = database
        self._metadata = metadata
        self._tables = tables
        self._locks = locks
        self._steps: list[Callable[[], object]] = [self._drop_tables, self._drop_partitions]
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def add(self, step: Callable[[], object]) -> None:
        """Have ``step`` called in each round."""
        self._steps.append(step)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join(ROUND_SECONDS)

    def _run(self) -> None:
        while True:
            self.sweep()
            if self._closing.wait(ROUND_SECONDS):
                return

    def sweep(self) -> None:
        """One round."""
        for step in list(self._steps):
            try:
                step()
            except Exception:
                log.exception("sweeping failed; the next round tries again", step=step.__qualname__)

    def _drop_tables(self) -> None:
        """Free the space of expired tables, which nothing can see any more."""
        with self._database.session() as db:
            expired = self._metadata.expired_tables(db)
        for record in expired:
            self._change(record, self._drop)

    def _drop(self, record: TableRecord) -> None:
        with self._database.transaction() as db:
            # By now somebody may have created a table of the name, which dropped the expired one.
            if any(record.physical == still.physical for still in self._metadata.expired_tables(db)):
                self._tables.drop(db, record)

    def _drop_partitions(self) -> None:
        """Delete the rows of expired partitions."""
        with self._database.session() as db:
            expiring = self._metadata.tables_with_expiring_partitions(db)
            expired = [record for record in expiring if self._tables.has_expired_rows(db, record)]
        for record in expired:
            self._change(record, self._touch)

    def _touch(self, record: TableRecord) -> None:
        with self._database.transaction() as db:
            found = self._metadata.find_table(db, record.ref.dataset, record.ref.table)
            if found is not None and found.physical == record.physical:
                self._tables.touch(db, found, added=0)

    def _change(self, record: TableRecord, change: Callable[[TableRecord], None]) -> None:
        try:
            with self._locks.tables([(record.ref.dataset, record.ref.table)], wait=False):
                change(record)
        except Busy:
            pass
