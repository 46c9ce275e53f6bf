"""The configured catalog: which streams come, how they are written, and as which columns."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from destination_bigquery import names
from destination_bigquery.errors import ConnectorError

RAW_ID = "_airbyte_raw_id"
EXTRACTED_AT = "_airbyte_extracted_at"
META = "_airbyte_meta"
GENERATION_ID = "_airbyte_generation_id"
#: Orders the rows of one process; in the stage tables of deduplicated streams only.
SEQUENCE = "_airbyte_sequence"


@dataclass(frozen=True)
class Column:
    """A column: the record's ``field``, its ``name`` and type in BigQuery."""

    field: str
    name: str
    type: str
    required: bool = False


#: The columns every table starts with.
META_COLUMNS = (
    Column("", RAW_ID, "STRING", required=True),
    Column("", EXTRACTED_AT, "TIMESTAMP", required=True),
    Column("", META, "JSON", required=True),
    Column("", GENERATION_ID, "INT64"),
)


@dataclass(frozen=True)
class Stream:
    """One stream of the catalog, resolved to a table.

    ``columns`` are the record's, in schema order. ``primary_key`` is empty unless rows are deduplicated; ``cursor`` is
    then what orders a key's rows. ``identity`` is the key that the source has told, whatever the mode. A stream
    ``truncates`` when its older generations go once the new one is complete.
    """

    name: str
    namespace: str | None
    dataset: str
    table: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    cursor: str | None
    identity: tuple[str, ...]
    generation_id: int
    truncates: bool
    sync_id: int
    resumable: bool

    @property
    def all_columns(self) -> tuple[Column, ...]:
        return META_COLUMNS + self.columns

    @property
    def deduplicates(self) -> bool:
        return bool(self.primary_key)

    @property
    def clustering(self) -> list[str]:
        """At most four columns may cluster a table, none of them of type TIME
        (https://cloud.google.com/bigquery/docs/clustered-tables): the key's first three and the extraction time."""
        times = {column.name for column in self.columns if column.type == "TIME"}
        return [*[name for name in self.primary_key if name not in times][:3], EXTRACTED_AT]

    def __str__(self) -> str:
        return f"{self.namespace}.{self.name}" if self.namespace else self.name


def parse(raw: dict[str, Any], default_dataset: str) -> list[Stream]:
    """The streams of a configured catalog.

    Raises:
        ConnectorError: config_error for a mode, key or generation that cannot be honoured, or two streams that would
            share a table.
    """
    try:
        streams = [_stream(configured, default_dataset) for configured in raw.get("streams", [])]
    except KeyError as missing:
        raise ConnectorError(f"A stream of the configured catalog lacks {missing}.") from missing
    tables = Counter((stream.dataset, stream.table.lower()) for stream in streams)
    for (dataset, table), count in tables.items():
        if count > 1:
            clashing = [str(stream) for stream in streams if (stream.dataset, stream.table.lower()) == (dataset, table)]
            raise ConnectorError(
                f"Streams {', '.join(clashing)} would all be written to table {dataset}.{table}; "
                "give the connection a prefix or another namespace format."
            )
    return streams


def _stream(configured: dict[str, Any], default_dataset: str) -> Stream:
    stream = configured["stream"]
    name, namespace = stream["name"], stream.get("namespace") or None
    mode = configured.get("destination_sync_mode")
    if mode not in ("append", "overwrite", "append_dedup"):
        raise ConnectorError(f"Stream {name!r}: destination_sync_mode {mode!r} is not supported by BigQuery.")
    generation, minimum, sync = (configured.get(key) for key in ("generation_id", "minimum_generation_id", "sync_id"))
    if generation is None or minimum is None or sync is None:
        raise ConnectorError(
            f"Stream {name!r}: the catalog lacks generation_id, minimum_generation_id or sync_id; "
            "the platform that runs this connector is too old."
        )
    if minimum not in (0, generation):
        raise ConnectorError(
            f"Stream {name!r}: minimum_generation_id {minimum} is neither 0 nor generation_id {generation}; "
            "hybrid refreshes are not supported."
        )
    properties = (stream.get("json_schema") or {}).get("properties") or {}
    column_names = names.columns(properties, reserved=[*(column.name for column in META_COLUMNS), SEQUENCE])
    columns = tuple(Column(field, column_names[field], bigquery_type(schema)) for field, schema in properties.items())
    by_field = {column.field: column for column in columns}
    key: tuple[str, ...] = ()
    cursor = None
    if mode == "append_dedup":
        key = tuple(_column(name, "primary key", path, by_field).name for path in configured.get("primary_key") or [])
        if not key:
            raise ConnectorError(f"Stream {name!r} is deduplicated but has no primary key; choose one.")
        if path := configured.get("cursor_field"):
            cursor = _column(name, "cursor", path, by_field).name
    identity = [by_field.get(path[0]) for path in stream.get("source_defined_primary_key") or [] if len(path) == 1]
    comparable = [column.name for column in identity if column is not None and column.type != "JSON"]
    return Stream(
        name,
        namespace,
        names.dataset(namespace or default_dataset),
        names.identifier(name),
        columns,
        key,
        cursor,
        tuple(comparable) if len(comparable) == len(identity) else (),
        generation,
        minimum > 0,
        sync,
        # A source goes on from the state of an incremental stream, whatever it says of full refreshes.
        stream.get("is_resumable") is True or configured.get("sync_mode") == "incremental",
    )


def _column(stream: str, role: str, path: list[str], by_field: dict[str, Column]) -> Column:
    column = by_field.get(path[0]) if len(path) == 1 else None
    if column is None:
        raise ConnectorError(f"Stream {stream!r}: {role} {'.'.join(path)!r} is not one of its columns; choose another.")
    if column.type == "JSON":
        raise ConnectorError(
            f"Stream {stream!r}: {role} {column.field!r} is of type JSON, which cannot be compared; choose another."
        )
    return column


def bigquery_type(schema: Any) -> str:
    """The column type for a property's JSON schema.

    https://docs.airbyte.com/platform/understanding-airbyte/supported-data-types
    """
    if not isinstance(schema, dict):
        return "JSON"
    given = schema.get("type")
    if given is None:
        # What may be null besides is no union.
        options = schema.get("oneOf") or schema.get("anyOf") or schema.get("allOf") or ()
        types = {bigquery_type(option) for option in options if option != {"type": "null"}}
        return types.pop() if len(types) == 1 else "JSON"
    kinds = set(given if isinstance(given, list) else [given]) - {"null"}
    airbyte_type = schema.get("airbyte_type")
    if len(kinds) != 1:
        # A union takes the widest of its scalar types.
        scalars = ("string", "number", "integer", "boolean")
        widest = next((kind for kind in scalars if kind in kinds), None) if kinds <= set(scalars) else None
        return bigquery_type({"type": widest}) if widest else "JSON"
    kind = kinds.pop()
    if kind == "string":
        return _string_type(schema.get("format"), airbyte_type)
    if kind == "integer" or (kind == "number" and airbyte_type == "integer"):
        return "INT64"
    return {"number": "NUMERIC", "boolean": "BOOL"}.get(str(kind), "JSON")


def _string_type(form: str | None, airbyte_type: str | None) -> str:
    if form == "date":
        return "DATE"
    if form == "date-time":
        return "DATETIME" if airbyte_type == "timestamp_without_timezone" else "TIMESTAMP"
    if form == "time":
        return "TIME" if airbyte_type == "time_without_timezone" else "STRING"
    return "STRING"
