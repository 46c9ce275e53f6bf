"""CREATE TABLE … CLONE, COPY and LIKE, and CREATE SNAPSHOT TABLE.

A clone and a snapshot share the base's storage on Google; here they are copies, which behave the same.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bq_emulator.duck import Session, identifier
from bq_emulator.metadata import TableRecord, display
from bq_emulator.model import BigQueryError, CopyTable
from bq_emulator.options import apply_table_options
from bq_emulator.tables import STORED_KINDS, Tables

_LAYOUT = ("timePartitioning", "rangePartitioning", "clustering", "requirePartitionFilter", "tableConstraints")
_DESCRIPTIVE = ("description", "friendlyName", "labels")


def copy(db: Session, tables: Tables, statement: CopyTable) -> TableRecord:
    """Make the target.

    Raises:
        BigQueryError: notFound for the source, invalidQuery for one that cannot be copied so, duplicate for the target.
    """
    source = tables.metadata.table(db, statement.source.dataset, statement.source.table)
    if source.kind not in STORED_KINDS:
        raise BigQueryError(
            "invalidQuery", f"Cannot {statement.mode.lower()} {source}: it is a {source.kind}, not a table.", "query"
        )
    if statement.mode == "SNAPSHOT" and source.kind == "SNAPSHOT":
        raise BigQueryError("invalidQuery", f"Cannot create a snapshot of the snapshot {source}.", "query")
    resource: dict[str, Any] = {key: source.resource[key] for key in _LAYOUT if key in source.resource}
    if statement.mode != "LIKE":
        resource |= {key: source.resource[key] for key in _DESCRIPTIVE if key in source.resource}
    base = {
        "projectId": source.ref.project,
        "datasetId": source.ref.dataset,
        "tableId": source.ref.table,
    }
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    if statement.mode == "CLONE":
        resource["cloneDefinition"] = {"baseTableReference": base, "cloneTime": now}
    if statement.mode == "SNAPSHOT":
        resource["snapshotDefinition"] = {"baseTableReference": base, "snapshotTime": now}
    apply_table_options(resource, statement.options)
    kind = "SNAPSHOT" if statement.mode == "SNAPSHOT" else "TABLE"
    if statement.or_replace and kind == "SNAPSHOT":
        raise BigQueryError(
            "invalidQuery", f"CREATE OR REPLACE SNAPSHOT TABLE is not allowed: {display(statement.target)}"
        )
    make = tables.replace if statement.or_replace else tables.create
    record = make(db, statement.target, source.schema, resource, kind)
    if statement.mode != "LIKE" and source.physical:
        columns = ", ".join(identifier(field.name) for field in source.stored_schema)
        tables.insert(db, record, source.stored_schema, f"SELECT {columns} FROM {source.physical}")
    return record
