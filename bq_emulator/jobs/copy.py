"""Copy jobs."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from bq_emulator import copies
from bq_emulator.destination import Destination, partition_ref, prepare
from bq_emulator.duck import Session, identifier
from bq_emulator.jobs.job import Job
from bq_emulator.jobs.manager import JobManager
from bq_emulator.locks import Locks
from bq_emulator.metadata import TableRecord
from bq_emulator.model import BigQueryError, CopyTable, TableRef
from bq_emulator.partitions import PARTITION_TIME, by_ingestion_time
from bq_emulator.tables import STORED_KINDS, Tables

#: What a copy takes over from its source.
_COPIED = ("description", "friendlyName", "labels", "timePartitioning", "rangePartitioning", "clustering")

_COPY = "COPY"
_OPERATIONS = (_COPY, "OPERATION_TYPE_UNSPECIFIED", "SNAPSHOT", "CLONE", "RESTORE")


class CopyRunner:
    def __init__(self, tables: Tables, locks: Locks) -> None:
        self._tables = tables
        self._locks = locks

    def __call__(self, manager: JobManager, db: Session, job: Job) -> None:
        configuration = job.parameters
        if configuration.get("destinationEncryptionConfiguration"):
            raise BigQueryError(
                "notImplemented", "configuration.copy.destinationEncryptionConfiguration is not supported here."
            )
        operation = configuration.get("operationType") or _COPY
        if operation not in _OPERATIONS:
            raise BigQueryError("invalid", f"Invalid value for operationType: {operation}.")
        destination = Destination.from_configuration(configuration, "WRITE_EMPTY")
        given = configuration.get("sourceTables") or [configuration.get("sourceTable") or {}]
        refs = [partition_ref(source) for source in given]
        for ref, _ in refs:
            self._tables.metadata.check_project(ref)
        if operation in ("SNAPSHOT", "CLONE", "RESTORE"):
            self._derive(manager, db, job, operation, destination, refs)
            return
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
            if _onto_itself(refs, destination):
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
            self._describe(db, job, copied, sources)

    def _derive(
        self,
        manager: JobManager,
        db: Session,
        job: Job,
        operation: str,
        destination: Destination,
        sources: list[tuple[TableRef, str | None]],
    ) -> None:
        """A snapshot, a clone, or a table restored from a snapshot; each is made anew, of one whole table."""
        if len(sources) > 1 or destination.partition or sources[0][1]:
            raise BigQueryError("invalid", f"The copy operation {operation} takes one whole table, and makes one.")
        replaces = destination.write == "WRITE_TRUNCATE"
        if destination.write not in ("WRITE_EMPTY", "WRITE_TRUNCATE"):
            raise BigQueryError("invalid", f"The copy operation {operation} cannot be {destination.write}.")
        mode = "COPY" if operation == "RESTORE" else operation
        ref, target = sources[0][0], destination.ref
        statement = CopyTable("COPY", target, ref, mode, replaces, if_not_exists=False, options=_expiration(job))
        with self._locks.tables([(target.dataset, target.table)], check=job.check_stop), manager.committing(db, job):
            source = self._tables.metadata.table(db, ref.dataset, ref.table)
            wanted = "SNAPSHOT" if operation == "RESTORE" else "TABLE"
            if source.kind != wanted and operation != "CLONE":
                raise BigQueryError(
                    "invalid", f"The copy operation {operation} needs a {wanted}; {source} is a {source.kind}."
                )
            record = copies.copy(db, self._tables, statement)
            self._describe(db, job, int(record.resource["numRows"]), [source])

    def _describe(self, db: Session, job: Job, rows: int, sources: list[TableRecord]) -> None:
        job.statistics["copy"] = {
            "copiedRows": str(rows),
            "copiedLogicalBytes": str(sum(self._tables.sizes.total(db, source) for source in sources)),
        }


def _onto_itself(sources: list[tuple[TableRef, str | None]], destination: Destination) -> bool:
    """Whether rows that are to be copied would go first."""
    if destination.write == "WRITE_TRUNCATE" and (destination.ref, destination.partition) in sources:
        return True
    partitions = [partition for ref, partition in sources if ref == destination.ref]
    return destination.empties and any(
        None in (partition, destination.partition) or partition == destination.partition for partition in partitions
    )


def _expiration(job: Job) -> dict[str, datetime]:
    """destinationExpirationTime as OPTIONS(…) have it. Raises BigQueryError invalid."""
    text = job.parameters.get("destinationExpirationTime")
    if not text:
        return {}
    try:
        return {"expiration_timestamp": datetime.fromisoformat(text)}
    except ValueError as error:
        raise BigQueryError("invalid", f"Invalid value for destinationExpirationTime: {text!r}.") from error
