"""Copy jobs."""

from __future__ import annotations

from dataclasses import replace

from bq_emulator.destination import Destination, partition_ref, prepare
from bq_emulator.duck import Session, identifier
from bq_emulator.jobs.job import Job
from bq_emulator.jobs.manager import JobManager
from bq_emulator.locks import Locks
from bq_emulator.model import BigQueryError
from bq_emulator.partitions import PARTITION_TIME, by_ingestion_time
from bq_emulator.tables import STORED_KINDS, Tables

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
        refs = [partition_ref(source) for source in given]
        for ref, _ in refs:
            self._tables.metadata.check_project(ref)
        key = (destination.ref.dataset, destination.ref.table)
        with self._locks.tables([key], check=job.check_stop), manager.committing(db, job):
            sources = [self._tables.metadata.table(db, ref.dataset, ref.table) for ref, _ in refs]
            for source in sources:
                if source.kind not in STORED_KINDS:
                    raise BigQueryError("invalid", f"Cannot copy {source}: it is a {source.kind}, not a table.")
            first = sources[0]
            names = [field.name.lower() for field in first.schema]
            for source in sources[1:]:
                if [field.name.lower() for field in source.schema] != names:
                    raise BigQueryError(
                        "invalid", f"Cannot copy {first} and {source} into one table: their schemas differ."
                    )
            properties = {key: first.resource[key] for key in _COPIED if first.resource.get(key)}
            target = replace(destination, properties=properties)
            if destination.write == "WRITE_TRUNCATE" and (destination.ref, destination.partition) in refs:
                raise BigQueryError("invalid", f"Cannot copy {first} onto itself.")
            record = prepare(db, self._tables, target, first.schema, declared=True)
            written = first.schema
            if not destination.partition and by_ingestion_time(record.resource):
                # The rows stay in the partitions they are in.
                written = (*first.schema, PARTITION_TIME) if by_ingestion_time(first.resource) else first.schema
            columns = ", ".join(identifier(field.name) for field in written)
            rows = " UNION ALL ".join(
                f"SELECT {columns} FROM {source.physical} WHERE {self._tables.partition_condition(source, partition)}"
                for source, (_, partition) in zip(sources, refs, strict=True)
                if source.physical
            )
            copied = self._tables.insert(db, record, written, rows, destination.partition) if rows else 0
            job.statistics["copy"] = {
                "copiedRows": str(copied),
                "copiedLogicalBytes": str(sum(self._tables.sizes.total(db, source) for source in sources)),
            }
