"""A connection's last runs as bars, in the units of an SVG picture."""

from __future__ import annotations

from dataclasses import dataclass

from airbyte_server.ui.formats import number
from airbyte_server.ui.runs import Run

SHOWN = 30
_STEP, _GAP, _HEIGHT = 20, 4, 96


@dataclass(frozen=True)
class Bar:
    x: int
    y: float
    width: int
    height: float
    tone: str
    label: str


@dataclass(frozen=True)
class BarChart:
    """Rows per run, the oldest at the left. ``ticks``: (y, text) of the lines behind the bars."""

    width: int
    height: int
    bars: list[Bar]
    ticks: list[tuple[float, str]]
    summary: str


def rows_chart(runs: list[Run]) -> BarChart:
    """``runs``: the newest first, as they are shown everywhere else."""
    shown = runs[:SHOWN][::-1]
    highest = _round_up(max((run.rows for run in shown), default=0))
    first = SHOWN - len(shown)
    bars = []
    for place, run in enumerate(shown, start=first):
        # A run without rows is a line that can still be seen.
        height = max(2.0, _HEIGHT * run.rows / highest) if highest else 2.0
        label = f"Job {run.id}: {run.kind.lower()} {run.status}, {number(run.rows)} rows"
        bars.append(
            Bar(place * _STEP + _GAP, round(_HEIGHT - height, 1), _STEP - _GAP, round(height, 1), run.tone, label)
        )
    total, most = sum(run.rows for run in shown), max((run.rows for run in shown), default=0)
    summary = f"Rows of the last {len(shown)} jobs: {number(total)} together, {number(most)} at most"
    ticks = [(0.0, number(highest)), (_HEIGHT / 2, number(highest // 2))] if highest > 1 else []
    return BarChart(SHOWN * _STEP + _GAP, _HEIGHT, bars, ticks, summary)


def _round_up(value: int) -> int:
    """The next number whose half is easy to read, so that the highest bar nearly fills the picture; 0 stays."""
    if value == 0:
        return 0
    power = 10 ** (len(str(value)) - 1)
    return next(step * power for step in (1, 2, 3, 4, 6, 8, 10) if step * power >= value)
