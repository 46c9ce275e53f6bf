"""Load jobs, from an uploaded file or from ``gs://`` and ``file://`` addresses."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from bq_emulator.destination import Destination, prepare
from bq_emulator.duck import Session, translate_error
from bq_emulator.jobs.job import Job
from bq_emulator.jobs.manager import JobManager
from bq_emulator.kept import KeptFiles, is_kept, takes
from bq_emulator.loads import avro, csv, ndjson, parquet
from bq_emulator.loads.source import MAX_DETAILS, Source, reading_error, too_many_errors
from bq_emulator.locks import Locks
from bq_emulator.metadata import TableRecord
from bq_emulator.model import BigQueryError
from bq_emulator.objects import Objects, SourceFile
from bq_emulator.schema import Schema, find, schema_from_rest
from bq_emulator.tables import Tables

_REFUSED = (
    "hivePartitioningOptions",
    "destinationEncryptionConfiguration",
    "projectionFields",
    "schemaInline",
    "connectionProperties",
    "createSession",
    "referenceFileSchemaUri",
    "jsonExtension",
    "copyFilesOnly",
    "timestampTargetPrecision",
)
_TEXT = ("CSV", "NEWLINE_DELIMITED_JSON")
_BINARY = ("PARQUET", "AVRO", "ORC")


class LoadRunner:
    """``scratch`` is a folder for what a job unpacks and rewrites."""

    def __init__(self, tables: Tables, locks: Locks, objects: Objects, scratch: Path, kept: KeptFiles) -> None:
        self._tables = tables
        self._locks = locks
        self._objects = objects
        self._scratch = scratch
        self._kept = kept

    def __call__(self, manager: JobManager, db: Session, job: Job) -> None:
        """Read and check the files first, without locks; then write them in one transaction."""
        configuration = job.parameters
        for key in _REFUSED:
            if configuration.get(key):
                raise BigQueryError("notImplemented", f"configuration.load.{key} is not supported by this emulator.")
        destination = Destination.from_configuration(configuration, "WRITE_APPEND")
        files = self._files(job)
        existing = self._tables.metadata.find_table(db, destination.ref.dataset, destination.ref.table)
        declared = schema_from_rest(configuration.get("schema"))
        sources: list[Source] = []
        with tempfile.TemporaryDirectory(dir=self._scratch) as scratch, _dropping_stages(db, sources):
            reader = _Reader(db, configuration, Path(scratch))
            reader.read(files, reader.schema(files, destination, existing, declared), sources)
            job.warnings = [error for source in sources for error in source.bad][:MAX_DETAILS]
            job.check_stop()
            target = (destination.ref.dataset, destination.ref.table)
            with self._locks.tables([target], check=job.check_stop), manager.committing(db, job):
                db.goes_on = len(files) > 1
                schema = _merged(declared, [source.schema for source in sources])
                record = prepare(db, self._tables, destination, schema, bool(declared))
                size = sum(file.path.stat().st_size for file in files)
                was_kept = is_kept(record.physical)
                sizes = self._tables.sizes
                # Rows that were there may have been written anew, with another schema.
                before = (sizes.total if was_kept else sizes.uncommitted)(db, record)
                rows = 0
                for file, source in zip(files, sources, strict=True):
                    with reader.naming(file):
                        rows += self._write(db, job, record, source, destination)
                in_files = was_kept or is_kept(record.physical)
                after = (sizes.total if in_files else sizes.uncommitted)(db, record)
                job.statistics["load"] = {
                    "inputFiles": str(len(files)),
                    "inputFileBytes": str(size),
                    "outputRows": str(rows),
                    "outputBytes": str(after - before),
                    "badRecords": str(sum(source.bad_records for source in sources)),
                }

    def _write(self, db: Session, job: Job, record: TableRecord, source: Source, destination: Destination) -> int:
        """Add the rows of ``source`` to the table; returns their number."""
        if job.upload is not None and takes(record, source, job.upload):
            found = self._kept.add(record, source, job.upload)
            if found is not None:
                return self._tables.attach(db, record, *found)
        return self._tables.insert(db, record, source.schema, source.sql, destination.partition)

    def _files(self, job: Job) -> list[SourceFile]:
        if job.upload is not None:
            return [SourceFile(job.upload)]
        return [file for uri in job.parameters.get("sourceUris") or () for file in self._objects.find(uri)]


@contextmanager
def _dropping_stages(db: Session, sources: list[Source]) -> Iterator[None]:
    try:
        yield
    finally:
        for source in sources:
            if source.stage:
                db.execute(f"DROP TABLE IF EXISTS {source.stage}")


class _Reader:
    """The files of one job. Raises BigQueryError as the formats' modules do."""

    def __init__(self, db: Session, configuration: dict[str, Any], scratch: Path) -> None:
        self._db = db
        self._configuration = configuration
        self._scratch = scratch
        self._kind = (configuration.get("sourceFormat") or "CSV").upper()
        self._max_bad = int(configuration.get("maxBadRecords") or 0)
        self._skip = int(configuration.get("skipLeadingRows") or 0)
        self._detected = False
        if self._kind not in _TEXT + _BINARY:
            raise BigQueryError("notImplemented", f"The source format {self._kind} is not supported by this emulator.")

    def schema(
        self, files: list[SourceFile], destination: Destination, existing: TableRecord | None, declared: Schema
    ) -> Schema:
        """The schema to read text by; that of binary formats is empty if it is the file's own."""
        schema = declared
        if not schema and existing is not None and destination.write != "WRITE_TRUNCATE":
            schema = existing.schema
        if schema or self._kind in _BINARY:
            return schema
        if not self._configuration.get("autodetect"):
            if existing is None or not existing.schema:
                raise BigQueryError("invalid", "No schema specified on job or table.")
            return existing.schema
        self._detected = True
        if self._kind == "CSV":
            path = csv.readable(files[0].path, self._configuration, self._scratch)
            schema, self._skip = csv.detect(self._db, path, self._configuration)
            return schema
        return ndjson.detect(
            self._db, [ndjson.unpacked(file.path, self._scratch) for file in files], self._configuration
        )

    def read(self, files: list[SourceFile], schema: Schema, sources: list[Source]) -> None:
        """Append the files' sources to ``sources``."""
        for file in files:
            with self.naming(file):
                sources.append(self._read(file.path, schema))
            for error in sources[-1].bad:
                error.location = file.uri
        errors = sum(source.bad_records for source in sources)
        if errors > self._max_bad and self._kind in _TEXT:
            rows = sum(source.rows for source in sources)
            details = [error for source in sources for error in source.bad][:MAX_DETAILS]
            raise too_many_errors(self._kind, rows, errors, self._max_bad, details)

    def _read(self, path: Path, schema: Schema) -> Source:
        configuration = self._configuration
        match self._kind:
            case "CSV":
                path = csv.readable(path, configuration, self._scratch)
                return csv.read(self._db, path, configuration, schema, self._skip, self._detected)
            case "NEWLINE_DELIMITED_JSON":
                return ndjson.read(self._db, path, configuration, schema, self._scratch)
            case "AVRO":
                path = avro.avro_to_parquet(path, configuration, self._scratch)
                configuration = {**configuration, "parquetOptions": {"enableListInference": True}}
            case "ORC":
                path = avro.orc_to_parquet(path, self._scratch)
                configuration = {**configuration, "parquetOptions": {"enableListInference": True}}
        return parquet.read(path, configuration, schema, self._scratch)

    @contextmanager
    def naming(self, file: SourceFile) -> Iterator[None]:
        """Errors of the data in ``file`` name it, and for text they come with the counts of a whole job."""
        try:
            yield
        except duckdb.Error as error:
            translated = translate_error(error)
            if translated.reason != "invalidQuery":
                raise translated from error
            raise self._located(reading_error(translated.message), file) from error
        except BigQueryError as error:
            if not error.message.startswith("Error while reading data"):
                raise
            raise self._located(error, file) from error

    def _located(self, error: BigQueryError, file: SourceFile) -> BigQueryError:
        error.location = file.uri
        if self._kind not in _TEXT:
            return error
        row = re.search(r"row (\d+)$", error.message)
        return too_many_errors(self._kind, int(row[1]) if row else 0, 1, self._max_bad, [error])


def _merged(declared: Schema, sources: list[Schema]) -> Schema:
    """All columns; a declared schema may leave out columns of a file that describes itself."""
    found: Schema = ()
    for schema in sources:
        found += tuple(field for field in schema if find(found, field.name) is None)
    if all(find(declared, field.name) for field in found):
        return declared
    return found + tuple(field for field in declared if find(found, field.name) is None)
