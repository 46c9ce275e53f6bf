"""Copy jobs, and extract jobs, which are refused."""

from __future__ import annotations

from bq_emulator.destination import Destination, prepare, table_ref
from bq_emulator.duck import Session, identifier
from bq_emulator.jobs.job import Job
from bq_emulator.jobs.manager import JobManager
from bq_emulator.locks import Locks
from bq_emulator.model import BigQueryError
from bq_emulator.tables import Tables

#: What a copy takes over from its source.
_COPIED = ("description", "friendlyName", "labels", "timePartitioning", "rangePartitioning", "clustering")


class CopyRunner:
    def __init__(self, tables: Tables, locks: Locks) -> None:
        self._tables = tables
        self._locks = locks

    def __call__(self, manager: JobManager, db: Session, job: Job) -> None:
        configuration = job.parameters
        operation = configuration.get("operationType") or "COPY"
        if operation not in ("COPY", "OPERATION_TYPE_UNSPECIFIED"):
            raise BigQueryError("notImplemented", f"The copy operation {operation} is not supported by this emulator.")
        destination = Destination.from_configuration(configuration, "WRITE_EMPTY")
        given = configuration.get("sourceTables") or [configuration.get("sourceTable") or {}]
        refs = [table_ref(source) for source in given]
        for ref in refs:
            self._tables.metadata.check_project(ref)
        with self._locks.tables([(destination.ref.dataset, destination.ref.table)]), manager.committing(db, job):
            sources = [self._tables.metadata.table(db, ref.dataset, ref.table) for ref in refs]
            for source in sources:
                if source.kind != "TABLE":
                    raise BigQueryError("invalid", f"Cannot copy {source}: it is a {source.kind}, not a table.")
            first = sources[0]
            names = [field.name.lower() for field in first.schema]
            for source in sources[1:]:
                if [field.name.lower() for field in source.schema] != names:
                    raise BigQueryError(
                        "invalid", f"Cannot copy {first} and {source} into one table: their schemas differ."
                    )
            properties = {key: first.resource[key] for key in _COPIED if first.resource.get(key)}
            target = Destination(destination.ref, destination.create, destination.write, frozenset(), properties)
            columns = ", ".join(identifier(field.name) for field in first.schema)
            rows = " UNION ALL ".join(f"SELECT {columns} FROM {s.physical}" for s in sources if s.physical)
            if destination.write == "WRITE_TRUNCATE" and destination.ref in refs:
                raise BigQueryError("invalid", f"Cannot copy {first} onto itself.")
            record = prepare(db, self._tables, target, first.schema, declared=True)
            copied = self._tables.insert(db, record, first.schema, rows) if rows else 0
            job.statistics["copy"] = {
                "copiedRows": str(copied),
                "copiedLogicalBytes": str(sum(self._tables.size(db, source) for source in sources)),
            }


def refuse_extract(manager: JobManager, db: Session, job: Job) -> None:
    raise BigQueryError(
        "notImplemented", "Extract jobs are not supported by this emulator: read the table with tabledata.list."
    )
