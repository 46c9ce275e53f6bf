"""The GoogleSQL statements of loading and of changing tables."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from destination_bigquery.catalog import EXTRACTED_AT, GENERATION_ID, META, RAW_ID, SEQUENCE, Column, Stream

_CDC_DELETED_AT = "_ab_cdc_deleted_at"

#: Types that have a cast into one another
#: (https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_rules).
_CAST_WITHIN = ({"INT64", "NUMERIC"}, {"INT64", "BOOL"}, {"DATE", "DATETIME", "TIMESTAMP"})

#: The least and greatest value of a key column, or None where a key is NULL or bounds would not help.
Bounds = Mapping[str, tuple[Any, Any] | None]


def quoted(*parts: str) -> str:
    return "`" + ".".join(parts) + "`"


def insert(target: str, stage: str, stream: Stream) -> str:
    """Append the rows of ``stage``."""
    return f"INSERT INTO {target} ({_names(stream.all_columns)})\n{_typed_rows(stage, stream)}"


def replace_table(target: str, stage: str, stream: Stream, *, hard_deletes: bool, resumed: bool) -> str:
    """Put the rows of ``stage`` in the place of the table ``target``, at once.

    Where several attempts have filled the stage, a row may have come in more than one: then the last one's is taken, if
    the source has told the key.
    """
    rows = _typed_rows(stage, stream)
    if stream.deduplicates:
        alive = f"WHERE {quoted(_CDC_DELETED_AT)} IS NULL" if hard_deletes and _is_cdc(stream) else ""
        rows = f"SELECT * EXCEPT ({SEQUENCE}) FROM (\n{_newest(stage, stream)}\n) {alive}"
    elif resumed and stream.identity:
        number = _row_number(stream.identity, [f"{quoted(EXTRACTED_AT)} DESC"])
        rows = _typed_rows(f"(SELECT * FROM {stage} WHERE TRUE QUALIFY {number} = 1)", stream)
    return create_as(target, stream, rows)


def create_as(target: str, stream: Stream, rows: str) -> str:
    columns = ", ".join(
        f"{quoted(column.name)} {column.type}{' NOT NULL' if column.required else ''}" for column in stream.all_columns
    )
    clustering = ", ".join(map(quoted, stream.clustering))
    return (
        f"CREATE OR REPLACE TABLE {target} ({columns})\n"
        f"PARTITION BY TIMESTAMP_TRUNC({quoted(EXTRACTED_AT)}, DAY) CLUSTER BY {clustering}\nAS {rows}"
    )


def merge(target: str, stage: str, stream: Stream, bounds: Bounds, *, hard_deletes: bool) -> str:
    """Bring ``target`` to one row per key: the newest by cursor, then by extraction time, then as received.

    Key columns compare as equal where both are NULL. Where the staged keys' bounds are known the target's rows outside
    them are ruled out, so that BigQuery reads only the blocks they cluster in. With ``hard_deletes``, a change record
    that says when its row was deleted in the source removes the row.
    """
    names = [quoted(column.name) for column in stream.all_columns]
    updates = ", ".join(f"{name} = source.{name}" for name in names)
    newer = _newer(stream)
    deletes = hard_deletes and _is_cdc(stream)
    deleted = f"source.{quoted(_CDC_DELETED_AT)}"
    when_deleted = f"WHEN MATCHED AND {deleted} IS NOT NULL AND {newer} THEN DELETE\n" if deletes else ""
    alive = f" AND {deleted} IS NULL" if deletes else ""
    return f"""MERGE {target} AS target
