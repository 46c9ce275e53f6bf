"""``local-stack preflight``: can each configured service be used? Nothing is changed anywhere.

Each module checks one service: it can be reached, is what it claims to be, and lets us do what the pipeline needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from local_stack.preflight import airbyte, airflow, alerts, source, warehouse
from local_stack.preflight.finding import Finding
from local_stack.settings import Settings

CHECKS: dict[str, Callable[[Settings], Iterator[Finding]]] = {
    "source": source.check,
    "bigquery": warehouse.check,
    "airbyte": airbyte.check,
    "airflow": airflow.check,
    "alerts": alerts.check,
}
