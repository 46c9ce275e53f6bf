"""From what a run showed to what is wrong: one finding per alert."""

from __future__ import annotations

import dataclasses
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery

from marketplace_pipeline.alerts.classify import alert_for
from marketplace_pipeline.alerts.finding import Finding, Sample
from marketplace_pipeline.alerts.samples import sample
from marketplace_pipeline.records.figures import Volume
from marketplace_pipeline.records.history import quarantine_rise
from marketplace_pipeline.records.run import PipelineRun
from marketplace_pipeline.records.tests import NodeOutcome

log = logging.getLogger(__name__)

T = TypeVar("T")

WAREHOUSE_TROUBLE = (GoogleAPIError, GoogleAuthError, OSError)
_WAREHOUSE, _QUARANTINE, _VOLUME = "warehouse", "int_orders__quarantined", "daily orders"


@dataclass(frozen=True)
class TaskFailure:
    """A failed task; ``nodes`` are the dbt nodes that failed in it, if it was dbt's."""

    task_id: str
    message: str
    log_url: str
    nodes: tuple[NodeOutcome, ...] = ()


class Warehouse:
    """Asks the warehouse for figures that are good to have; ``trouble`` is what it said when it could not be asked."""

    def __init__(self, client: bigquery.Client) -> None:
        self.client = client
        self.trouble = ""

    def ask(self, question: Callable[[bigquery.Client], T], otherwise: T) -> T:
        """The answer, or ``otherwise`` when the warehouse is away; one refusal is enough."""
        if self.trouble:
            return otherwise
        try:
            return question(self.client)
        except WAREHOUSE_TROUBLE as error:
            self.trouble = f"{type(error).__name__}: {error}"
            log.error("The warehouse cannot be asked: %s", self.trouble)
            return otherwise


@dataclass(frozen=True)
class Run:
    """Everything known of a run that has ended. ``states`` is by task id; ``personal`` names columns to mask."""

    record: PipelineRun
    states: Mapping[str, str]
    failures: Sequence[TaskFailure]
    nodes: Sequence[NodeOutcome]
    volume: Volume | None
    personal: frozenset[str] = field(default=frozenset())


def findings_of_tasks(failures: Iterable[TaskFailure]) -> list[Finding]:
    """One finding per alert, of all that failed by it."""
    found: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for failure in failures:
        said = {node.name: node.message for node in failure.nodes} or {failure.task_id: failure.message}
        for subject, message in said.items():
            found[alert_for(subject, message)].append((subject, f"{subject}: {message}", failure.log_url))
    return [
        Finding(alert, frozenset(subject for subject, _, _ in items), tuple(said for _, said, _ in items), items[0][2])
        for alert, items in found.items()
    ]


def findings_of(run: Run, recent: Sequence[PipelineRun], warehouse: Warehouse) -> list[Finding]:
    """One finding per alert that ``run`` raises; ``recent`` are runs to compare it with."""
    findings = [
        dataclasses.replace(finding, samples=_samples(run, finding.subjects, warehouse))
        for finding in findings_of_tasks(run.failures)
    ]
    findings += _warnings(run, warehouse)
    if rise := quarantine_rise(run.record, recent):
        details = (f"{rise[1]} orders are quarantined; {rise[0]} were after the run before.",)
        findings.append(Finding("QuarantineRising", frozenset({_QUARANTINE}), details))
    if run.volume is not None and run.volume.is_unusual:
        details = (
            f"{run.volume.orders} orders on {run.volume.day}; the days before had {run.volume.usual:g} (median).",
        )
        findings.append(Finding("VolumeAnomaly", frozenset({_VOLUME}), details))
    if warehouse.trouble:
        findings.append(_unavailable(findings, warehouse.trouble))
    return list({finding.alert: finding for finding in findings}.values())


def seen_good(run: Run, findings: Sequence[Finding], warehouse: Warehouse) -> Callable[[str], bool]:
    """A test of subjects: was this task, node or figure looked at in the run, and is it good?"""
    bad = {subject for finding in findings for subject in finding.subjects}
    nodes = {node.name: node.status for node in run.nodes}
    figures = {
        _WAREHOUSE: not warehouse.trouble,
        _QUARANTINE: run.record.quarantined is not None,
        _VOLUME: run.volume is not None,
    }

    def good(subject: str) -> bool:
        if subject in bad:
            return False
        if subject in figures:
            return figures[subject]
        if subject in run.states:
            return run.states[subject] == "success"
        # A node that is no more cannot be bad, but what a red run did not come to is not known.
        return nodes[subject] == "passed" if subject in nodes else run.record.state == "success"

    return good


def _unavailable(findings: Sequence[Finding], trouble: str) -> Finding:
    """Tasks that failed by it and the questions that were not answered are one alert."""
    for finding in findings:
        if finding.alert == "WarehouseUnavailable":
            return Finding(finding.alert, finding.subjects | {_WAREHOUSE}, (*finding.details, trouble), finding.log_url)
    return Finding("WarehouseUnavailable", frozenset({_WAREHOUSE}), (trouble,))


def _warnings(run: Run, warehouse: Warehouse) -> list[Finding]:
    warned = [node for node in run.nodes if node.status == "warned"]
    if not warned:
        return []
    subjects = frozenset(node.name for node in warned)
    details = tuple(f"{node.name}: {node.rows} rows" for node in warned)
    return [Finding("TestWarnings", subjects, details, samples=_samples(run, subjects, warehouse))]


def _samples(run: Run, subjects: frozenset[str], warehouse: Warehouse) -> tuple[Sample, ...]:
    samples = []
    for node in run.nodes:
        if node.name in subjects and node.table:

            def rows(client: bigquery.Client, node: NodeOutcome = node) -> Sample | None:
                return sample(client, node.table, node.rows, run.personal)

            if found := warehouse.ask(rows, None):
                samples.append(found)
    return tuple(samples)