USING (
{_newest(stage, stream)}
) AS source
ON {" AND ".join(_matching(name, bounds.get(name)) for name in stream.primary_key)}
{when_deleted}WHEN MATCHED AND {newer} THEN UPDATE SET {updates}
WHEN NOT MATCHED{alive} THEN INSERT ({", ".join(names)}) VALUES ({", ".join(f"source.{name}" for name in names)})"""


def _matching(name: str, bounds: tuple[Any, Any] | None) -> str:
    column = quoted(name)
    if bounds is None:
        return f"(target.{column} = source.{column} OR (target.{column} IS NULL AND source.{column} IS NULL))"
    equal = f"target.{column} = source.{column}"
    literals = [literal(bound) for bound in bounds]
    return equal if None in literals else f"{equal} AND target.{column} BETWEEN {literals[0]} AND {literals[1]}"


def literal(value: Any) -> str | None:
    """A constant for SQL; None for a value that is left out rather than written."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return f"NUMERIC '{value}'"
    if isinstance(value, datetime.datetime):
        text = value.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
        return f"TIMESTAMP '{text}+00'" if value.tzinfo else f"DATETIME '{text}'"
    if isinstance(value, datetime.date):
        return f"DATE '{value.isoformat()}'"
    # JSON's escapes are GoogleSQL's too, for printable ASCII.
    return json.dumps(value) if isinstance(value, str) and value.isascii() and value.isprintable() else None


def _newest(stage: str, stream: Stream) -> str:
    """The newest of each key's staged rows."""
    order = [f"{quoted(stream.cursor)} DESC NULLS LAST"] if stream.cursor else []
    order += [f"{quoted(EXTRACTED_AT)} DESC", f"{quoted(SEQUENCE)} DESC"]
    number = _row_number(stream.primary_key, order)
    return _typed_rows(f"(SELECT * FROM {stage} WHERE TRUE QUALIFY {number} = 1)", stream, SEQUENCE)


def _row_number(key: Sequence[str], order: Sequence[str]) -> str:
    return f"ROW_NUMBER() OVER (PARTITION BY {', '.join(map(quoted, key))} ORDER BY {', '.join(order)})"


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


def _is_cdc(stream: Stream) -> bool:
    return any(column.name == _CDC_DELETED_AT for column in stream.columns)


def _typed_rows(rows: str, stream: Stream, *extra: str) -> str:
    """Staged ``rows`` (a table or a subquery) as the final table's: with what all share, and JSON from its text."""
    unchanged = f"""JSON '{{"sync_id":{stream.sync_id},"changes":[]}}'"""
    columns = [
        f"GENERATE_UUID() AS {quoted(RAW_ID)}",
        quoted(EXTRACTED_AT),
        f"IF({quoted(META)} IS NULL, {unchanged}, PARSE_JSON({quoted(META)})) AS {quoted(META)}",
        f"{stream.generation_id} AS {quoted(GENERATION_ID)}",
    ]
    columns += [
        f"PARSE_JSON({quoted(column.name)}, wide_number_mode => 'round') AS {quoted(column.name)}"
        if column.type == "JSON"
        else quoted(column.name)
        for column in stream.columns
    ]
    return f"SELECT {', '.join([*columns, *map(quoted, extra)])} FROM {rows}"


def _names(columns: Sequence[Column]) -> str:
    return ", ".join(quoted(column.name) for column in columns)


def converted(name: str, old: str, new: str) -> str:
    """A column's values in another type; those that it cannot hold become NULL."""
    column = quoted(name)
    if old == new:
        return column
    if new == "JSON":
        # Of NULL it makes JSON's null.
        return f"IF({column} IS NULL, NULL, TO_JSON({column}))"
    if old == "JSON":
        text = f"IF(JSON_TYPE({column}) IN ('object', 'array'), TO_JSON_STRING({column}), JSON_VALUE({column}))"
        return text if new == "STRING" else f"SAFE_CAST(JSON_VALUE({column}) AS {new})"
    if any({old, new} <= kind for kind in _CAST_WITHIN):
        return f"SAFE_CAST({column} AS {new})"
    # By way of text, for not every pair of types has a cast.
    return f"SAFE_CAST(CAST({column} AS STRING) AS {new})"
