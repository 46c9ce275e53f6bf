"""What a change does to the rows of a mart."""

from __future__ import annotations

from dataclasses import dataclass

from google.cloud import bigquery

BEFORE = "impact_base"


@dataclass(frozen=True)
class MartDifference:
    """Rows before and after, rows whose key only one side has, and by column in how many rows its value differs."""

    mart: str
    rows_before: int | None
    rows_after: int
    added: int = 0
    removed: int = 0
    values: tuple[tuple[str, int], ...] = ()
    columns_added: tuple[str, ...] = ()
    columns_removed: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        return bool(
            self.rows_before is None
            or self.added
            or self.removed
            or self.values
            or self.columns_added
            or self.columns_removed
        )


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
    shared = [field.name for field in after.schema if field.name in old and field.name != key]
    counted = [
        f"COUNTIF(a.{key} IS NOT NULL AND b.{key} IS NOT NULL AND "
        f"TO_JSON_STRING(a.{name}) IS DISTINCT FROM TO_JSON_STRING(b.{name}))"
        for name in shared
    ]
    [row] = warehouse.query_and_wait(
        f"SELECT COUNTIF(a.{key} IS NULL), COUNTIF(b.{key} IS NULL), "
        f"[{', '.join(counted) or '0'}] FROM {BEFORE}.{mart} AS a FULL JOIN marts.{mart} AS b ON a.{key} = b.{key}"
    )
    added, removed, differing = row.values()
    values = [(name, count) for name, count in zip(shared, differing, strict=False) if count]
    return MartDifference(
        *(mart, int(before.num_rows or 0), int(after.num_rows or 0), added, removed, tuple(values)),
        columns_added=tuple(sorted(new - old)),
        columns_removed=tuple(sorted(old - new)),
    )
