"""Figures of the warehouse that a run is recorded, and compared, by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from statistics import median
from typing import Any

from google.api_core.exceptions import NotFound
from google.cloud import bigquery

#: A day is unusual outside these shares of the median of the days before it.
LEAST_SHARE, GREATEST_SHARE = 0.3, 3.0
_DAYS, _LEAST_DAYS = 28, 14
#: Below this many orders a day, chance alone makes such differences.
_LEAST_ORDERS = 10


@dataclass(frozen=True)
class Volume:
    """Orders of ``day``, the last whole one, against the median of the days before."""

    day: date
    orders: int
    usual: float

    @property
    def is_unusual(self) -> bool:
        return self.usual >= _LEAST_ORDERS and not (
            LEAST_SHARE * self.usual <= self.orders <= GREATEST_SHARE * self.usual
        )


def quality(client: bigquery.Client) -> dict[str, int | None]:
    """duplicates_removed, quarantined and orders, each None while its table does not exist."""
    return {
        "duplicates_removed": _number(
            client, "SELECT COALESCE(SUM(duplicate_count), 0) FROM intermediate.int_payments__deduplicated"
        ),
        "quarantined": _number(client, "SELECT COUNT(*) FROM intermediate.int_orders__quarantined"),
        "orders": _number(client, "SELECT COUNT(*) FROM marts.fct_orders"),
    }


def volume(client: bigquery.Client) -> Volume | None:
    """The last whole day's orders; None with too few days to compare it with.

    Whole are the days before the last one that orders are known of: that one may have been under way.
    """
    sql = f"""
        WITH last AS (SELECT MAX(order_date) AS day FROM intermediate.int_orders__usd)
        SELECT day, COUNT(order_id) AS orders
        FROM last, UNNEST(GENERATE_DATE_ARRAY(last.day - {_DAYS + 1}, last.day - 1)) AS day
        LEFT JOIN intermediate.int_orders__usd ON order_date = day
        GROUP BY day ORDER BY day
    """
    try:
        days = [(row["day"], row["orders"]) for row in client.query_and_wait(sql)]
    except NotFound:
        return None
    while days and not days[0][1]:  # before the marketplace began
        days = days[1:]
    if len(days) <= _LEAST_DAYS:
        return None
    (day, orders), before = days[-1], days[:-1]
    return Volume(day, orders, median(count for _, count in before))


@dataclass(frozen=True)
class Source:
    """A source table with a freshness limit in the dbt project, and the age of its youngest row.

    ``level`` is ok, warn or error; a table without rows has no age and is an error.
    """

    name: str
    hours: float | None
    level: str


def source_tables(manifest: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Source tables that the dbt project sets a freshness limit for, as ``dataset.table``, with their nodes.

    Raises:
        ValueError: a limit is declared in a way that is not judged here.
    """
    watched = {}
    for node in manifest["sources"].values():
        if not (_limit(node, "error_after") or _limit(node, "warn_after")):
            continue
        if not node["loaded_at_field"] or node["freshness"].get("filter"):
            raise ValueError(
                f"Source {node['unique_id']} has a freshness limit that only dbt itself would understand: "
                "declare loaded_at_field, and no filter."
            )
        watched[f"{node['schema']}.{node['identifier']}"] = node
    return watched


def sources(client: bigquery.Client, manifest: Mapping[str, Any], now: datetime) -> list[Source]:
    """The age of each of :func:`source_tables`, judged by its limits."""
    return [_source(client, table, node, now) for table, node in source_tables(manifest).items()]


def _source(client: bigquery.Client, table: str, node: Mapping[str, Any], now: datetime) -> Source:
    try:
        (row,) = client.query_and_wait(f"SELECT MAX({node['loaded_at_field']}) AS youngest FROM `{table}`")
    except NotFound:
        return Source(table, None, "error")
    if row.youngest is None:
        return Source(table, None, "error")
    hours = (now - row.youngest).total_seconds() / 3600
    for level in ("error", "warn"):
        limit = _limit(node, f"{level}_after")
        if limit is not None and hours > limit:
            return Source(table, hours, level)
    return Source(table, hours, "ok")


def _limit(node: Mapping[str, Any], name: str) -> float | None:
    """The limit in hours."""
    limit = (node.get("freshness") or {}).get(name) or {}
    if not limit.get("count"):
        return None
    return limit["count"] * {"minute": 1 / 60, "hour": 1, "day": 24}[limit["period"]]


def _number(client: bigquery.Client, sql: str) -> int | None:
    try:
        (row,) = client.query_and_wait(sql)
    except NotFound:
        return None
    return int(row[0])
