"""How many bytes a statement will process: of the columns it reads, in the partitions its conditions leave.

https://cloud.google.com/bigquery/docs/estimate-costs: a column of a table counts once, however often it is read;
UPDATE, DELETE and MERGE count all columns of the partitions they change, which only running them tells; before, it is
all they may change.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from bq_emulator.duck import Session
from bq_emulator.metadata import TableRecord
from bq_emulator.model import BigQueryError, Scan, TableRef
from bq_emulator.partitions import Partitioning
from bq_emulator.sizes import Measured
from bq_emulator.tables import STORED_KINDS, Tables

_MIB = 1 << 20
#: What every table read costs at least (https://cloud.google.com/bigquery/pricing).
_LEAST_BILLED = 10 * _MIB


@dataclass(frozen=True)
class _Read:
    """Of one table: its sizes, the columns that are referred to in each partition, and the partitions in which rows are
    changed, so that ``everything`` in them counts."""

    measured: Measured
    columns: dict[str | None, set[str]]
    changed: frozenset[str | None]
    everything: frozenset[str]

    @property
    def size(self) -> int:
        partitions = self.columns.keys() | self.changed
        wanted = {each: self.everything if each in self.changed else self.columns[each] for each in partitions}
        return sum(_bytes(self.measured[each], names) for each, names in wanted.items())


@dataclass(frozen=True)
class Scanned:
    """What a statement processes. ``exact``: no partition or block can turn out to be skipped."""

    reads: tuple[_Read, ...] = ()
    exact: bool = True

    @property
    def processed(self) -> int:
        """Bytes."""
        return sum(read.size for read in self.reads)

    @property
    def billed(self) -> int:
        """Bytes, rounded as Google's prices are."""
        return sum(max(_LEAST_BILLED, -(-read.size // _MIB) * _MIB) for read in self.reads if read.size)

    @property
    def partitions(self) -> int:
        return sum(len(read.columns) for read in self.reads)

    def narrowed(self, changed: Collection[str | None]) -> Scanned:
        """This, now that it is known in which partitions rows were changed."""
        return replace(self, reads=tuple(replace(read, changed=read.changed & set(changed)) for read in self.reads))


def check_filters(scans: Sequence[Scan]) -> None:
    """Raises BigQueryError for a table that requires a partition filter and is read without one."""
    for scan in scans:
        if scan.unfiltered:
            columns = ", ".join(f"'{name}'" for name in scan.unfiltered)
            raise BigQueryError(
                "invalidQuery",
                f"Cannot query over table '{scan.ref}' without a filter over column(s) {columns} that can be used for "
                "partition elimination",
                "query",
            )


def scanned(db: Session, tables: Tables, scans: Sequence[Scan]) -> Scanned:
    """What carrying out a statement with these ``scans`` processes, seen from the session's transaction."""
    by_table: dict[TableRef, list[Scan]] = defaultdict(list)
    for scan in scans:
        if scan.ref.project == tables.metadata.project:
            by_table[scan.ref].append(scan)
    tables.metadata.find_tables(db, by_table)  # at once instead of one after another
    reads = []
    exact = True
    for ref, mentions in by_table.items():
        record = tables.metadata.find_table(db, ref.dataset, ref.table)
        if record is None or record.kind not in STORED_KINDS:
            continue
        if (read := _of_table(db, tables, record, mentions)) is not None:
            reads.append(read)
        exact = exact and not record.resource.get("clustering") and not any(scan.rewrites for scan in mentions)
    return Scanned(tuple(reads), exact)


def _of_table(db: Session, tables: Tables, record: TableRecord, scans: Sequence[Scan]) -> _Read | None:
    everything = frozenset(field.name for field in record.schema)
    wanted = frozenset[str]().union(*(everything if scan.rewrites else scan.columns for scan in scans))
    if not wanted:
        return None
    measured = tables.sizes.measure(db, record, wanted)
    columns: dict[str | None, set[str]] = defaultdict(set)
    changed: set[str | None] = set()
    for scan in scans:
        left = _left(db, record.partitioning, measured, scan.conditions)
        for partition in left:
            columns[partition] |= scan.columns
        changed.update(left if scan.rewrites else ())
    return _Read(measured, columns, frozenset(changed), everything)


def _bytes(sizes: dict[str, int], names: Collection[str]) -> int:
    """A field of a STRUCT that is read whole anyway counts no more."""

    def is_covered(name: str) -> bool:
        parts = name.split(".")
        return any(".".join(parts[:length]) in names for length in range(1, len(parts)))

    return sum(sizes[name] for name in names if not is_covered(name))


def _left(
    db: Session, partitioning: Partitioning | None, measured: Measured, conditions: Sequence[str]
) -> list[str | None]:
    """The partitions that can hold rows which meet the conditions."""
    if not conditions or not measured:
        return list(measured)
    condition = " AND ".join(f"({each})" for each in conditions)
    if partitioning is None:
        bounds = 'SELECT NULL AS id, NULL::DATE AS "@low", NULL::DATE AS "@high"'
        kept = db.rows(f"SELECT id FROM ({bounds}) WHERE {condition}")
    else:
        bounds = partitioning.bounds_query()
        ids = list(measured)
        kept = db.rows(f"SELECT DISTINCT id FROM ({bounds}) WHERE {condition}", [ids])
    return [row[0] for row in kept]
