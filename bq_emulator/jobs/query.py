"""Query jobs."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from bq_emulator.catalog import SnapshotCatalog
from bq_emulator.destination import Destination
from bq_emulator.duck import Session
from bq_emulator.jobs.job import Job
from bq_emulator.jobs.manager import JobManager
from bq_emulator.locks import Locks
from bq_emulator.metadata import TableRecord
from bq_emulator.model import BigQueryError, Frontend, Query, Statement, TableRef
from bq_emulator.schema import Schema, schema_to_rest
from bq_emulator.statements import Outcome, dataset_key, execute, table_keys
from bq_emulator.tables import Tables

#: Configuration that would change a result if it were ignored.
_REFUSED = (
    "tableDefinitions",
    "userDefinedFunctionResources",
    "destinationEncryptionConfiguration",
    "connectionProperties",
    "createSession",
    "continuous",
)


class QueryRunner:
    def __init__(self, frontend: Frontend, tables: Tables, locks: Locks) -> None:
        self._frontend = frontend
        self._tables = tables
        self._locks = locks

    def __call__(self, manager: JobManager, db: Session, job: Job) -> None:
        """Translate in one transaction, then carry out in another, under the locks of what is changed."""
        parameters = job.parameters
        check_configuration(parameters)
        destination = None
        if parameters.get("destinationTable"):
            destination = Destination.from_configuration(parameters, "WRITE_EMPTY")
        query = job.statistics.setdefault("query", {})
        with db.transaction():
            catalog = SnapshotCatalog(db, self._tables)
            statements = self._compile(parameters, catalog)
            self._describe(db, query, statements)
        _check_limits(parameters, query)
        job.statistics["totalBytesProcessed"] = query["totalBytesProcessed"]
        if len(statements) == 1:
            with self._lock(statements[0], destination), manager.committing(db, job):
                if not catalog.is_current():
                    statements = self._compile(parameters, SnapshotCatalog(db, self._tables))
                self._finish(job, execute(db, self._tables, statements[0], destination))
        elif destination is not None:
            raise BigQueryError("invalidQuery", "Cannot set destination table in jobs with scripts", "query")
        else:
            self._run_script(manager, db, job, statements, catalog)

    def _run_script(
        self, manager: JobManager, db: Session, job: Job, statements: list[Statement], catalog: SnapshotCatalog
    ) -> None:
        """Statements of a script commit one by one; its rows are those of its last query."""
        result = None
        for index in range(len(statements)):
            job.check_stop()
            with self._lock(statements[index], None), db.transaction():
                # An earlier statement may have replaced what this one reads or writes.
                if not catalog.is_current():
                    catalog = SnapshotCatalog(db, self._tables)
                    statements = self._compile(job.parameters, catalog)
                result = execute(db, self._tables, statements[index]).result or result
        with manager.committing(db, job):
            self._finish(job, Outcome(result=result, target=result.ref if result else None))

    def dry_run(self, db: Session, job: Job) -> None:
        """Fill in the statistics of a query that is not to run."""
        check_configuration(job.parameters)
        query = job.statistics.setdefault("query", {})
        with db.transaction():
            statements = self._compile(job.parameters, SnapshotCatalog(db, self._tables))
            self._describe(db, query, statements)
            if len(statements) == 1 and isinstance(statements[0], Query):
                query["schema"] = schema_to_rest(statements[0].schema)
        job.statistics["totalBytesProcessed"] = query["totalBytesProcessed"]

    def view_schema(self, db: Session, query: str) -> Schema:
        """The columns of a view to be made of ``query``.

        Raises:
            BigQueryError: what is wrong with the query.
        """
        statements = self._compile({"query": query}, SnapshotCatalog(db, self._tables))
        if len(statements) != 1 or not isinstance(statements[0], Query):
            raise BigQueryError("invalid", "A view must be made of one SELECT query.")
        return statements[0].schema

    def _compile(self, parameters: dict[str, Any], catalog: SnapshotCatalog) -> list[Statement]:
        default = parameters.get("defaultDataset") or {}
        return self._frontend.compile(
            parameters["query"],
            catalog=catalog,
            project=default.get("projectId") or self._tables.metadata.project,
            default_dataset=default.get("datasetId"),
            parameters={
                "parameterMode": parameters.get("parameterMode"),
                "queryParameters": parameters.get("queryParameters") or [],
            },
        )

    def _lock(self, statement: Statement, destination: Destination | None) -> AbstractContextManager[None]:
        dataset = dataset_key(statement)
        return self._locks.dataset(dataset) if dataset else self._locks.tables(table_keys(statement, destination))

    def _describe(self, db: Session, query: dict[str, Any], statements: list[Statement]) -> None:
        refs = {ref for statement in statements for ref in statement.referenced_tables}
        records = [self._find(db, ref) for ref in refs]
        size = sum(self._tables.size(db, record) for record in records if record is not None)
        query["statementType"] = statements[0].statement_type if len(statements) == 1 else "SCRIPT"
        query["referencedTables"] = [reference(ref) for ref in sorted(refs, key=str)]
        for key in ("totalBytesProcessed", "totalBytesBilled"):
            query[key] = str(size)
        query["cacheHit"] = False
        query["totalSlotMs"] = "0"

    def _find(self, db: Session, ref: TableRef) -> TableRecord | None:
        if ref.project != self._tables.metadata.project:
            return None
        return self._tables.metadata.find_table(db, ref.dataset, ref.table)

    def _finish(self, job: Job, outcome: Outcome) -> None:
        job.statistics["query"] |= outcome.statistics
        if outcome.target is not None:
            job.parameters.setdefault("destinationTable", reference(outcome.target))
        if outcome.result is not None:
            # What reads the results looks here, whatever has become of the table meanwhile.
            job.statistics["query"]["schema"] = schema_to_rest(outcome.result.schema)


def reference(ref: TableRef) -> dict[str, str]:
    return {"projectId": ref.project, "datasetId": ref.dataset, "tableId": ref.table}


def check_configuration(parameters: dict[str, Any]) -> None:
    """Raises BigQueryError for a query configuration that cannot be obeyed."""
    if not str(parameters.get("query") or "").strip():
        raise BigQueryError("required", "Required parameter is missing: query")
    if parameters.get("useLegacySql"):
        raise BigQueryError(
            "notImplemented", "Legacy SQL is not supported by this emulator: set useLegacySql to false."
        )
    for key in _REFUSED:
        if parameters.get(key):
            raise BigQueryError("notImplemented", f"configuration.query.{key} is not supported by this emulator.")


def _check_limits(parameters: dict[str, Any], query: dict[str, Any]) -> None:
    limit = parameters.get("maximumBytesBilled")
    if limit and int(query["totalBytesBilled"]) > int(limit):
        raise BigQueryError(
            "bytesBilledLimitExceeded",
            f"Query exceeded limit for bytes billed: {limit}. {query['totalBytesBilled']} or higher required.",
        )
