"""Are the raw tables as young as the dbt project demands of its sources?"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from airflow.sdk.exceptions import AirflowFailException

from marketplace_pipeline.project import invoke_dbt

log = logging.getLogger(__name__)


class StaleSources(AirflowFailException):
    """Sources are older than their ``error_after``, or their age cannot be told; the message lists them."""


@dataclass(frozen=True)
class SourceAge:
    """A source's verdict by dbt (``pass``, ``warn``, ``error``, ``runtime error``) and its age in seconds."""

    source: str
    status: str
    age: float | None
    message: str | None

    def __str__(self) -> str:
        how_old = self.message or ("of unknown age" if self.age is None else f"{self.age / 3600:.1f} hours old")
        return f"{self.source} is {how_old} ({self.status})"


def check_sources() -> list[SourceAge]:
    """Every source that has a freshness rule, with its age; those to be warned of are in the log, too.

    Raises:
        StaleSources: a source fails its rule, or dbt could not look.
    """
    done = invoke_dbt("source", "freshness")
    results = getattr(done.result, "results", None)
    if results is None:
        raise StaleSources(f"dbt could not look at the sources: {done.exception}")
    ages = [
        SourceAge(
            ".".join(result.node.unique_id.split(".")[-2:]),
            str(result.status),
            getattr(result, "age", None),
            result.message,
        )
        for result in results
    ]
    for age in ages:
        if age.status == "warn":
            log.warning("%s", age)
    stale = [str(age) for age in ages if age.status not in ("pass", "warn")]
    if stale:
        raise StaleSources("; ".join(stale))
    return ages
