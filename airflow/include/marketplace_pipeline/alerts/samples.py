"""Failing rows of a test, as dbt keeps them, fit to be sent to people."""

from __future__ import annotations

from typing import Any

from google.cloud import bigquery

from marketplace_pipeline.alerts.finding import Sample

ROWS = 5
_MASK = "•••"
_LONGEST = 80
#: Personal data of the marketplace that may stand in a failing row of a source or staging model. What is tagged `pii`
#: in the dbt project is added by the caller.
_PERSONAL = frozenset({"email", "username", "first_name", "last_name", "shipping_city", "shipping_postal_code"})


def sample(client: bigquery.Client, table: str, total: int, personal: frozenset[str] = frozenset()) -> Sample:
    """The first rows of ``table``; columns with personal data, and values with an e-mail address, are masked."""
    rows = client.query_and_wait(f"SELECT * FROM `{table}` LIMIT {ROWS}")
    columns = [field.name for field in rows.schema]
    hidden = _PERSONAL | personal
    shown = [[_shown(column, row[column], hidden) for column in columns] for row in rows]
    return Sample(table, total, columns, shown)


def _shown(column: str, value: Any, hidden: frozenset[str]) -> str:
    if value is None:
        return "NULL"
    if column in hidden or "@" in str(value):
        return _MASK
    text = " ".join(str(value).split())
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
