"""Every alert there is. An alert's name is its runbook's: ``runbooks/<name>.md``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

Severity = Literal["critical", "warning"]


@dataclass(frozen=True)
class Alert:
    """``impact`` says what people go without while it lasts."""

    name: str
    severity: Severity
    title: str
    impact: str

    @property
    def runbook(self) -> str:
        """Address of the runbook: its path in the repository, below ``ALERT_RUNBOOKS_URL`` if that is set."""
        base = os.environ.get("ALERT_RUNBOOKS_URL") or "runbooks"
        return f"{base.rstrip('/')}/{self.name}.md"


_STALE = "The marts stay as they were after the last good run; nothing wrong is published."
_HELD_BACK = "What is built on the failing model is held back and stays as it was; all else is up to date."

_ALL = (
    Alert("SyncFailed", "critical", "The sync failed", _STALE),
    Alert("SyncStuck", "critical", "The sync does not end", _STALE),
    Alert("SourceUnreachable", "critical", "The source database cannot be read", _STALE),
    Alert(
        "ReplicationSlotLost",
        "critical",
        "The replication slot is lost, growing, or cannot be used",
        "Changes may be lost, and what a slot keeps fills the source's disk; the marts stay as they were.",
    ),
    Alert("SchemaChanged", "critical", "The source's schema changed", _STALE),
    Alert("ConnectionDrift", "critical", "Airbyte's connection differs from the declared one", _STALE),
    Alert("RawCountsDisagree", "critical", "Raw tables do not hold what the sync reported", _STALE),
    Alert("WarehouseUnavailable", "critical", "The warehouse is unreachable or its quota is used up", _STALE),
    Alert("DuplicatePayments", "critical", "Payments would be counted twice or lost", _HELD_BACK),
    Alert("TierOverlap", "critical", "Seller tiers overlap or leave holes", _HELD_BACK),
    Alert("MissingExchangeRate", "critical", "Money without a valid exchange rate", _HELD_BACK),
    Alert("MartsDoNotReconcile", "critical", "Marts do not add up", _HELD_BACK),
    Alert("ModelFailed", "critical", "A model or a test of it failed", _HELD_BACK),
    Alert(
        "TaskFailed",
        "critical",
        "A task that builds nothing failed",
        "Parameters were refused, and nothing was built; or the marts are new, but their documentation or news is not.",
    ),
    Alert("TestWarnings", "warning", "Tests warn", "Single rows are doubtful; they are in the marts, flagged."),
    Alert(
        "QuarantineRising", "warning", "More rows are quarantined", "Orders are flagged is_quarantined in the marts."
    ),
    Alert("VolumeAnomaly", "warning", "Unusual volume", "Figures of the day may be incomplete or doubled."),
    Alert("StaleData", "critical", "The data is old", "Figures are right, but of an earlier day than people think."),
    Alert("DagLate", "critical", "The pipeline is late", "Today's figures are not there yet."),
    Alert("AirflowDown", "critical", "Airflow is down", "Nothing runs, and no other alert is raised."),
)

ALERTS: dict[str, Alert] = {alert.name: alert for alert in _ALL}
