"""Which alert a failed task is, by the task and by what it said."""

from __future__ import annotations

import re

#: (what failed, its message, the alert), the first that fits. "What failed" is a task's id or a dbt node's name.
_RULES = (
    (r"replication_slots", r"Replication slot", "ReplicationSlotLost"),
    (r"replication_slots", r"", "SourceUnreachable"),
    (r"", r"quotaExceeded|rateLimitExceeded|Quota exceeded|custom quota|bytes billed", "WarehouseUnavailable"),
    (r"", r"destination: .*(did not answer|[Cc]onnection refused|unreachable|[Tt]imed? ?out)", "WarehouseUnavailable"),
    (r"(?!.*sync)", r"ServiceUnavailable|RetryError|50[234] .*(GET|POST) |backendError", "WarehouseUnavailable"),
    (r"(?!.*sync)", r"Connection ?(refused|Error)|[Nn]ame or service not known|Max retries", "WarehouseUnavailable"),
    (r"check_connection|connection_drift", r"not as declared", "ConnectionDrift"),
    (r"check_connection|connection_drift", r"", "SyncFailed"),
    (r"source_freshness", r"", "StaleData"),
    (r"late_runs", r"", "DagLate"),
    (r".*sync", r"[Rr]eplication slot", "ReplicationSlotLost"),
    (r".*sync", r"has no readable column|changed their type|schema (has )?changed", "SchemaChanged"),
    (
        r".*sync",
        r"source: .*(cannot be found|listens on|cannot be reached|Postgres at|Connecting to)",
        "SourceUnreachable",
    ),
    (r".*sync", r"AirflowTaskTimeout|timed out|Timeout", "SyncStuck"),
    (r".*sync", r"", "SyncFailed"),
    (r".*check_raw", r"lost values", "SchemaChanged"),
    (r".*check_raw", r"", "RawCountsDisagree"),
    (r"check_params|publish\.", r"", "TaskFailed"),
    (r"gate_payments__", r"", "DuplicatePayments"),
    (r"gate_seller_tiers__", r"", "TierOverlap"),
    (r"gate_currency__(.*_have_usd|rates_are_fresh)", r"", "MissingExchangeRate"),
    (r"gate_", r"", "MartsDoNotReconcile"),
    (r"", r"Unrecognized name|Name .* not found inside", "SchemaChanged"),
)
_OTHERWISE = "ModelFailed"


def alert_for(subject: str, message: str) -> str:
    """The name of the alert for ``subject``, a task's id or a dbt node's name, that failed with ``message``."""
    for what, says, alert in _RULES:
        if re.match(what, subject) and re.search(says, message):
            return alert
    return _OTHERWISE
