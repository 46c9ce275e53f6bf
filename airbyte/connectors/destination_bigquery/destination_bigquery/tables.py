"""Tables as a stream needs them: created, or changed to fit its columns and layout without losing a row."""

from __future__ import annotations

import time
from typing import Any

from destination_bigquery import names, sql
from destination_bigquery.catalog import EXTRACTED_AT, META, META_COLUMNS, SEQUENCE, Stream
from destination_bigquery.errors import ConnectorError
from destination_bigquery.warehouse import Field, Resource, Warehouse

#: The names that the API gives some types.
_TYPE_NAMES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}


def create(warehouse: Warehouse, dataset: str, name: str, stream: Stream) -> Resource:
    """A table for the stream's rows: by day of extraction, clustered by key."""
    fields = [_field(column.name, column.type, required=column.required) for column in stream.all_columns]
    return warehouse.create_table(
        dataset,
        name,
        fields,
        timePartitioning={"type": "DAY", "field": EXTRACTED_AT},
        clustering={"fields": stream.clustering},
    )


def create_stage(warehouse: Warehouse, dataset: str, name: str, stream: Stream, lifetime_hours: int) -> Resource:
    """A stage table, which goes by itself after ``lifetime_hours`` if a killed process leaves it behind.

    One that an earlier attempt has made gets the columns that the stream has got since.

    Raises:
        ConnectorError: config_error if it exists with columns of other types: the stream was changed between attempts.
    """
    fields = [_field(EXTRACTED_AT, "TIMESTAMP"), _field(META, "STRING")]
    fields += [
        _field(column.name, "STRING" if column.type == "JSON" else column.type, description=column.type)
        for column in stream.columns
    ]
    if stream.deduplicates:
        fields.append(_field(SEQUENCE, "INT64"))
    expiry = int((time.time() + lifetime_hours * 3600) * 1000)
    table = warehouse.create_table(dataset, name, fields, expirationTime=str(expiry))
    found = {field["name"].lower(): field for field in table["schema"]["fields"]}
    added = [field for field in fields if field["name"].lower() not in found]
    for field in fields:
        present = found.get(field["name"].lower(), field)
        if present.get("description") != field.get("description") or _type(present) != field["type"]:
            raise ConnectorError(
                f"Column {field['name']!r} of stream {stream} changed its type while the stream was being replaced by "
                "a sync that failed; refresh the stream, so that it is read from the start."
            )
    return warehouse.add_columns(table, added) if added else table


def refuse_view(table: Resource) -> None:
    """
    Raises:
        ConnectorError: config_error if it is a view, an external table or the like, which nothing can be written to.
    """
    if (kind := table.get("type", "TABLE")) != "TABLE":
        name = "{datasetId}.{tableId}".format_map(table["tableReference"])
        raise ConnectorError(
            f"{name} exists and is no table but of type {kind}: rename or drop it, or give the connection a prefix."
        )


def fit(warehouse: Warehouse, table: Resource, stream: Stream, job_prefix: str) -> Resource:
    """Change ``table`` to the stream's columns, types, partitioning and clustering. Returns it as it is then.

    Columns are added and dropped in place; types and layout by writing the table anew.

    Raises:
        ConnectorError: config_error if the table was not made by an Airbyte destination.
    """
    dataset, name = table["tableReference"]["datasetId"], table["tableReference"]["tableId"]
    path = sql.quoted(warehouse.config.project, dataset, name)
    present = {field["name"].lower(): field for field in table["schema"].get("fields", ())}
    foreign = [column.name for column in META_COLUMNS if column.name not in present]
    if foreign:
        raise ConnectorError(
            f"Table {dataset}.{name} exists but lacks {', '.join(foreign)}: it was not made by Airbyte. Rename or drop "
            "it, or give the connection a prefix."
        )
    wanted = {column.name.lower(): column for column in stream.all_columns}
    types_differ = any(_type(present[key]) != wanted[key].type for key in wanted.keys() & present.keys())
    same_layout = laid_out(table, stream)
    if types_differ or not same_layout:
        values = [
            f"{sql.converted(column.name, _type(present[key]), column.type)} AS {sql.quoted(column.name)}"
            if key in present
            else f"CAST(NULL AS {column.type}) AS {sql.quoted(column.name)}"
            for key, column in wanted.items()
        ]
        rows = f"SELECT {', '.join(values)} FROM {path}"
        if same_layout:
            statement = sql.create_as(path, stream, rows)
            warehouse.query(statement, f"{job_prefix}_fit", f"Changing the columns of {path}")
        else:
            rebuilt = rebuilding(warehouse, (dataset, name))
            statement = sql.create_as(sql.quoted(warehouse.config.project, *rebuilt), stream, rows)
            warehouse.query(statement, f"{job_prefix}_rebuild", f"Partitioning and clustering {path} anew")
            take_place(warehouse, rebuilt, (dataset, name), f"{job_prefix}_place")
    else:
        changes = [
            f"ADD COLUMN {sql.quoted(column.name)} {column.type}"
            for key, column in wanted.items()
            if key not in present
        ]
        changes += [f"DROP COLUMN {sql.quoted(field['name'])}" for key, field in present.items() if key not in wanted]
        if not changes:
            return table
        warehouse.query(
            f"ALTER TABLE {path} {', '.join(changes)}", f"{job_prefix}_fit", f"Changing the columns of {path}"
        )
    changed = warehouse.get_table(dataset, name)
    if changed is None:
        raise ConnectorError(f"Table {dataset}.{name} was dropped by somebody else meanwhile.", "transient_error")
    return changed


def laid_out(table: Resource, stream: Stream) -> bool:
    """Whether the table is partitioned and clustered as the stream's are."""
    partitioning = table.get("timePartitioning") or {}
    clustering = (table.get("clustering") or {}).get("fields") or []
    return (partitioning.get("type"), partitioning.get("field")) == ("DAY", EXTRACTED_AT) and [
        field.lower() for field in clustering
    ] == [field.lower() for field in stream.clustering]


def rebuilding(warehouse: Warehouse, target: tuple[str, str]) -> tuple[str, str]:
    """Where a table of another layout is made. Found there while the target is missing, it is to become the target:
    somebody was interrupted between dropping and copying."""
    return warehouse.config.internal_dataset, f"{names.working_table(*target)}_rebuilt"


def take_place(warehouse: Warehouse, source: tuple[str, str], target: tuple[str, str], job_id: str) -> None:
    """Move a table over one of another layout, which BigQuery does not replace at once."""
    warehouse.drop_table(*target)
    warehouse.copy(source, target, job_id)
    warehouse.drop_table(*source)


def _type(field: dict[str, Any]) -> str:
    return _TYPE_NAMES.get(field["type"], field["type"])


def _field(name: str, bigquery_type: str, *, required: bool = False, description: str | None = None) -> Field:
    field = {"name": name, "type": bigquery_type, "mode": "REQUIRED" if required else "NULLABLE"}
    return {**field, "description": description} if description else field
