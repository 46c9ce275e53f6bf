"""What a change does to the rows of a mart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from google.cloud import bigquery

BEFORE = "impact_base"
_NUMBERS = ("INTEGER", "FLOAT", "NUMERIC", "BIGNUMERIC")
_LONGEST = 60  # characters of an example


@dataclass(frozen=True)
class ColumnDifference:
    """In how many rows a column's value differs, and how: a number's sum before and after, or else one example."""

    name: str
    rows: int
    how: str


@dataclass(frozen=True)
class MartDifference:
    """Rows before and after, rows whose key only one side has, and rows of both in which some value differs."""

    mart: str
    rows_before: int | None
    rows_after: int
    added: int = 0
    removed: int = 0
    changed: int = 0
    columns: tuple[ColumnDifference, ...] = ()
    columns_added: tuple[str, ...] = ()
    columns_removed: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        counted = self.added or self.removed or self.changed
        return bool(self.rows_before is None or counted or self.columns_added or self.columns_removed)


def keep(warehouse: bigquery.Client, marts: list[str]) -> None:
    """Copy the marts as they are to the dataset :data:`BEFORE`; one that is not there yet is new in the change."""
    warehouse.create_dataset(BEFORE, exists_ok=True)
    there = {table.table_id for table in warehouse.list_tables("marts")}
    jobs = [
        warehouse.copy_table(f"{warehouse.project}.marts.{mart}", f"{warehouse.project}.{BEFORE}.{mart}")
        for mart in marts
        if mart in there
    ]
    for job in jobs:
        job.result()


def compare(warehouse: bigquery.Client, mart: str, key: str) -> MartDifference:
    """The mart as it is against its copy, row by row by ``key``; values are compared as JSON, NULL equals NULL."""
    after = warehouse.get_table(f"marts.{mart}")
    if mart not in {table.table_id for table in warehouse.list_tables(BEFORE)}:
        return MartDifference(mart, None, int(after.num_rows or 0))
    before = warehouse.get_table(f"{BEFORE}.{mart}")
    old, new = [{field.name for field in table.schema} for table in (before, after)]
    shared = [field for field in after.schema if field.name in old and field.name != key]
    differ = {
        field.name: f"(a.{key} IS NOT NULL AND b.{key} IS NOT NULL AND "
        f"TO_JSON_STRING(a.{field.name}) IS DISTINCT FROM TO_JSON_STRING(b.{field.name}))"
        for field in shared
    }
    sums = [field.name for field in shared if _is_amount(field)]
    wanted = [
        f"COUNTIF(a.{key} IS NULL)",
        f"COUNTIF(b.{key} IS NULL)",
        f"COUNTIF({' OR '.join(differ.values()) or 'FALSE'})",
        _array(f"COUNTIF({each})" for each in differ.values()),
        _array(_example(name, each) for name, each in differ.items()),
        _array(f"IFNULL(SUM(CAST({side}.{name} AS FLOAT64)), 0)" for name in sums for side in "ab"),
    ]
    [row] = warehouse.query_and_wait(
        f"SELECT {', '.join(wanted)} FROM {BEFORE}.{mart} AS a FULL JOIN marts.{mart} AS b ON a.{key} = b.{key}"
    )
    added, removed, changed, counts, examples, totals = row.values()
    how = {name: f"such as {example}" for name, example in zip(differ, examples, strict=True)}
    pairs = zip(sums, totals[::2], totals[1::2], strict=True)
    sum_of = {name: (f"{was:,.2f}", f"{now:,.2f}") for name, was, now in pairs}
    how |= {name: f"sum {was} → {now}" for name, (was, now) in sum_of.items()}
    return MartDifference(
        *(mart, int(before.num_rows or 0), int(after.num_rows or 0), added, removed, changed),
        columns=tuple(
            ColumnDifference(name, count, how[name])
            for name, count in zip(differ, counts, strict=True)
            # Rows that only one side has move a sum, too.
            if count or ((added or removed) and name in sum_of and len(set(sum_of[name])) == 2)
        ),
        columns_added=tuple(sorted(new - old)),
        columns_removed=tuple(sorted(old - new)),
    )


def _is_amount(field: bigquery.SchemaField) -> bool:
    return field.field_type in _NUMBERS and field.mode != "REPEATED" and not field.name.endswith("_id")


def _array(expressions: Iterable[str]) -> str:
    return f"[{', '.join(expressions)}]"


def _example(name: str, differ: str) -> str:
    """One of the differing values, before and after, as JSON; empty where none differs (an array has no NULLs)."""
    both = ", ' → ', ".join(f"SUBSTR(TO_JSON_STRING({side}.{name}), 1, {_LONGEST})" for side in "ab")
    return f"IFNULL(MIN(IF({differ}, CONCAT({both}), NULL)), '')"
