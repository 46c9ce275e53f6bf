"""SCHEMATA, SCHEMATA_OPTIONS and OBJECT_PRIVILEGES."""

from __future__ import annotations

from collections.abc import Iterator

from bq_emulator.grants import dataset_privileges, table_privileges
from bq_emulator.information_schema import ddl
from bq_emulator.information_schema.source import Option, Row, Source, days, described, time, view
from bq_emulator.metadata import DatasetRecord
from bq_emulator.tables import STORED_KINDS


def _schemata(source: Source) -> Iterator[Row]:
    for dataset in source.datasets:
        yield {
            "catalog_name": source.project,
            "schema_name": dataset.dataset_id,
            "creation_time": time(dataset.resource.get("creationTime")),
            "last_modified_time": time(dataset.resource.get("lastModifiedTime")),
            "location": source.location,
            "ddl": ddl.schema(source.project, dataset.dataset_id, source.location, list(_options(dataset))),
        }


def _options(dataset: DatasetRecord) -> Iterator[Option]:
    resource = dataset.resource
    for key, option in (
        ("defaultPartitionExpirationMs", "default_partition_expiration_days"),
        ("defaultTableExpirationMs", "default_table_expiration_days"),
    ):
        if resource.get(key):
            yield option, "FLOAT64", days(resource[key])
    yield from described(resource)


def _schemata_options(source: Source) -> Iterator[Row]:
    for dataset in source.datasets:
        for name, kind, value in _options(dataset):
            yield {
                "catalog_name": source.project,
                "schema_name": dataset.dataset_id,
                "option_name": name,
                "option_type": kind,
                "option_value": value,
            }


def _object_privileges(source: Source) -> Iterator[Row]:
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
    for table in source.tables():
        for granted in table_privileges(table.resource):
            kind = "TABLE" if table.kind in STORED_KINDS else "VIEW"
            yield row(table.ref.dataset, table.ref.table, kind, granted)


#: Of all datasets of the project, whatever dataset they are asked of.
VIEWS = {
    "SCHEMATA": view(
        "catalog_name STRING, schema_name STRING, schema_owner STRING, creation_time TIMESTAMP, "
        "last_modified_time TIMESTAMP, location STRING, ddl STRING, default_collation_name STRING",
        _schemata,
    ),
    "SCHEMATA_OPTIONS": view(
        "catalog_name STRING, schema_name STRING, option_name STRING, option_type STRING, option_value STRING",
        _schemata_options,
    ),
}
PRIVILEGES = {
    "OBJECT_PRIVILEGES": view(
        "object_catalog STRING, object_schema STRING, object_name STRING, object_type STRING, "
        "privilege_type STRING, grantee STRING",
        _object_privileges,
    ),
}
