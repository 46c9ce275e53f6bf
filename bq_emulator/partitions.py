"""Partitions: which rows belong to which, by the ids that decorators (``table$20240101``) and INFORMATION_SCHEMA use.

https://cloud.google.com/bigquery/docs/partitioned-tables
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bq_emulator.duck import identifier
from bq_emulator.model import BigQueryError, Field
from bq_emulator.schema import Schema, find
from bq_emulator.sql.functions import zones

#: The pseudo column of tables partitioned by ingestion time; their store has it as a column of this name.
PARTITION_TIME = Field("_PARTITIONTIME", "TIMESTAMP")
PARTITION_DATE = Field("_PARTITIONDATE", "DATE")
#: DuckDB text of the pseudo columns.
PSEUDO_COLUMNS = (
    (PARTITION_TIME, identifier(PARTITION_TIME.name)),
    (PARTITION_DATE, f"CAST({identifier(PARTITION_TIME.name)} AS DATE)"),
)

NULL_PARTITION = "__NULL__"
UNPARTITIONED = "__UNPARTITIONED__"
_FORMATS = {"HOUR": "%Y%m%d%H", "DAY": "%Y%m%d", "MONTH": "%Y%m", "YEAR": "%Y"}
_LENGTHS = {"HOUR": 10, "DAY": 8, "MONTH": 6, "YEAR": 4}
_LEAST, _GREATEST = "(-9223372036854775807 - 1)", "9223372036854775807"
_TYPES = {"DATE": "DATE", "DATETIME": "TIMESTAMP", "TIMESTAMP": "TIMESTAMPTZ"}


def split_decorator(table: str) -> tuple[str, str | None]:
    """``t$20240101`` → (``t``, ``20240101``).

    Raises:
        BigQueryError: invalid for an empty part, notImplemented for a snapshot decorator (``t@…``).
    """
    if "@" in table:
        raise BigQueryError("notImplemented", f"Snapshot decorators are not supported by this emulator: {table}")
    name, mark, partition = table.partition("$")
    if mark and not (name and partition):
        raise BigQueryError("invalid", f"Invalid table ID {table!r}: a partition decorator is table$partition.")
    return name, partition or None


def by_ingestion_time(resource: dict[str, Any]) -> bool:
    """Whether a Table resource is partitioned by the time of its rows' arrival."""
    return "timePartitioning" in resource and not resource["timePartitioning"].get("field")


