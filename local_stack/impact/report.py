"""The report as Markdown, which GitHub shows as a comment and a terminal as it is."""

from __future__ import annotations

from collections.abc import Sequence

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
    if models.marts:
        lines += ["", f"### Marts, both built from the same seeded data (scale {scale})", ""]
        lines += [
            "| mart | rows before | rows after | added | removed | values that differ |",
            "|---|--:|--:|--:|--:|---|",
        ]
        lines += [_row(difference) for difference in marts]
    lines += ["", "### Connections", ""]
    lines += ["```", connections, "```"] if connections else ["As the base declares them."]
    return "\n".join(lines)


def _row(difference: MartDifference) -> str:
    if difference.rows_before is None:
        return f"| {difference.mart} | new | {difference.rows_after:,} | | | |"
    parts = [f"{name} in {count:,} rows" for name, count in difference.values]
    parts += [f"column {name} added" for name in difference.columns_added]
    parts += [f"column {name} removed" for name in difference.columns_removed]
    return (
        f"| {difference.mart} | {difference.rows_before:,} | {difference.rows_after:,} | {difference.added:,} | "
        f"{difference.removed:,} | {', '.join(parts) or 'none'} |"
    )
