"""A run against the runs before it."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace_pipeline.records.run import PipelineRun

#: The share of quarantined orders may grow by this factor before somebody should look, and by so many rows.
_FACTOR, _LEAST_ROWS = 1.5, 5
_RUNS = 7


def quarantine_rise(run: PipelineRun, before: Sequence[PipelineRun]) -> tuple[int, int] | None:
    """Quarantined orders of the last comparable run and of this one, if they have risen out of proportion."""
    known = [other for other in before if other.run_id != run.run_id and other.quarantined is not None and other.orders]
    if not known or run.quarantined is None or not run.orders:
        return None
    usual = max(_share(other) for other in known[-_RUNS:])
    last = known[-1].quarantined or 0
    if run.quarantined - last >= _LEAST_ROWS and _share(run) > _FACTOR * usual:
        return last, run.quarantined
    return None


def _share(run: PipelineRun) -> float:
    return (run.quarantined or 0) / (run.orders or 1)
