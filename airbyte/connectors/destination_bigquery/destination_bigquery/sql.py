"""The GoogleSQL statements of loading and of changing tables."""

from __future__ import annotations

from collections.abc import Sequence

from destination_bigquery.catalog import EXTRACTED_AT, Column, Stream
from destination_bigquery.convert import SEQUENCE

_CDC_DELETED_AT = "_ab_cdc_deleted_at"


def quoted(*parts: str) -> str:
    return "`" + ".".join(parts) + "`"


def insert(target: str, stage: str, stream: Stream) -> str:
    """Append the rows of ``stage``."""
    names = _names(stream.all_columns)
    return f"INSERT INTO {target} ({names})\n{_typed_rows(stage, stream)}"


def merge(target: str, stage: str, stream: Stream, *, hard_deletes: bool) -> str:
    """Bring ``target`` to one row per key: the newest by cursor, then by extraction time, then as received.

    Key columns compare as equal where both are NULL. With ``hard_deletes``, a change record that says when its row was
    deleted in the source removes the row.
    """
    order = [f"{quoted(stream.cursor)} DESC NULLS LAST"] if stream.cursor else []
    order += [f"{quoted(EXTRACTED_AT)} DESC", f"{quoted(SEQUENCE)} DESC"]
    key = ", ".join(map(quoted, stream.primary_key))
    match = " AND ".join(
        f"(target.{name} = source.{name} OR (target.{name} IS NULL AND source.{name} IS NULL))"
        for name in map(quoted, stream.primary_key)
    )
    names = [quoted(column.name) for column in stream.all_columns]
    updates = ", ".join(f"{name} = source.{name}" for name in names)
    newer = _newer(stream)
    deletes = hard_deletes and any(column.name == _CDC_DELETED_AT for column in stream.columns)
    deleted = f"source.{quoted(_CDC_DELETED_AT)}"
    when_deleted = f"WHEN MATCHED AND {deleted} IS NOT NULL AND {newer} THEN DELETE\n" if deletes else ""
    alive = f" AND {deleted} IS NULL" if deletes else ""
    return f"""MERGE {target} AS target
USING (
  SELECT * FROM (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY {", ".join(order)}) AS _airbyte_row_number
    FROM ({_typed_rows(stage, stream, SEQUENCE)})
  )
  WHERE _airbyte_row_number = 1
) AS source
ON {match}
{when_deleted}WHEN MATCHED AND {newer} THEN UPDATE SET {updates}
WHEN NOT MATCHED{alive} THEN INSERT ({", ".join(names)}) VALUES ({", ".join(f"source.{name}" for name in names)})"""


def _newer(stream: Stream) -> str:
    """Whether the source's row is at least as new; a row with a cursor is newer than one without."""
    later = f"target.{quoted(EXTRACTED_AT)} <= source.{quoted(EXTRACTED_AT)}"
    if not stream.cursor:
        return f"({later})"
    old, new = (f"{side}.{quoted(stream.cursor)}" for side in ("target", "source"))
    return (
        f"({old} < {new} OR (({old} = {new} OR ({old} IS NULL AND {new} IS NULL)) AND {later}) "
        f"OR ({old} IS NULL AND {new} IS NOT NULL))"
    )


def _typed_rows(stage: str, stream: Stream, *extra: str) -> str:
    """The stage table's rows, JSON parsed from its text."""
    columns = [
        f"PARSE_JSON({quoted(column.name)}, wide_number_mode => 'round') AS {quoted(column.name)}"
        if column.type == "JSON"
        else quoted(column.name)
        for column in stream.all_columns
    ]
    return f"SELECT {', '.join([*columns, *map(quoted, extra)])} FROM {stage}"


def _names(columns: Sequence[Column]) -> str:
    return ", ".join(quoted(column.name) for column in columns)


def converted(name: str, old: str, new: str) -> str:
    """A column's values in another type; those that it cannot hold become NULL."""
    column = quoted(name)
    if new == "JSON":
        return f"TO_JSON({column})"
    if old == "JSON":
        text = f"IF(JSON_TYPE({column}) = 'string', JSON_VALUE({column}), TO_JSON_STRING({column}))"
        return text if new == "STRING" else f"SAFE_CAST(JSON_VALUE({column}) AS {new})"
    if {old, new} <= {"INT64", "NUMERIC"}:
        return f"SAFE_CAST({column} AS {new})"
    # By way of text, for not every pair of types has a cast.
    return f"SAFE_CAST(CAST({column} AS STRING) AS {new})"
