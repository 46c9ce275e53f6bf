"""Reading back what dbt built."""

from __future__ import annotations

from typing import Any

from google.cloud import bigquery


def rows(client: bigquery.Client, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in client.query(sql).result()]
