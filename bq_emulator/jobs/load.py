"""Load jobs, from an uploaded file or from ``file://`` addresses."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import duckdb

from bq_emulator.destination import Destination, prepare
from bq_emulator.duck import Session, translate_error
from bq_emulator.jobs.job import Job
from bq_emulator.jobs.manager import JobManager
from bq_emulator.loads import csv, ndjson, parquet
from bq_emulator.loads.source import Source, reading_error
from bq_emulator.locks import Locks
from bq_emulator.metadata import TableRecord
from bq_emulator.model import BigQueryError
from bq_emulator.schema import Schema, find, schema_from_rest
from bq_emulator.tables import Tables

_REFUSED = (
    "hivePartitioningOptions",
    "decimalTargetTypes",
    "destinationEncryptionConfiguration",
    "useAvroLogicalTypes",
    "projectionFields",
    "schemaInline",
    "connectionProperties",
    "createSession",
    "referenceFileSchemaUri",
    "columnNameCharacterMap",
)


class LoadRunner:
    def __init__(self, tables: Tables, locks: Locks) -> None:
        self._tables = tables
        self._locks = locks

    def __call__(self, manager: JobManager, db: Session, job: Job) -> None:
        """Read and check the file first, without locks; then write it in one transaction."""
        configuration = job.parameters
        for key in _REFUSED:
            if configuration.get(key):
                raise BigQueryError("notImplemented", f"configuration.load.{key} is not supported by this emulator.")
        destination = Destination.from_configuration(configuration, "WRITE_APPEND")
        path = _file(job)
        existing = self._tables.metadata.find_table(db, destination.ref.dataset, destination.ref.table)
        declared = schema_from_rest(configuration.get("schema"))
        source = self._read(db, path, configuration, destination, existing, declared)
        job.check_stop()
        try:
            with self._locks.tables([(destination.ref.dataset, destination.ref.table)]), manager.committing(db, job):
                schema = _merged(declared, source.schema)
                record = prepare(db, self._tables, destination, schema, bool(declared))
                rows = self._tables.insert(db, record, source.schema, source.sql)
                job.statistics["load"] = {
                    "inputFiles": "1",
                    "inputFileBytes": str(path.stat().st_size),
                    "outputRows": str(rows),
                    "badRecords": str(source.bad_records),
                }
        except duckdb.Error as error:
            translated = translate_error(error)
            raise reading_error(translated.message) if translated.reason == "invalidQuery" else translated from error
        finally:
            if source.stage:
                db.execute(f"DROP TABLE IF EXISTS {source.stage}")

    def _read(
        self,
        db: Session,
        path: Path,
        configuration: dict[str, Any],
        destination: Destination,
        existing: TableRecord | None,
        declared: Schema,
    ) -> Source:
        schema = declared
        if not schema and existing is not None and destination.write != "WRITE_TRUNCATE":
            schema = existing.schema
        detect = bool(configuration.get("autodetect")) and not schema
        kind = (configuration.get("sourceFormat") or "CSV").upper()
        if kind == "PARQUET":
            return parquet.read(path, configuration, schema)
        if not schema and not detect and existing is not None:
            schema = existing.schema
        if not schema and not detect:
            raise BigQueryError("invalid", "No schema specified on job or table.")
        if kind == "NEWLINE_DELIMITED_JSON":
            return ndjson.read(db, path, configuration, schema or ndjson.detect(db, path))
        if kind == "CSV":
            compressed = path.open("rb").read(2) == b"\x1f\x8b"
            skip = int(configuration.get("skipLeadingRows") or 0)
            if detect:
                schema, skip = csv.detect(db, path, configuration, compressed)
            return csv.read(db, path, configuration, schema, skip, compressed)
        raise BigQueryError("notImplemented", f"The source format {kind} is not supported by this emulator.")


def _merged(declared: Schema, found: Schema) -> Schema:
    """A declared schema may leave out columns of a file that describes itself."""
    if all(find(declared, field.name) for field in found):
        return declared
    return found + tuple(field for field in declared if find(found, field.name) is None)


def _file(job: Job) -> Path:
    if job.upload is not None:
        return job.upload
    addresses = job.parameters.get("sourceUris") or []
    if len(addresses) != 1:
        raise BigQueryError(
            "notImplemented", f"A load job needs an upload or one file:// address here, not {len(addresses)}."
        )
    parsed = urlparse(addresses[0])
    if parsed.scheme != "file":
        raise BigQueryError("notImplemented", f"This emulator loads uploads and file:// addresses, not {addresses[0]}.")
    path = Path(unquote(parsed.path))
    if not path.is_file():
        raise BigQueryError("notFound", f"Not found: {addresses[0]}")
    return path
