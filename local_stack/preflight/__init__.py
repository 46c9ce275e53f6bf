"""``local-stack preflight``: can each configured service be used? Nothing is changed anywhere.

Each module checks one service: it can be reached, is what it claims to be, and lets us do what the pipeline needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from local_stack.preflight import airbyte, airflow, alerts, source
from local_stack.preflight.finding import Finding
from local_stack.settings import Settings


def _warehouse(settings: Settings) -> Iterator[Finding]:
    from local_stack.preflight import warehouse  # Google's client takes a second

    return warehouse.check(settings)


CHECKS: dict[str, Callable[[Settings], Iterator[Finding]]] = {
    "source": source.check,
    "bigquery": _warehouse,
    "airbyte": airbyte.check,
    "airflow": airflow.check,
    "alerts": alerts.check,
}
