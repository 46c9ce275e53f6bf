"""A plan as text a person can review."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from octavia.diff import Change
from octavia.plan import Plan, Step
from octavia.project import Kind

_SIGNS = {"create": ("+", "green"), "update": ("~", "yellow"), "delete": ("-", "red")}


def plan_lines(plan: Plan) -> Iterator[str]:
    """One block per resource that differs, what could not be compared, and a summary."""
    for step in plan.steps:
        if step.action != "keep":
            yield from _step_lines(step)
            yield ""
    for step in plan.steps:
        if step.secrets:
            yield (
                f"{step.kind} {step.name}: Airbyte does not give secrets back to compare; "
                f"apply always sends {', '.join(step.secrets)} again"
            )
    if not plan.has_changes:
        yield f"No changes: {len(plan.steps)} resource(s) are as declared."
        return
    counts = {action: sum(step.action == action for step in plan.steps) for action in ("create", "update", "keep")}
    yield f"Plan: {counts['create']} to create, {counts['update']} to change, {counts['keep']} as declared."


def drift_lines(plan: Plan, undeclared: Sequence[tuple[Kind, str]]) -> Iterator[str]:
    """What the server has otherwise than the files say, seen from the files."""
    for step in plan.steps:
        if step.action == "create":
            yield click.style(f"- {step.kind} {step.name}", fg="red", bold=True) + f"  ({step.file}) is not there"
        elif step.action == "update":
            yield click.style(f"~ {step.kind} {step.name}", fg="yellow", bold=True) + f"  ({step.file})"
            for change in step.changes:
                declared, there = (text or "not at all" for text in (change.after, change.before))
                yield f"    {change.key}: declared {declared}, there {there}"
    for kind, name in undeclared:
        yield click.style(f"+ {kind} {name}", fg="green", bold=True) + "  is there, but not declared"
    if not plan.has_changes and not undeclared:
        yield f"No drift: {len(plan.steps)} resource(s) are as declared; secrets cannot be compared."


def _step_lines(step: Step) -> Iterator[str]:
    sign, colour = _SIGNS[step.action]
    yield click.style(f"{sign} {step.kind} {step.name}", fg=colour, bold=True) + f"  ({step.file})"
    for change in step.changes:
        yield from _change_lines(change)
    for note in step.notes:
        yield f"    ! {note}"


def _change_lines(change: Change) -> Iterator[str]:
    if change.before is None:
        action, text = "create", f"{change.key}: {change.after}"
    elif change.after is None:
        action, text = "delete", f"{change.key}: {change.before}"
    else:
        action, text = "update", f"{change.key}: {change.before} -> {change.after}"
    sign, colour = _SIGNS[action]
    yield click.style(f"    {sign} {text}", fg=colour)
    if change.cost:
        yield f"        costs: {change.cost}"
