"""``table$__PARTITIONS_SUMMARY__``: the partitions of a table as a table
(https://cloud.google.com/bigquery/docs/managing-partitioned-tables#get_partition_metadata_using_meta_tables)."""

from __future__ import annotations

from dataclasses import replace

from bq_emulator.duck import Session, literal
from bq_emulator.metadata import TableRecord, new_etag
from bq_emulator.model import BigQueryError, Field
from bq_emulator.schema import schema_to_rest

DECORATOR = "__PARTITIONS_SUMMARY__"
_SCHEMA = (
    *(Field(name, "STRING") for name in ("project_id", "dataset_id", "table_id", "partition_id")),
    *(Field(name, "INT64") for name in ("creation_time", "last_modified_time")),
)


def summary(db: Session, record: TableRecord) -> TableRecord:
    """A table that can be read as others are.

    Raises:
        BigQueryError: invalid for a table without partitions.
    """
    ref = replace(record.ref, table=f"{record.ref.table}${DECORATOR}")
    if record.partitioning is None or record.physical is None:
        raise BigQueryError(
            "invalid",
            "Cannot read partition information from a table that is not partitioned: "
            f"{ref.project}:{ref.dataset}.{ref.table}",
        )
    name = record.ref
    columns = [literal(text) for text in (name.project, name.dataset, name.table)]
    columns += [f"{record.partitioning.id_expression()}", record.resource["creationTime"]]
    columns += [record.resource["lastModifiedTime"]]
    names = ", ".join(field.name for field in _SCHEMA)
    rows = f"SELECT DISTINCT {', '.join(columns)} FROM {record.physical}"
    physical = f"(SELECT * FROM ({rows}) AS partitions({names}) ORDER BY partition_id)"
    times = {key: record.resource[key] for key in ("creationTime", "lastModifiedTime")}
    resource = {
        **times,
        "etag": new_etag(),
        "schema": schema_to_rest(_SCHEMA),
        "numRows": str(db.scalar(f"SELECT count(*) FROM {physical}")),
    }
    return TableRecord(ref, "TABLE", physical, resource)
