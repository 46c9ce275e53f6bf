"""When a failed job tries again: the platform's rules, from what its attempts did."""

from __future__ import annotations

from dataclasses import dataclass

from airbyte_server.settings import RetryLimits


@dataclass(frozen=True)
class FailedAttempt:
    """``partial``: at least one record was committed. ``config_error``: people must act, so repeating is useless."""

    partial: bool
    config_error: bool


def next_delay(attempts: list[FailedAttempt], limits: RetryLimits) -> float | None:
    """Seconds to wait before the next attempt after these (all failed, in order); ``None``: give up.

    A partial failure ends a run of complete ones and the reverse. Complete failures wait 10 s × 3^(n-1) for the n-th in
    a row; partial ones made progress and go on at once.
    """
    if attempts[-1].config_error:
        return None
    partial = [attempt.partial for attempt in attempts]
    in_a_row = next((n for n, value in enumerate(reversed(partial)) if value != partial[-1]), len(partial))
    if partial[-1]:
        exhausted = (
            in_a_row >= limits.successive_partial_failures or partial.count(True) >= limits.total_partial_failures
        )
        return None if exhausted else 0.0
    if in_a_row >= limits.successive_complete_failures or partial.count(False) >= limits.total_complete_failures:
        return None
    return min(limits.backoff_base * limits.backoff_factor ** (in_a_row - 1), limits.backoff_maximum)
