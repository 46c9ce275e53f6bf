"""One thing that is wrong now, and the message that tells it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from marketplace_pipeline.alerts.registry import ALERTS, Alert

_LONGEST = 1500  # characters of one detail; a failing dbt task may quote a whole statement


@dataclass(frozen=True)
class Sample:
    """Some failing rows of ``table``; ``total`` counts them all. Personal data is masked already."""

    table: str
    total: int
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def text(self) -> str:
        lines = [f"{self.total} failing rows in {self.table}, for example:", " | ".join(self.columns)]
        return "\n".join([*lines, *(" | ".join(row) for row in self.rows)])


@dataclass(frozen=True)
class Finding:
    """``alert`` is a name of the registry.

    ``subjects`` are what was found bad: tasks, tests, tables. The alert stays open until each has been seen good, and
    is told again only when another joins them.
    """

    alert: str
    subjects: frozenset[str]
    details: tuple[str, ...]
    log_url: str = ""
    samples: tuple[Sample, ...] = field(default=())

    @property
    def definition(self) -> Alert:
        return ALERTS[self.alert]


@dataclass(frozen=True)
class Message:
    """A text for people, the same by every channel."""

    subject: str
    body: str


def raised(finding: Finding, since: datetime) -> Message:
    """The message of an open alert."""
    alert = finding.definition
    lines = [
        f"What: {alert.title} ({', '.join(sorted(finding.subjects))})",
        *(detail if len(detail) <= _LONGEST else detail[:_LONGEST] + " …" for detail in finding.details),
        *(sample.text() for sample in finding.samples),
        f"Since: {since:%Y-%m-%d %H:%M} UTC",
        f"Impact: {alert.impact}",
    ]
    lines += [f"Log: {finding.log_url}"] if finding.log_url else []
    lines.append(f"Runbook: {alert.runbook}")
    return Message(f"[{alert.severity}] {alert.name}: {alert.title}", "\n".join(lines))


def recovered(name: str, since: datetime, now: datetime) -> Message:
    """The message of an alert that is over."""
    minutes = round((now - since).total_seconds() / 60)
    body = f"{ALERTS[name].title}: no longer. It lasted from {since:%Y-%m-%d %H:%M} UTC, {minutes} minutes."
    return Message(f"[recovered] {name}", body)
