"""PARTITIONS, TABLE_STORAGE and ``__TABLES__``: how many rows and bytes there are."""

from __future__ import annotations

from collections.abc import Iterator

from bq_emulator.duck import Session
from bq_emulator.information_schema.source import TABLE_KEY, Row, Source, table_key, time, view
from bq_emulator.metadata import TableRecord
from bq_emulator.sizes import ROWS
from bq_emulator.tables import STORED_KINDS, Tables


def _measured(db: Session, engine: Tables, table: TableRecord) -> list[tuple[str | None, int, int]]:
    """(Partition id, rows, logical bytes); a table without partitions has one, None, even if it is empty."""
    measured = engine.sizes.measure(db, table, [field.name for field in table.schema])
    if not measured and table.partitioning is None:
        return [(None, 0, 0)]
    found = [(partition, values[ROWS], sum(values.values()) - values[ROWS]) for partition, values in measured.items()]
    return sorted(found, key=lambda each: each[0] or "")


def _partitions(source: Source) -> Iterator[Row]:
    for table in source.tables():
        if table.kind not in STORED_KINDS:
            continue
        for partition, rows, size in _measured(source.db, source.engine, table):
            yield {
                **table_key(table),
                "partition_id": partition,
                "total_rows": rows,
                "total_logical_bytes": size,
                "last_modified_time": time(table.resource["lastModifiedTime"]),
                "storage_tier": "ACTIVE",
            }


def _table_storage(source: Source) -> Iterator[Row]:
    for table in source.tables():
        if table.kind not in STORED_KINDS:
            continue
        found = _measured(source.db, source.engine, table)
        size = sum(size for _, _, size in found)
        yield {
            "project_id": source.project,
            **table_key(table),
            "creation_time": time(table.resource["creationTime"]),
            "total_rows": sum(rows for _, rows, _ in found),
            "total_partitions": len(found) if table.partitioning else 0,
            "total_logical_bytes": size,
            "active_logical_bytes": size,
            "long_term_logical_bytes": 0,
            "storage_last_modified_time": time(table.resource["lastModifiedTime"]),
            "deleted": False,
            "table_type": "BASE TABLE" if table.kind == "TABLE" else table.kind,
        }


def _dunder_tables(source: Source) -> Iterator[Row]:
    for table in source.tables():
        yield {
            "project_id": source.project,
            "dataset_id": table.ref.dataset,
            "table_id": table.ref.table,
            "creation_time": int(table.resource["creationTime"]),
            "last_modified_time": int(table.resource["lastModifiedTime"]),
            "row_count": int(table.resource.get("numRows", 0)),
            "size_bytes": source.engine.sizes.total(source.db, table),
            "type": {"TABLE": 1, "VIEW": 2, "MATERIALIZED_VIEW": 4, "SNAPSHOT": 5}[table.kind],
        }


VIEWS = {
    "PARTITIONS": view(
        f"{TABLE_KEY}, partition_id STRING, total_rows INT64, total_logical_bytes INT64, "
        "last_modified_time TIMESTAMP, storage_tier STRING",
        _partitions,
    ),
    "TABLE_STORAGE": view(
        f"project_id STRING, {TABLE_KEY}, creation_time TIMESTAMP, total_rows INT64, total_partitions INT64, "
        "total_logical_bytes INT64, active_logical_bytes INT64, long_term_logical_bytes INT64, "
        "storage_last_modified_time TIMESTAMP, deleted BOOL, table_type STRING",
        _table_storage,
    ),
    "__TABLES__": view(
        "project_id STRING, dataset_id STRING, table_id STRING, creation_time INT64, last_modified_time INT64, "
        "row_count INT64, size_bytes INT64, type INT64",
        _dunder_tables,
    ),
}
