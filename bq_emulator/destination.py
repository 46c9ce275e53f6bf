"""The table a job writes to: createDisposition, writeDisposition, schemaUpdateOptions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from bq_emulator.duck import Session
from bq_emulator.metadata import TableRecord, display
from bq_emulator.model import BigQueryError, Field, TableRef
from bq_emulator.partitions import split_decorator
from bq_emulator.schema import Schema, evolve, find
from bq_emulator.tables import Tables

_DISPOSITIONS = {
    "createDisposition": ("CREATE_IF_NEEDED", "CREATE_NEVER"),
    "writeDisposition": ("WRITE_TRUNCATE", "WRITE_TRUNCATE_DATA", "WRITE_APPEND", "WRITE_EMPTY"),
}
_UPDATE_OPTIONS = {"ALLOW_FIELD_ADDITION", "ALLOW_FIELD_RELAXATION"}
#: Properties of a new table that job configurations may carry, by their name there and in the Table resource.
_TABLE_PROPERTIES = ("timePartitioning", "rangePartitioning", "clustering")


@dataclass(frozen=True)
class Destination:
    ref: TableRef
    create: str
    write: str
    update_options: frozenset[str] = frozenset()
    properties: dict[str, Any] = field(default_factory=dict)
    partition: str | None = None

    @classmethod
    def from_configuration(cls, configuration: dict[str, Any], write_default: str) -> Destination:
        """From a JobConfigurationQuery, -Load or -TableCopy.

        Raises:
            BigQueryError: invalid for a value Google does not know.
        """
        chosen = {}
        for key, default in (("createDisposition", "CREATE_IF_NEEDED"), ("writeDisposition", write_default)):
            value = configuration.get(key) or default
            if value not in _DISPOSITIONS[key]:
                raise BigQueryError(
                    "invalid", f"Invalid value for {key}: {value}; one of {', '.join(_DISPOSITIONS[key])}."
                )
            chosen[key] = value
        options = frozenset(configuration.get("schemaUpdateOptions") or ())
        if unknown := options - _UPDATE_OPTIONS:
            raise BigQueryError("invalid", f"Invalid value for schemaUpdateOptions: {', '.join(sorted(unknown))}.")
        properties = {key: configuration[key] for key in _TABLE_PROPERTIES if configuration.get(key)}
        for key, value in (configuration.get("destinationTableProperties") or {}).items():
            if key not in ("description", "friendlyName", "labels", "expirationTime"):
                raise BigQueryError(
                    "notImplemented", f"destinationTableProperties.{key} is not supported by this emulator."
                )
            properties[key] = value
        if options and chosen["writeDisposition"] == "WRITE_EMPTY":
            raise BigQueryError(
                "invalid", "Schema update options should only be specified with WRITE_APPEND disposition."
            )
        ref, partition = partition_ref(configuration["destinationTable"])
        return cls(
            ref,
            chosen["createDisposition"],
            chosen["writeDisposition"],
            options,
            properties,
            partition,
        )

    @property
    def empties(self) -> bool:
        """Whether rows are deleted from a table that is there, and no other table takes its place."""
        return self.write == "WRITE_TRUNCATE_DATA" or (self.write == "WRITE_TRUNCATE" and self.partition is not None)


def partition_ref(resource: dict[str, Any]) -> tuple[TableRef, str | None]:
    """A TableReference, and the partition its decorator names.

    Raises:
        BigQueryError: required for a missing part, notImplemented for a snapshot decorator.
    """
    for key in ("projectId", "datasetId", "tableId"):
        if not resource.get(key):
            raise BigQueryError("required", f"Required parameter is missing: {key} of a table reference.")
    table, partition = split_decorator(resource["tableId"])
    return TableRef(resource["projectId"], resource["datasetId"], table), partition


def prepare(db: Session, tables: Tables, destination: Destination, schema: Schema, declared: bool) -> TableRecord:
    """The table, ready to be given rows of ``schema``: created, emptied or extended as the dispositions say.

    ``declared`` tells whether ``schema`` was given by the user; one that was only found (in a file, in a query)
    says nothing of which columns must not be NULL.
    """
    ref = destination.ref
    tables.metadata.check_project(ref)
    tables.metadata.dataset(db, ref.dataset)
    record = tables.metadata.find_table(db, ref.dataset, ref.table)
    if record is None:
        if destination.create == "CREATE_NEVER":
            raise BigQueryError("notFound", f"Not found: Table {display(ref)}")
        created = tables.create(db, ref, schema, destination.properties)
        tables.partition_condition(created, destination.partition)
        return created
    if record.kind != "TABLE":
        raise BigQueryError("invalid", f"Cannot write to {display(ref)}: it is a {record.kind}, not a table.")
    partition = destination.partition
    if destination.write == "WRITE_EMPTY" and tables.count(db, record, partition):
        raise BigQueryError("duplicate", f"Already Exists: Table {display(ref)}{f'${partition}' if partition else ''}")
    _check_same_layout(record, destination)
    if destination.empties:
        tables.empty_partition(db, record, partition)
    elif destination.write == "WRITE_TRUNCATE":
        return _truncate(db, tables, record, destination, schema)
    if not declared:
        schema = tuple(_as_nullable(f, record.schema) for f in schema)
    evolved = evolve(display(ref), record.schema, schema, destination.update_options)
    if evolved != record.schema:
        tables.set_schema(db, record, evolved)
    return record


def _truncate(
    db: Session, tables: Tables, record: TableRecord, destination: Destination, schema: Schema
) -> TableRecord:
    """Data, schema and constraints go, the other properties stay; a column that stays keeps its description."""
    kept = {key: value for key, value in record.resource.items() if key not in ("schema", "tableConstraints")}
    described = tuple(
        replace(f, description=old.description) if not f.description and (old := find(record.schema, f.name)) else f
        for f in schema
    )
    tables.drop(db, record)
    return tables.create(db, record.ref, described, {**kept, **destination.properties})


def _check_same_layout(record: TableRecord, destination: Destination) -> None:
    for key in _TABLE_PROPERTIES:
        given, existing = destination.properties.get(key), record.resource.get(key)
        if given and existing and _essence(given) != _essence(existing):
            raise BigQueryError(
                "invalid",
                f"Incompatible table partitioning specification: {key} of {record} is {existing}, not {given}.",
            )
        if given and not existing and record.kind == "TABLE" and key != "clustering":
            raise BigQueryError(
                "invalid",
                f"Incompatible table partitioning specification: {record} has no {key}, the job's is {given}.",
            )


def _essence(layout: dict[str, Any]) -> dict[str, Any]:
    return {"type": "DAY", **{key: value for key, value in layout.items() if key not in ("expirationMs",) and value}}


def _as_nullable(found: Field, existing: Schema) -> Field:
    match = find(existing, found.name)
    if match and found.mode != "REPEATED" and match.mode != "REPEATED":
        children = tuple(_as_nullable(child, match.fields) for child in found.fields)
        return replace(found, mode=match.mode, fields=children)
    return found
