"""One statement of a query job, alone or in a script: translated, locked, carried out, described."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from zetasql.wasi._pb2.zetasql.public.type_pb2 import TypeProto

from bq_emulator.catalog import SnapshotCatalog
from bq_emulator.destination import Destination
from bq_emulator.duck import Session
from bq_emulator.jobs.job import Job
from bq_emulator.jobs.manager import JobManager
from bq_emulator.locks import Locks
from bq_emulator.model import BigQueryError, DropSchema, Query, Statement, TableRef
from bq_emulator.routines import reference as routine_reference
from bq_emulator.scanned import Scanned, check_filters, scanned
from bq_emulator.schema import schema_to_rest
from bq_emulator.sql.frontend import GoogleSqlFrontend
from bq_emulator.sql.parameters import Parameters
from bq_emulator.sql.scope import Scope
from bq_emulator.sql.script import Part, Script
from bq_emulator.statements import Outcome, execute, table_keys
from bq_emulator.tables import Tables

#: A whole text, or a part of a script.
Source = str | tuple[Script, Part]


class _NeedsLocks(Exception):
    """The statement changes what others may change, too."""


class StatementRunner:
    def __init__(self, frontend: GoogleSqlFrontend, tables: Tables, locks: Locks, manager: JobManager) -> None:
        self.frontend = frontend
        self.tables = tables
        self.locks = locks
        self.manager = manager

    def compile(
        self,
        db: Session,
        source: Source,
        default_dataset: dict[str, Any],
        parameters: Parameters,
        scope: Scope,
        expected: TypeProto | None = None,
    ) -> tuple[Statement, SnapshotCatalog]:
        """Translate within the session's transaction. ``default_dataset`` is REST's DatasetReference; see
        :meth:`GoogleSqlFrontend.compile` for the rest."""
        catalog = SnapshotCatalog(db, self.tables)
        statement = self.frontend.compile(
            source,
            catalog=catalog,
            project=default_dataset.get("projectId") or self.tables.metadata.project,
            default_dataset=default_dataset.get("datasetId"),
            parameters=parameters,
            scope=scope,
            expected=expected,
        )
        check_filters(statement.scans)
        return statement, catalog

    def run(
        self,
        db: Session,
        job: Job,
        source: Source,
        default_dataset: dict[str, Any],
        parameters: Parameters,
        scope: Scope,
        committing: Callable[[Session, Job], AbstractContextManager[None]],
        destination: Destination | None = None,
    ) -> tuple[Statement, Outcome]:
        """Translate and carry out in one transaction, ``committing``, what changes nothing that another may change.
        Anything else is translated in one transaction, then carried out in another, under the locks of what is
        changed."""
        try:
            with committing(db, job):
                statement, catalog = self.compile(db, source, default_dataset, parameters, scope)
                self.describe(db, job, statement)
                check_limits(job)
                if not isinstance(statement, Query) or destination is not None:
                    raise _NeedsLocks
                outcome = execute(db, self.tables, statement)
                finish(job, outcome)
        except _NeedsLocks:
            with self._lock(job, statement, destination), committing(db, job):
                if not catalog.is_current():
                    statement, _ = self.compile(db, source, default_dataset, parameters, scope)
                outcome = execute(db, self.tables, statement, destination)
                finish(job, outcome)
        return statement, outcome

    def describe(self, db: Session, job: Job, statement: Statement) -> None:
        """Write what is known of a statement before it runs into its job's statistics."""
        called = sorted(statement.referenced_routines, key=str)
        job.scanned = scanned(db, self.tables, statement.scans)
        job.statistics.setdefault("query", {}).update(
            statementType=statement.statement_type,
            referencedTables=[reference(ref) for ref in sorted(statement.referenced_tables, key=str)],
            **({"referencedRoutines": [routine_reference(ref) for ref in called]} if called else {}),
            totalPartitionsProcessed=str(job.scanned.partitions),
            cacheHit=False,
            totalSlotMs="0",
        )
        _count(job, job.scanned)
        if job.configuration.get("dryRun"):
            accuracy = "PRECISE" if job.scanned.exact else "UPPER_BOUND"
            job.statistics["query"] |= {"totalBytesBilled": "0", "totalBytesProcessedAccuracy": accuracy}

    def system_variables(self, job: Job, default_dataset: dict[str, Any]) -> dict[tuple[str, ...], Any]:
        """The @@ variables that every statement knows."""
        metadata = self.tables.metadata
        return {
            ("current_job_id",): job.job_id,
            ("dataset_id",): default_dataset.get("datasetId"),
            ("dataset_project_id",): default_dataset.get("projectId"),
            ("location",): metadata.location,
            ("project_id",): metadata.project,
            ("time_zone",): "UTC",
        }

    def _lock(self, job: Job, statement: Statement, destination: Destination | None) -> AbstractContextManager[None]:
        if isinstance(statement, DropSchema):
            return self.locks.dataset(statement.dataset, job.check_stop)
        return self.locks.tables(table_keys(statement, destination), check=job.check_stop)


def _count(job: Job, read: Scanned) -> None:
    size = str(read.processed)
    job.statistics["totalBytesProcessed"] = size
    job.statistics["query"] |= {"totalBytesProcessed": size, "totalBytesBilled": str(read.billed)}


def finish(job: Job, outcome: Outcome) -> None:
    """Write what a statement did into its job."""
    job.statistics["query"] |= outcome.statistics
    if outcome.partitions is not None and job.scanned is not None:
        _count(job, job.scanned.narrowed(outcome.partitions))
    if outcome.target is not None:
        job.parameters.setdefault("destinationTable", reference(outcome.target))
    if outcome.result is not None:
        # What reads the results looks here, whatever has become of the table meanwhile.
        job.statistics["query"]["schema"] = schema_to_rest(outcome.result.schema)
        job.rows = outcome.rows


def reference(ref: TableRef) -> dict[str, str]:
    """REST's TableReference."""
    return {"projectId": ref.project, "datasetId": ref.dataset, "tableId": ref.table}


def check_limits(job: Job) -> None:
    """Raises BigQueryError for a job that costs more than it may; a script's limit is on all its statements."""
    limit = (job.parent or job).parameters.get("maximumBytesBilled")
    size = int(job.statistics["query"]["totalBytesBilled"]) + job.billed_before
    if limit and size > int(limit):
        raise BigQueryError(
            "bytesBilledLimitExceeded",
            f"Query exceeded limit for bytes billed: {limit}. {size} or higher required.",
        )