@dataclass(frozen=True)
class Partitioning:
    """``column`` is stored with type ``type``. A time partitioning has a ``granularity``; a range partitioning has
    ``bounds``: start, end (exclusive), interval."""

    column: str
    type: str
    granularity: str = ""
    bounds: tuple[int, int, int] = (0, 0, 1)
    expiration_ms: int | None = None

    @classmethod
    def of(cls, resource: dict[str, Any], schema: Schema) -> Partitioning | None:
        """The partitioning of a Table resource, None for an unpartitioned table."""
        if time := resource.get("timePartitioning"):
            granularity = time.get("type") or "DAY"
            expiration = int(time["expirationMs"]) if time.get("expirationMs") else None
            if not time.get("field"):
                return cls(PARTITION_TIME.name, PARTITION_TIME.type, granularity, expiration_ms=expiration)
            field = find(schema, time["field"])
            return cls(field.name, field.type, granularity, expiration_ms=expiration) if field else None
        if ranges := resource.get("rangePartitioning"):
            field = find(schema, ranges["field"])
            start, end, interval = (int(ranges["range"][key]) for key in ("start", "end", "interval"))
            return cls(field.name, "INT64", bounds=(start, end, interval)) if field else None
        return None

    @property
    def text(self) -> str:
        """DuckDB text of the column."""
        return identifier(self.column)

    def id_expression(self) -> str:
        """DuckDB text for the id of a row's partition."""
        if self.granularity:
            return f"coalesce(strftime({self._clock}, '{_FORMATS[self.granularity]}'), '{NULL_PARTITION}')"
        start, end, interval = self.bounds
        return (
            f"CASE WHEN {self.text} IS NULL THEN '{NULL_PARTITION}' "
            f"WHEN {self.text} < {start} OR {self.text} >= {end} THEN '{UNPARTITIONED}' "
            f"ELSE CAST({self.text} - ({self.text} - {start}) % {interval} AS VARCHAR) END"
        )

    def key_expression(self) -> str:
        """DuckDB text of a value that all rows of a partition share and that belongs to that partition itself."""
        if not self.granularity:
            start, end, interval = self.bounds
            inside = f"{self.text} - ({self.text} - {start}) % {interval}"
            return f"CASE WHEN {self.text} < {start} OR {self.text} >= {end} THEN {end} ELSE {inside} END"
        if self.is_exact:
            return self.text
        return f"date_trunc('{self.granularity.lower()}', {self._clock})"

    @property
    def _clock(self) -> str:
        """DuckDB text of the column as a date or wall clock: DuckDB truncates an instant in ten times as long."""
        return zones.local(self.text, "'UTC'") if self.type == "TIMESTAMP" else self.text

    @property
    def is_exact(self) -> bool:
        """Whether all rows of a partition share one value of the column."""
        return self.column == PARTITION_TIME.name or (self.type, self.granularity) == ("DATE", "DAY")

    def bounds_query(self) -> str:
        """DuckDB text of a query from partitions' ids (its parameter) to ``id``, and the least and greatest value of
        the column in it, ``"@low"`` and ``"@high"``; NULL for rows without a value, twice for those out of range."""
        ids = "SELECT unnest(?::VARCHAR[]) AS id"
        if not self.granularity:
            first, end, interval = self.bounds
            return (
                f"WITH ids AS ({ids}), starts AS (SELECT id, TRY_CAST(id AS BIGINT) AS start FROM ids) "
                f'SELECT id, start AS "@low", least(start + {interval}, {end}) - 1 AS "@high" '
                f"FROM starts WHERE id <> '{UNPARTITIONED}' "
                f"UNION ALL SELECT id, {_LEAST}, {first - 1} FROM ids WHERE id = '{UNPARTITIONED}' "
                f"UNION ALL SELECT id, {end}, {_GREATEST} FROM ids WHERE id = '{UNPARTITIONED}'"
            )
        kind = _TYPES[self.type]
        start = f"CASE WHEN id <> '{NULL_PARTITION}' THEN strptime(id, '{_FORMATS[self.granularity]}') END"
        following = f"start + INTERVAL 1 {self.granularity} - INTERVAL 1 {'DAY' if kind == 'DATE' else 'MICROSECOND'}"
        last = "start" if self.is_exact else following
        starts = f"SELECT id, {start} AS start FROM ({ids})"
        return f'SELECT id, start::{kind} AS "@low", ({last})::{kind} AS "@high" FROM ({starts})'

    def condition(self, partition: str) -> str:
        """DuckDB text that is true for the rows of ``partition``.

        Raises:
            BigQueryError: invalid for an id that no partition of the table can have.
        """
        if partition == NULL_PARTITION:
            return f"{self.text} IS NULL"
        if self.granularity:
            if partition == UNPARTITIONED:
                return "false"  # rows of the streaming buffer; here they go to their partition at once
            start = self.start(partition)
            return f"({self.text} >= {self._literal(start)} AND {self.text} < {self._literal(self._next(start))})"
        first, end, interval = self.bounds
        if partition == UNPARTITIONED:
            return f"({self.text} < {first} OR {self.text} >= {end})"
        try:
            number = int(partition)
        except ValueError:
            raise self._invalid(partition) from None
        if not first <= number < end or (number - first) % interval:
            raise self._invalid(partition)
        return f"({self.text} >= {number} AND {self.text} < {min(number + interval, end)})"

    def start(self, partition: str) -> datetime:
        """The first moment of a time partition, in UTC.

        Raises:
            BigQueryError: invalid for an id of another form than the partitioning's.
        """
        try:
            if len(partition) != _LENGTHS[self.granularity]:
                raise ValueError(partition)
            return datetime.strptime(partition, _FORMATS[self.granularity]).replace(tzinfo=UTC)
        except ValueError:
            raise self._invalid(partition) from None

    def partition_time(self, partition: str) -> str:
        """DuckDB text of the ``_PARTITIONTIME`` of a partition."""
        return f"NULL::{_TYPES[self.type]}" if partition == NULL_PARTITION else self._literal(self.start(partition))

    def current_time(self) -> str:
        """DuckDB text of the ``_PARTITIONTIME`` of a row that arrives now."""
        return f"date_trunc('{self.granularity.lower()}', current_timestamp)"

    def expired(self, now_ms: int) -> str | None:
        """DuckDB text that is true for rows whose partition has expired; None where none can."""
        if self.expiration_ms is None or not self.granularity:
            return None
        # A partition expires that long after its start: so have all up to the one the limit falls into.
        limit = datetime.fromtimestamp((now_ms - self.expiration_ms) / 1000, UTC)
        current = self.start(limit.strftime(_FORMATS[self.granularity]))
        return f"{self.text} < {self._literal(self._next(current))}"

    def _literal(self, moment: datetime) -> str:
        zone = "+00" if self.type == "TIMESTAMP" else ""
        return f"'{moment.replace(tzinfo=None).isoformat(' ')}{zone}'::{_TYPES[self.type]}"

    def _next(self, start: datetime) -> datetime:
        if self.granularity == "YEAR":
            return start.replace(year=start.year + 1)
        if self.granularity == "MONTH":
            return start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
        hours = 1 if self.granularity == "HOUR" else 24
        return datetime.fromtimestamp(start.timestamp() + hours * 3600, UTC)

    def _invalid(self, partition: str) -> BigQueryError:
        kind = f"{self.granularity} partitioning" if self.granularity else f"ranges {self.bounds}"
        return BigQueryError("invalid", f"Invalid partition ID {partition!r} for a table with {kind} on {self.column}.")
