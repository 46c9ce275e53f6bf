"""TABLES, TABLE_OPTIONS, COLUMNS, COLUMN_FIELD_PATHS, VIEWS and MATERIALIZED_VIEWS."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bq_emulator.information_schema import ddl
from bq_emulator.information_schema.source import TABLE_KEY, Option, Row, Source, days, described, table_key, time, yes
from bq_emulator.information_schema.source import view as make
from bq_emulator.metadata import TableRecord
from bq_emulator.model import Field
from bq_emulator.partitions import PARTITION_DATE, PARTITION_TIME, by_ingestion_time
from bq_emulator.schema import sql_type

_TYPES = {"TABLE": "BASE TABLE", "VIEW": "VIEW", "MATERIALIZED_VIEW": "MATERIALIZED VIEW", "SNAPSHOT": "SNAPSHOT"}


def _tables(source: Source) -> Iterator[Row]:
    for table in source.tables():
        resource = table.resource
        copied = resource.get("cloneDefinition") or resource.get("snapshotDefinition") or {}
        base = copied.get("baseTableReference") or {}
        yield {
            **table_key(table),
            "table_type": "CLONE" if "cloneDefinition" in resource else _TYPES[table.kind],
            "is_insertable_into": yes(table.kind == "TABLE"),
            "is_fine_grained_mutations_enabled": "NO",
            "is_typed": "NO",
            "is_change_history_enabled": "NO",
            "creation_time": time(resource.get("creationTime")),
            "base_table_catalog": base.get("projectId"),
            "base_table_schema": base.get("datasetId"),
            "base_table_name": base.get("tableId"),
            "ddl": ddl.table(table, list(options(table))),
        }


def _columns(source: Source) -> Iterator[Row]:
    for table in source.tables():
        partitioning = table.resource.get("timePartitioning") or table.resource.get("rangePartitioning") or {}
        clustering = [name.lower() for name in (table.resource.get("clustering") or {}).get("fields") or ()]
        for position, field in enumerate(table.schema, 1):
            name = field.name.lower()
            yield _column(table, field, name == str(partitioning.get("field", "")).lower()) | {
                "ordinal_position": position,
                "clustering_ordinal_position": clustering.index(name) + 1 if name in clustering else None,
            }
        if by_ingestion_time(table.resource):
            hidden = {"is_hidden": "YES", "is_system_defined": "YES"}
            yield _column(table, PARTITION_TIME, True) | hidden
            if table.partitioning is not None and table.partitioning.granularity == "DAY":
                yield _column(table, PARTITION_DATE, False) | hidden


def _column(table: TableRecord, field: Field, is_partitioning: bool) -> Row:
    return {
        **table_key(table),
        "column_name": field.name,
        "is_nullable": yes(field.mode != "REQUIRED"),
        "data_type": sql_type(field),
        "is_generated": "NEVER",
        "is_hidden": "NO",
        "is_system_defined": "NO",
        "is_partitioning_column": yes(is_partitioning),
        "column_default": field.default_expression,
    }


def _field_paths(source: Source) -> Iterator[Row]:
    def walk(table: TableRecord, column: str, path: str, fields: Iterable[Field]) -> Iterator[Row]:
        for field in fields:
            here = f"{path}.{field.name}" if path else field.name
            yield {
                **table_key(table),
                "column_name": column or field.name,
                "field_path": here,
                "data_type": sql_type(field),
                "description": field.description,
                "policy_tags": [],
            }
            yield from walk(table, column or field.name, here, field.fields)

    for table in source.tables():
        yield from walk(table, "", "", table.schema)


def options(table: TableRecord) -> Iterator[Option]:
    """The options of a table or view, as TABLE_OPTIONS has them."""
    resource = table.resource
    if resource.get("expirationTime"):
        moment = time(resource["expirationTime"])
        yield "expiration_timestamp", "TIMESTAMP", f'TIMESTAMP "{moment:%Y-%m-%dT%H:%M:%S.%fZ}"'
    partitioning = resource.get("timePartitioning") or {}
    if partitioning.get("expirationMs"):
        yield "partition_expiration_days", "FLOAT64", days(partitioning["expirationMs"])
    if resource.get("requirePartitionFilter"):
        yield "require_partition_filter", "BOOL", "true"
    view = resource.get("materializedView") or {}
    if "enableRefresh" in view:
        yield "enable_refresh", "BOOL", str(view["enableRefresh"]).lower()
    if "refreshIntervalMs" in view:
        yield "refresh_interval_minutes", "FLOAT64", repr(int(view["refreshIntervalMs"]) / 60_000)
    yield from described(resource)


def _table_options(source: Source) -> Iterator[Row]:
    for table in source.tables():
        for name, kind, value in options(table):
            yield {**table_key(table), "option_name": name, "option_type": kind, "option_value": value}


def _views(source: Source) -> Iterator[Row]:
    for table in source.tables():
        if table.kind == "VIEW":
            yield {
                **table_key(table),
                "view_definition": table.resource["view"]["query"],
                "use_standard_sql": "YES",
            }


def _materialized_views(source: Source) -> Iterator[Row]:
    for table in source.tables():
        if table.kind == "MATERIALIZED_VIEW":
            yield {**table_key(table), "last_refresh_time": time(table.resource["lastModifiedTime"])}


VIEWS = {
    "TABLES": make(
        f"{TABLE_KEY}, table_type STRING, is_insertable_into STRING, is_fine_grained_mutations_enabled STRING, "
        "is_typed STRING, is_change_history_enabled STRING, creation_time TIMESTAMP, base_table_catalog STRING, "
        "base_table_schema STRING, base_table_name STRING, ddl STRING, default_collation_name STRING",
        _tables,
    ),
    "TABLE_OPTIONS": make(f"{TABLE_KEY}, option_name STRING, option_type STRING, option_value STRING", _table_options),
    "COLUMNS": make(
        f"{TABLE_KEY}, column_name STRING, ordinal_position INT64, is_nullable STRING, data_type STRING, "
        "is_generated STRING, generation_expression STRING, is_stored STRING, is_hidden STRING, is_updatable STRING, "
        "is_system_defined STRING, is_partitioning_column STRING, clustering_ordinal_position INT64, "
        "collation_name STRING, column_default STRING, rounding_mode STRING",
        _columns,
    ),
    "COLUMN_FIELD_PATHS": make(
        f"{TABLE_KEY}, column_name STRING, field_path STRING, data_type STRING, description STRING, "
        "collation_name STRING, rounding_mode STRING",
        _field_paths,
        Field("policy_tags", "STRING", "REPEATED"),
    ),
    "VIEWS": make(f"{TABLE_KEY}, view_definition STRING, check_option STRING, use_standard_sql STRING", _views),
    "MATERIALIZED_VIEWS": make(
        f"{TABLE_KEY}, last_refresh_time TIMESTAMP, refresh_watermark TIMESTAMP", _materialized_views
    ),
}
