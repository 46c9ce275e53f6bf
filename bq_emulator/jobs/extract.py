"""Extract jobs: a table into a file (cloud.google.com/bigquery/docs/exporting-data)."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bq_emulator.destination import partition_ref
from bq_emulator.duck import Session, identifier, literal
from bq_emulator.extracts import avro
from bq_emulator.extracts.text import csv_expression, json_line
from bq_emulator.jobs.job import Job
from bq_emulator.jobs.manager import JobManager
from bq_emulator.model import BigQueryError, Field
from bq_emulator.objects import Objects
from bq_emulator.schema import Schema
from bq_emulator.storage_api.arrow import arrow_field, messages, select_list
from bq_emulator.tables import STORED_KINDS, Tables

#: Compressions by format, as DuckDB's COPY or fastavro call them.
_COMPRESSIONS = {
    "CSV": {"NONE": "none", "GZIP": "gzip"},
    "NEWLINE_DELIMITED_JSON": {"NONE": "none", "GZIP": "gzip"},
    "PARQUET": {"NONE": "uncompressed", "SNAPPY": "snappy", "GZIP": "gzip", "ZSTD": "zstd"},
    "AVRO": {"NONE": "null", "DEFLATE": "deflate"},
}
_BATCH_ROWS = 10_000

#: What stands in the place of a wildcard, counting the files from 0.
_FIRST_FILE = "000000000000"


def has_big_numeric(field: Field) -> bool:
    """DuckDB cannot write such a column: it knows it as a BLOB."""
    return field.type == "BIGNUMERIC" or any(map(has_big_numeric, field.fields))


class ExtractRunner:
    def __init__(self, tables: Tables, objects: Objects) -> None:
        self._tables = tables
        self._objects = objects

    def __call__(self, manager: JobManager, db: Session, job: Job) -> None:
        configuration = job.parameters
        if configuration.get("sourceModel"):
            raise BigQueryError("notImplemented", "Models are not supported by this emulator: extract a table.")
        kind, compression = _format(configuration)
        target = self._target(configuration)
        ref, partition = partition_ref(configuration.get("sourceTable") or {})
        self._tables.metadata.check_project(ref)
        # A reader of the object never sees half of it.
        part = target.with_name(f".{job.job_id}.part")
        try:
            with manager.committing(db, job):
                record = self._tables.metadata.table(db, ref.dataset, ref.table)
                if record.kind not in STORED_KINDS:
                    raise BigQueryError("invalid", f"Cannot extract {record}: it is a {record.kind}, not a table.")
                if record.physical is None:
                    raise BigQueryError("invalid", f"Cannot extract {record}: it has no columns.")
                rows = f"{record.physical} WHERE {self._tables.partition_condition(record, partition)}"
                _write(db, record.schema, rows, part, kind, compression, configuration)
                job.statistics["extract"] = {
                    "destinationUriFileCounts": ["1"],
                    "inputBytes": str(self._tables.sizes.total(db, record)),
                }
                job.statistics["totalBytesProcessed"] = job.statistics["extract"]["inputBytes"]
                part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def _target(self, configuration: dict[str, Any]) -> Path:
        uris = configuration.get("destinationUris") or [uri for uri in (configuration.get("destinationUri"),) if uri]
        if not uris:
            raise BigQueryError("required", "Required parameter is missing: destinationUris")
        if len(uris) > 1:
            raise BigQueryError("notImplemented", "This emulator extracts to one address, not to several.")
        if uris[0].count("*") > 1:
            raise BigQueryError("invalid", f"Invalid destination URI {uris[0]}: only one wildcard is allowed.")
        return self._objects.target(uris[0].replace("*", _FIRST_FILE))


def _write(
    db: Session, schema: Schema, rows: str, path: Path, kind: str, compression: str, configuration: dict[str, Any]
) -> None:
    """``rows`` is DuckDB text for what follows FROM."""
    columns = ", ".join(identifier(field.name) for field in schema)
    match kind:
        case "CSV":
            values = ", ".join(f"{csv_expression(field)} AS {identifier(field.name)}" for field in schema)
            header = "false" if configuration.get("printHeader") is False else "true"
            delimiter = configuration.get("fieldDelimiter") or ","
            delimiter = "\t" if delimiter in ("tab", "\\t") else delimiter
            db.execute(
                f"COPY (SELECT {values} FROM {rows}) TO {literal(str(path))} (FORMAT csv, "
                f"HEADER {header}, DELIMITER {literal(delimiter)}, COMPRESSION {compression})"
            )
        case "PARQUET" if any(has_big_numeric(field) for field in schema):
            kinds = pa.schema([arrow_field(field) for field in schema])
            with pq.ParquetWriter(path, kinds, compression=compression.replace("uncompressed", "none")) as writer:
                reader = db.execute(f"SELECT {select_list(schema)} FROM {rows}").to_arrow_reader(_BATCH_ROWS)
                for batch in messages(reader, kinds):
                    writer.write_batch(batch)
        case "PARQUET":
            db.execute(
                f"COPY (SELECT {columns} FROM {rows}) TO {literal(str(path))} "
                f"(FORMAT parquet, COMPRESSION {compression})"
            )
        case "NEWLINE_DELIMITED_JSON":
            cursor = db.execute(f"SELECT {json_line(schema)} FROM {rows}")
            with gzip.open(path, "wb") if compression == "gzip" else path.open("wb") as output:
                while lines := cursor.fetchmany(_BATCH_ROWS):
                    output.write("".join(f"{line}\n" for (line,) in lines).encode())
        case "AVRO":
            cursor = db.execute(f"SELECT {columns} FROM {rows}")
            names = [field.name for field in schema]
            records = (
                dict(zip(names, row, strict=True))
                for batch in iter(lambda: cursor.fetchmany(_BATCH_ROWS), [])
                for row in batch
            )
            avro.write(path, schema, records, compression, bool(configuration.get("useAvroLogicalTypes")))


def _format(configuration: dict[str, Any]) -> tuple[str, str]:
    """The format and the engine's name of the compression. Raises BigQueryError invalid."""
    kind = (configuration.get("destinationFormat") or "CSV").upper()
    if kind not in _COMPRESSIONS:
        raise BigQueryError("invalid", f"Invalid value for destinationFormat: {kind}; {', '.join(_COMPRESSIONS)}.")
    compression = (configuration.get("compression") or "NONE").upper()
    if (kind, compression) == ("AVRO", "SNAPPY"):
        raise BigQueryError("notImplemented", "SNAPPY for Avro files is not supported by this emulator: take DEFLATE.")
    if compression not in _COMPRESSIONS[kind]:
        raise BigQueryError("invalid", f"Compression {compression} is not supported for {kind} files.")
    return kind, _COMPRESSIONS[kind][compression]
