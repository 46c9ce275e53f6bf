"""Charts as SVG text, drawn here: the page needs no script and nothing from another host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from markupsafe import Markup, escape

WIDTH, HEIGHT = 640, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 24, 10, 34
_PLOT_WIDTH, _PLOT_HEIGHT = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
_TICKS = 4
_LABELS = 8


@dataclass(frozen=True)
class Series:
    """Values by run, None where not known; ``style`` is a class of the page's style sheet."""

    name: str
    values: Sequence[float | None]
    style: str


def stacked_bars(title: str, labels: Sequence[str], series: Sequence[Series], unit: str) -> Markup:
    """A bar per label, the series stacked in it; ``unit`` follows each value in the bars' tooltips."""
    sums = [sum(one.values[i] or 0 for one in series) for i in range(len(labels))]
    top = _round_up(max(sums, default=0))
    step = _PLOT_WIDTH / max(len(labels), 1)
    width = min(step * 0.7, 48)
    shapes = []
    for i, label in enumerate(labels):
        x, below = _LEFT + step * i + (step - width) / 2, 0.0
        for one in series:
            value = one.values[i] or 0
            if value <= 0:
                continue
            height = value / top * _PLOT_HEIGHT
            y = _TOP + _PLOT_HEIGHT - below - height
            shapes.append(
                f'<rect class="{one.style}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}">'
                f"<title>{escape(label)} · {escape(one.name)}: {_short(value)} {escape(unit)}</title></rect>"
            )
            below += height
    return _chart(title, labels, step, top, shapes, series)


def lines(title: str, labels: Sequence[str], series: Sequence[Series], unit: str) -> Markup:
    """A line per series, broken where a value is not known."""
    top = _round_up(max((value for one in series for value in one.values if value is not None), default=0))
    step = _PLOT_WIDTH / max(len(labels), 1)
    shapes = []
    for one in series:
        path, pen = [], "M"
        for i, value in enumerate(one.values):
            if value is None:
                pen = "M"
                continue
            x, y = _LEFT + step * (i + 0.5), _TOP + _PLOT_HEIGHT * (1 - value / top)
            path.append(f"{pen}{x:.1f} {y:.1f}")
            pen = "L"
            shapes.append(
                f'<circle class="{one.style}" cx="{x:.1f}" cy="{y:.1f}" r="3">'
                f"<title>{escape(labels[i])} · {escape(one.name)}: {_short(value)} {escape(unit)}</title></circle>"
            )
        shapes.append(f'<path class="line {one.style}" d="{" ".join(path)}"/>')
    return _chart(title, labels, step, top, shapes, series)


def _chart(
    title: str, labels: Sequence[str], step: float, top: float, shapes: Sequence[str], series: Sequence[Series]
) -> Markup:
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    for tick in range(_TICKS + 1):
        y = _TOP + _PLOT_HEIGHT * (1 - tick / _TICKS)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(top * tick / _TICKS)}</text>')
    every = ceil(len(labels) / _LABELS) if labels else 1
    for i in range(len(labels) - 1, -1, -every):
        x = _LEFT + step * (i + 0.5)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 14}" text-anchor="middle">{escape(labels[i])}</text>')
    parts += [*shapes, "</svg>"]
    legend = "".join(f'<li><i class="{one.style}"></i>{escape(one.name)}</li>' for one in series)
    # Every text in it has been escaped where it was put in.
    return Markup(f"<figure><figcaption>{escape(title)}</figcaption>{''.join(parts)}<ul>{legend}</ul></figure>")  # noqa: S704


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 6, 8, 10 times a power of ten: its quarters are short numbers."""
    if value <= 0:
        return 1
    power = 10 ** floor(log10(value))
    return next(step for step in (1, 2, 4, 6, 8, 10) if step * power >= value * 0.999999) * power


def _short(value: float) -> str:
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.4g}{suffix}"
    return f"{value:.3g}"
