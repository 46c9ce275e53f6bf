"""One project's emulator: the parts put together, opened and closed."""

from __future__ import annotations

import shutil
from pathlib import Path

import structlog

from bq_emulator import metadata
from bq_emulator.duck import MEMORY_LIMIT, Database
from bq_emulator.insert_ids import InsertIds
from bq_emulator.jobs.copy import CopyRunner
from bq_emulator.jobs.extract import ExtractRunner
from bq_emulator.jobs.load import LoadRunner
from bq_emulator.jobs.manager import JobManager
from bq_emulator.jobs.query import QueryRunner
from bq_emulator.kept import KeptFiles
from bq_emulator.locks import Locks
from bq_emulator.metadata import Metadata
from bq_emulator.objects import Objects
from bq_emulator.sql import macros
from bq_emulator.sql.frontend import GoogleSqlFrontend
from bq_emulator.sweeper import Sweeper
from bq_emulator.tables import Tables

log = structlog.get_logger("bq_emulator")


class Emulator:
    """Raises :class:`bq_emulator.duck.DataDirLocked` if another process has ``data_dir`` open."""

    def __init__(
        self,
        data_dir: Path,
        project: str,
        location: str,
        frontend: GoogleSqlFrontend,
        gcs_dir: Path | None = None,
        memory_limit: str = MEMORY_LIMIT,
    ) -> None:
        """``gcs_dir`` stands for Cloud Storage, a folder a bucket; by default ``gcs`` in ``data_dir``."""
        data_dir.mkdir(parents=True, exist_ok=True)
        self._closed = False
        self.project = project
        self.location = location
        self.database = Database(
            data_dir / f"{project}.duckdb", (*macros.SETUP_SQL, *metadata.SETUP), macros.SESSION_SQL, memory_limit
        )
        self.uploads = data_dir / "uploads"
        # What lies there belongs to uploads nobody can go on with.
        shutil.rmtree(self.uploads, ignore_errors=True)
        self.uploads.mkdir()
        self.metadata = Metadata(project, location)
        kept = KeptFiles(data_dir, self.database, self.metadata)
        self.tables = Tables(self.database, self.metadata, frontend.default_value)
        with self.database.session() as db:
            self.tables.sizes.restore(db)
        self.locks = Locks()
        self.insert_ids = InsertIds()
        objects = Objects(gcs_dir or data_dir / "gcs")
        self.query_runner = QueryRunner(frontend, self.tables, self.locks)
        self.jobs = JobManager(
            self.database,
            project,
            location,
            {
                "query": self.query_runner,
                "load": LoadRunner(self.tables, self.locks, objects, self.uploads, kept),
                "copy": CopyRunner(self.tables, self.locks),
                "extract": ExtractRunner(self.tables, objects),
            },
        )
        if lost := self.jobs.recover():
            log.warning("jobs of a stopped emulator ended with an error", jobs=lost)
        self.sweeper = Sweeper(self.database, self.metadata, self.tables, self.locks)
        self.sweeper.add(self.jobs.forget_old)
        self.sweeper.add(kept.sweep)
        self.sweeper.start()

    def close(self) -> bool:
        """Stop the jobs and close the file. False if a job does not stop: then the file stays open, and only the end
        of the process frees it, which is safe at any moment. May be called again."""
        if self._closed:
            return True
        if stuck := self.jobs.shut_down():
            log.error("jobs do not stop; the emulator ends without them", jobs=stuck)
            return False
        self.sweeper.close()
        with self.database.transaction() as db:
            self.tables.sizes.store(db, self.metadata.all_tables(db))
        self.tables.sizes.close()
        self.database.close()
        self._closed = True
        return True
