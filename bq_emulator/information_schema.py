"""INFORMATION_SCHEMA and ``__TABLES__``: tables made of the metadata when a query names them.

Columns as in https://cloud.google.com/bigquery/docs/information-schema-intro; those the emulator knows nothing about
are left out, so that a query for them is refused by name.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa

from bq_emulator import information_schema_routines
from bq_emulator.duck import Session, identifier
from bq_emulator.grants import dataset_privileges, table_privileges
from bq_emulator.metadata import ANONYMOUS_DATASET, DatasetRecord, TableRecord
from bq_emulator.model import BigQueryError, Field, Table, TableRef
from bq_emulator.schema import Schema, sql_type
from bq_emulator.tables import STORED_KINDS, Tables

_PREFIX = "INFORMATION_SCHEMA."
Row = dict[str, Any]


def is_virtual(ref: TableRef) -> bool:
    return ref.table.upper().startswith(_PREFIX) or ref.table == "__TABLES__"


def read(db: Session, tables: Tables, ref: TableRef) -> Table | None:
    """The virtual table ``ref``, readable in this session; None if its dataset does not exist.

    Raises:
        BigQueryError: notImplemented for a view this emulator has not.
    """
    name = ref.table.upper().removeprefix(_PREFIX)
    view = _VIEWS.get(name)
    if view is None:
        raise BigQueryError(
            "notImplemented", f"INFORMATION_SCHEMA.{name} is not in this emulator; it has {', '.join(sorted(_VIEWS))}."
        )
    schema, make_rows = view
    region = f"region-{tables.metadata.location}".lower()
    if ref.dataset.lower() == region or (not ref.dataset and name == "SCHEMATA"):
        datasets = tables.metadata.datasets(db)
    else:
        dataset = tables.metadata.find_dataset(db, ref.dataset)
        if dataset is None:
            return None
        datasets = tables.metadata.datasets(db) if name == "SCHEMATA" else [dataset]
    rows = list(make_rows(_Source(db, tables, datasets)))
    physical = f"__virtual_{secrets.token_hex(6)}"
    db.register(physical, _arrow(schema, rows))
    return Table(ref, "VIEW", schema, identifier(physical))


class _Source:
    """What the views are made of."""

    def __init__(self, db: Session, tables: Tables, datasets: list[DatasetRecord]) -> None:
        self.db = db
        self.engine = tables
        self.project = tables.metadata.project
        self.location = tables.metadata.location
        self.datasets = [dataset for dataset in datasets if dataset.dataset_id != ANONYMOUS_DATASET]

    def tables(self) -> Iterator[TableRecord]:
        for dataset in self.datasets:
            yield from self.engine.metadata.tables(self.db, dataset.dataset_id)

    def routines(self) -> list[Row]:
        metadata = self.engine.metadata
        return [each for dataset in self.datasets for each in metadata.routines(self.db, dataset.dataset_id)]


_ARROW = {
    "STRING": pa.string(),
    "INT64": pa.int64(),
    "BOOL": pa.bool_(),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
}


def _arrow(schema: Schema, rows: list[Row]) -> pa.Table:
    fields = pa.schema([(field.name, _ARROW[field.type]) for field in schema])
    return pa.Table.from_pylist(rows, schema=fields)


def _columns(text: str) -> Schema:
    """``"name STRING, n INT64"`` as a schema."""
    return tuple(Field(name, kind) for name, kind in (column.split() for column in text.split(",")))


def _time(milliseconds: str | None) -> datetime | None:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC) if milliseconds else None


def _yes(condition: object) -> str:
    return "YES" if condition else "NO"


def _table_key(record: TableRecord, prefix: str = "table") -> Row:
    ref = record.ref
    return {f"{prefix}_catalog": ref.project, f"{prefix}_schema": ref.dataset, f"{prefix}_name": ref.table}


_TABLE_TYPES = {"TABLE": "BASE TABLE", "VIEW": "VIEW", "MATERIALIZED_VIEW": "MATERIALIZED VIEW", "SNAPSHOT": "SNAPSHOT"}


def _schemata(source: _Source) -> Iterator[Row]:
    for dataset in source.datasets:
        yield {
            "catalog_name": source.project,
            "schema_name": dataset.dataset_id,
            "creation_time": _time(dataset.resource.get("creationTime")),
            "last_modified_time": _time(dataset.resource.get("lastModifiedTime")),
            "location": source.location,
        }


def _tables(source: _Source) -> Iterator[Row]:
    for record in source.tables():
        yield _table_key(record) | {
            "table_type": _TABLE_TYPES[record.kind],
            "is_insertable_into": _yes(record.kind == "TABLE"),
            "is_typed": "NO",
            "creation_time": _time(record.resource.get("creationTime")),
        }


def _columns_rows(source: _Source) -> Iterator[Row]:
    for record in source.tables():
        partitioning = record.resource.get("timePartitioning") or record.resource.get("rangePartitioning") or {}
        clustering = [name.lower() for name in (record.resource.get("clustering") or {}).get("fields") or ()]
        for position, field in enumerate(record.schema, 1):
            name = field.name.lower()
            yield _table_key(record) | {
                "column_name": field.name,
                "ordinal_position": position,
                "is_nullable": _yes(field.mode != "REQUIRED"),
                "data_type": sql_type(field),
                "is_hidden": "NO",
                "is_system_defined": "NO",
                "is_partitioning_column": _yes(name == str(partitioning.get("field", "")).lower()),
                "clustering_ordinal_position": clustering.index(name) + 1 if name in clustering else None,
            }


def _field_paths(source: _Source) -> Iterator[Row]:
    def walk(record: TableRecord, column: str, path: str, fields: Iterable[Field]) -> Iterator[Row]:
        for field in fields:
            here = f"{path}.{field.name}" if path else field.name
            yield _table_key(record) | {
                "column_name": column or field.name,
                "field_path": here,
                "data_type": sql_type(field),
                "description": field.description,
            }
            yield from walk(record, column or field.name, here, field.fields)

    for record in source.tables():
        yield from walk(record, "", "", record.schema)


def _table_options(source: _Source) -> Iterator[Row]:
    for record in source.tables():
        resource = record.resource
        options: list[tuple[str, str, str]] = []
        for key, option in (("description", "description"), ("friendlyName", "friendly_name")):
            if resource.get(key):
                options.append((option, "STRING", _quoted(resource[key])))
        if resource.get("labels"):
            pairs = ", ".join(f"STRUCT({_quoted(k)}, {_quoted(v)})" for k, v in sorted(resource["labels"].items()))
            options.append(("labels", "ARRAY<STRUCT<STRING, STRING>>", f"[{pairs}]"))
        if resource.get("expirationTime"):
            moment = _time(resource["expirationTime"])
            options.append(("expiration_timestamp", "TIMESTAMP", f'TIMESTAMP "{moment:%Y-%m-%dT%H:%M:%S.%fZ}"'))
        partitioning = resource.get("timePartitioning") or {}
        if partitioning.get("expirationMs"):
            days = int(partitioning["expirationMs"]) / 86_400_000
            options.append(("partition_expiration_days", "FLOAT64", repr(days)))
        if resource.get("requirePartitionFilter"):
            options.append(("require_partition_filter", "BOOL", "true"))
        for name, kind, value in options:
            yield _table_key(record) | {"option_name": name, "option_type": kind, "option_value": value}


def _quoted(text: str) -> str:
    """A GoogleSQL string literal (JSON's escapes are a subset of its escapes)."""
    return orjson.dumps(text).decode()


def _views(source: _Source) -> Iterator[Row]:
    for record in source.tables():
        if record.kind == "VIEW":
            yield _table_key(record) | {
                "view_definition": record.resource["view"]["query"],
                "check_option": None,
                "use_standard_sql": "YES",
            }


def _materialized_views(source: _Source) -> Iterator[Row]:
    for record in source.tables():
        if record.kind == "MATERIALIZED_VIEW":
            yield _table_key(record) | {
                "last_refresh_time": _time(record.resource["lastModifiedTime"]),
                "refresh_watermark": None,
            }


def _partitions(source: _Source) -> Iterator[Row]:
    for record in source.tables():
        if record.kind not in STORED_KINDS or record.physical is None:
            continue
        size, rows = source.engine.sizes.total(source.db, record), int(record.resource["numRows"])
        if record.partitioning:
            groups = source.db.rows(
                f"SELECT {record.partitioning.id_expression()} AS id, count(*) FROM {record.physical} "
                "GROUP BY 1 ORDER BY 1"
            )
        else:
            groups = [(None, rows)]
        for partition, count in groups:
            yield _table_key(record) | {
                "partition_id": partition,
                "total_rows": count,
                "total_logical_bytes": size * count // rows if rows else 0,
                "last_modified_time": _time(record.resource["lastModifiedTime"]),
                "storage_tier": "ACTIVE",
            }


def _table_storage(source: _Source) -> Iterator[Row]:
    for record in source.tables():
        if record.kind == "TABLE":
            yield {
                "project_id": source.project,
                "table_catalog": source.project,
                "table_schema": record.ref.dataset,
                "table_name": record.ref.table,
                "creation_time": _time(record.resource["creationTime"]),
                "total_rows": int(record.resource["numRows"]),
                "total_logical_bytes": source.engine.sizes.total(source.db, record),
                "storage_last_modified_time": _time(record.resource["lastModifiedTime"]),
                "deleted": False,
                "table_type": "BASE TABLE",
            }


def _constraints(source: _Source) -> Iterator[Row]:
    for record in source.tables():
        constraints = record.resource.get("tableConstraints") or {}
        names = [("PRIMARY KEY", "pk$")] if constraints.get("primaryKey") else []
        names += [
            ("FOREIGN KEY", key.get("name") or f"fk${n}") for n, key in enumerate(constraints.get("foreignKeys", ()), 1)
        ]
        for kind, name in names:
            yield (
                _table_key(record, "constraint")
                | _table_key(record)
                | {
                    "constraint_name": f"{record.ref.table}.{name}",
                    "constraint_type": kind,
                    "is_deferrable": "NO",
                    "initially_deferred": "NO",
                    "enforced": "NO",
                }
            )


def _key_columns(source: _Source) -> Iterator[Row]:
    """Columns that are part of a key, as the constraints name them."""
    for record in source.tables():
        constraints = record.resource.get("tableConstraints") or {}
        keys = []
        if primary := constraints.get("primaryKey"):
            keys.append(("pk$", primary["columns"], False))
        for number, key in enumerate(constraints.get("foreignKeys", ()), 1):
            columns = [each["referencingColumn"] for each in key["columnReferences"]]
            keys.append((key.get("name") or f"fk${number}", columns, True))
        for name, columns, foreign in keys:
            for position, column in enumerate(columns, 1):
                yield (
                    _table_key(record, "constraint")
                    | _table_key(record)
                    | {
                        "constraint_name": f"{record.ref.table}.{name}",
                        "column_name": column,
                        "ordinal_position": position,
                        "position_in_unique_constraint": position if foreign else None,
                    }
                )


def _object_privileges(source: _Source) -> Iterator[Row]:
    def row(schema: str | None, name: str, kind: str, granted: tuple[str, str]) -> Row:
        return {
            "object_catalog": source.project,
            "object_schema": schema,
            "object_name": name,
            "object_type": kind,
            "privilege_type": granted[0],
            "grantee": granted[1],
        }

    for dataset in source.datasets:
        for granted in dataset_privileges(dataset):
            yield row(None, dataset.dataset_id, "SCHEMA", granted)
    for record in source.tables():
        for granted in table_privileges(record.resource):
            kind = "TABLE" if record.kind in STORED_KINDS else "VIEW"
            yield row(record.ref.dataset, record.ref.table, kind, granted)


def _dunder_tables(source: _Source) -> Iterator[Row]:
    for record in source.tables():
        yield {
            "project_id": source.project,
            "dataset_id": record.ref.dataset,
            "table_id": record.ref.table,
            "creation_time": int(record.resource["creationTime"]),
            "last_modified_time": int(record.resource["lastModifiedTime"]),
            "row_count": int(record.resource.get("numRows", 0)),
            "size_bytes": source.engine.sizes.total(source.db, record),
            "type": {"TABLE": 1, "VIEW": 2, "MATERIALIZED_VIEW": 4, "SNAPSHOT": 5}[record.kind],
        }


_KEY = "table_catalog STRING, table_schema STRING, table_name STRING"
_VIEWS: dict[str, tuple[Schema, Callable[[_Source], Iterable[Row]]]] = {
    "SCHEMATA": (
        _columns(
            "catalog_name STRING, schema_name STRING, schema_owner STRING, creation_time TIMESTAMP, "
            "last_modified_time TIMESTAMP, location STRING"
        ),
        _schemata,
    ),
    "TABLES": (
        _columns(f"{_KEY}, table_type STRING, is_insertable_into STRING, is_typed STRING, creation_time TIMESTAMP"),
        _tables,
    ),
    "COLUMNS": (
        _columns(
            f"{_KEY}, column_name STRING, ordinal_position INT64, is_nullable STRING, data_type STRING, "
            "is_hidden STRING, is_system_defined STRING, is_partitioning_column STRING, "
            "clustering_ordinal_position INT64"
        ),
        _columns_rows,
    ),
    "COLUMN_FIELD_PATHS": (
        _columns(f"{_KEY}, column_name STRING, field_path STRING, data_type STRING, description STRING"),
        _field_paths,
    ),
    "TABLE_OPTIONS": (
        _columns(f"{_KEY}, option_name STRING, option_type STRING, option_value STRING"),
        _table_options,
    ),
    "VIEWS": (_columns(f"{_KEY}, view_definition STRING, check_option STRING, use_standard_sql STRING"), _views),
    "MATERIALIZED_VIEWS": (
        _columns(f"{_KEY}, last_refresh_time TIMESTAMP, refresh_watermark TIMESTAMP"),
        _materialized_views,
    ),
    "PARTITIONS": (
        _columns(
            f"{_KEY}, partition_id STRING, total_rows INT64, total_logical_bytes INT64, "
            "last_modified_time TIMESTAMP, storage_tier STRING"
        ),
        _partitions,
    ),
    "TABLE_STORAGE": (
        _columns(
            f"project_id STRING, {_KEY}, creation_time TIMESTAMP, total_rows INT64, total_logical_bytes INT64, "
            "storage_last_modified_time TIMESTAMP, deleted BOOL, table_type STRING"
        ),
        _table_storage,
    ),
    "TABLE_CONSTRAINTS": (
        _columns(
            "constraint_catalog STRING, constraint_schema STRING, constraint_name STRING, "
            f"{_KEY}, constraint_type STRING, is_deferrable STRING, initially_deferred STRING, enforced STRING"
        ),
        _constraints,
    ),
    "KEY_COLUMN_USAGE": (
        _columns(
            "constraint_catalog STRING, constraint_schema STRING, constraint_name STRING, "
            f"{_KEY}, column_name STRING, ordinal_position INT64, position_in_unique_constraint INT64"
        ),
        _key_columns,
    ),
    "OBJECT_PRIVILEGES": (
        _columns(
            "object_catalog STRING, object_schema STRING, object_name STRING, object_type STRING, "
            "privilege_type STRING, grantee STRING"
        ),
        _object_privileges,
    ),
    "__TABLES__": (
        _columns(
            "project_id STRING, dataset_id STRING, table_id STRING, creation_time INT64, last_modified_time INT64, "
            "row_count INT64, size_bytes INT64, type INT64"
        ),
        _dunder_tables,
    ),
}


def _of_routines(make: Callable[[Iterable[Row]], Iterator[Row]]) -> Callable[[_Source], Iterable[Row]]:
    return lambda source: make(source.routines())


_VIEWS |= {
    name: (_columns(text), _of_routines(make)) for name, (text, make) in information_schema_routines.VIEWS.items()
}
