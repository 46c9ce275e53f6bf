"""Tables as a stream needs them: created, or changed to fit its columns without losing a row."""

from __future__ import annotations

import datetime

from google.cloud import bigquery

from destination_bigquery import sql
from destination_bigquery.catalog import EXTRACTED_AT, META_COLUMNS, Column, Stream
from destination_bigquery.convert import SEQUENCE
from destination_bigquery.errors import ConnectorError
from destination_bigquery.warehouse import Warehouse

#: A stage table that a killed process left behind goes by itself.
_STAGE_LIFETIME = datetime.timedelta(days=1)
_TEMPORARY_SUFFIX = "_airbyte_tmp"
#: The names that the API gives some types.
_TYPE_NAMES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}


def create(warehouse: Warehouse, dataset: str, name: str, stream: Stream) -> bigquery.Table:
    """A table for the stream's rows: by day of extraction, clustered by key."""
    table = bigquery.Table(
        f"{warehouse.config.project}.{dataset}.{name}",
        [_field(column.name, column.type, column.required) for column in stream.all_columns],
    )
    table.time_partitioning = bigquery.TimePartitioning(type_=bigquery.TimePartitioningType.DAY, field=EXTRACTED_AT)
    table.clustering_fields = stream.clustering
    return warehouse.create_table(table)


def stage_schema(stream: Stream) -> list[bigquery.SchemaField]:
    """The stage table's columns: the stream's with JSON as text, and the order of arrival."""
    columns = [_field(column.name, "STRING" if column.type == "JSON" else column.type) for column in stream.all_columns]
    return [*columns, _field(SEQUENCE, "INT64")]


def create_stage(warehouse: Warehouse, dataset: str, name: str, stream: Stream) -> None:
    table = bigquery.Table(f"{warehouse.config.project}.{dataset}.{name}", stage_schema(stream))
    table.expires = datetime.datetime.now(datetime.UTC) + _STAGE_LIFETIME
    warehouse.create_table(table)


def fit(warehouse: Warehouse, table: bigquery.Table, stream: Stream, job_prefix: str) -> bigquery.Table:
    """Change ``table`` to the stream's columns and clustering: add, drop, convert. Returns it as it is then.

    Raises:
        ConnectorError: config_error if the table was not made by an Airbyte destination.
    """
    present = {field.name.lower(): field for field in table.schema}
    foreign = [column.name for column in META_COLUMNS if column.name.lower() not in present]
    if foreign:
        raise ConnectorError(
            f"Table {table.dataset_id}.{table.table_id} exists but lacks {', '.join(foreign)}: it was not made by "
            "Airbyte. Rename or drop it, or give the connection a prefix."
        )
    wanted = {column.name.lower(): column for column in stream.all_columns}
    added = [column for name, column in wanted.items() if name not in present]
    dropped = [field.name for name, field in present.items() if name not in wanted]
    changed = [
        (present[name], column)
        for name, column in wanted.items()
        if name in present and _type(present[name]) != column.type
    ]
    clustered = {name.lower() for name in table.clustering_fields or ()}
    if clustered & ({name.lower() for name in dropped} | {column.name.lower() for _, column in changed}):
        # A column that clusters the table can be neither dropped nor renamed.
        table = warehouse.update_clustering(table, [EXTRACTED_AT])
    path = sql.quoted(table.project, table.dataset_id, table.table_id)
    statements = _alterations(path, added, dropped, changed)
    for number, statement in enumerate(statements):
        warehouse.query(statement, f"{job_prefix}_fit_{number}", f"Changing the columns of {path}")
    table = warehouse.client.get_table(table.reference) if statements else table
    if [name.lower() for name in table.clustering_fields or ()] != [name.lower() for name in stream.clustering]:
        table = warehouse.update_clustering(table, stream.clustering)
    return table


def _alterations(
    path: str, added: list[Column], dropped: list[str], changed: list[tuple[bigquery.SchemaField, Column]]
) -> list[str]:
    temporary = {column.name: f"{column.name}{_TEMPORARY_SUFFIX}" for _, column in changed}
    new = [f"ADD COLUMN {sql.quoted(column.name)} {column.type}" for column in added]
    # One that an interrupted change left behind is overwritten; as a column the stream does not have, it is also among
    # those to drop, which must not happen after it was filled.
    stale = [name for name in dropped if name in temporary.values()]
    dropped = [name for name in dropped if name not in stale]
    statements = []
    if stale:
        statements.append(f"ALTER TABLE {path} " + ", ".join(f"DROP COLUMN {sql.quoted(name)}" for name in stale))
    new += [f"ADD COLUMN {sql.quoted(temporary[column.name])} {column.type}" for _, column in changed]
    if new:
        statements.append(f"ALTER TABLE {path} " + ", ".join(new))
    if changed:
        assignments = ", ".join(
            f"{sql.quoted(temporary[column.name])} = {sql.converted(field.name, _type(field), column.type)}"
            for field, column in changed
        )
        statements.append(f"UPDATE {path} SET {assignments} WHERE TRUE")
    dropped = [*dropped, *(field.name for field, _ in changed)]
    if dropped:
        statements.append(f"ALTER TABLE {path} " + ", ".join(f"DROP COLUMN {sql.quoted(name)}" for name in dropped))
    statements += [
        f"ALTER TABLE {path} RENAME COLUMN {sql.quoted(temporary[column.name])} TO {sql.quoted(column.name)}"
        for _, column in changed
    ]
    return statements


def _type(field: bigquery.SchemaField) -> str:
    return _TYPE_NAMES.get(field.field_type, field.field_type)


def _field(name: str, bigquery_type: str, required: bool = False) -> bigquery.SchemaField:
    return bigquery.SchemaField(name, bigquery_type, "REQUIRED" if required else "NULLABLE")
