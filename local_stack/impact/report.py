"""The report as Markdown, which GitHub shows as a comment and a terminal as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from local_stack.impact.marts import MartDifference
from local_stack.impact.models import ModelChanges


def markdown(models: ModelChanges, marts: Sequence[MartDifference], connections: str, scale: str) -> str:
    """Sections for models, marts and connections; one without a change says so in a line."""
    lines = ["## Impact of this change", "", "### Models", ""]
    lines += [f"- **{name}** changed" for name in models.changed]
    lines += [f"- **{name}** removed" for name in models.removed]
    if not models.changed and not models.removed:
        lines.append("No model changed.")
    if models.downstream:
        lines.append(f"- downstream: {', '.join(models.downstream)}")
    if models.exposures:
        lines.append(f"- people will see it in: {', '.join(models.exposures)}")
    lines += [f"- test **{name}** changed or new" for name in models.tests_changed]
    lines += [f"- test **{name}** removed" for name in models.tests_removed]
    if models.marts:
        lines += ["", f"### Marts, both built from the same seeded data (scale {scale})", "", *_marts(marts)]
    lines += ["", "### Connections", ""]
    lines += ["```", connections, "```"] if connections else ["As the base declares them."]
    return "\n".join(lines)


def _marts(marts: Sequence[MartDifference]) -> Iterator[str]:
    differing = [mart for mart in marts if mart.differs]
    if differing:
        yield "| mart | rows before | rows after | rows added | rows removed | rows changed |"
        yield "|---|--:|--:|--:|--:|--:|"
        yield from (_row(difference) for difference in differing)
    if same := [mart.mart for mart in marts if not mart.differs]:
        yield from ("", f"The same row by row: {', '.join(same)}.")
    for mart in differing:
        if mart.columns or mart.columns_added or mart.columns_removed:
            yield from _columns(mart)


def _row(mart: MartDifference) -> str:
    if mart.rows_before is None:
        return f"| {mart.mart} | new | {mart.rows_after:,} | | | |"
    counts = (mart.rows_before, mart.rows_after, mart.added, mart.removed, mart.changed)
    return f"| {mart.mart} | {' | '.join(f'{count:,}' for count in counts)} |"


def _columns(mart: MartDifference) -> Iterator[str]:
    yield from ("", f"**{mart.mart}**", "", "| column | rows that differ | how |", "|---|--:|---|")
    for column in mart.columns:
        yield f"| {column.name} | {column.rows:,} | {column.how.replace('|', '&#124;')} |"
    yield from (f"| {name} | | column added |" for name in mart.columns_added)
    yield from (f"| {name} | | column removed |" for name in mart.columns_removed)
