"""One line in the log for each job that has ended.

What a job read and wrote is there in numbers. Its SQL, and the text of its error, may quote data: they stay with the
job.
"""

from __future__ import annotations

from typing import Any

import structlog

from bq_emulator.jobs.job import Job

log = structlog.get_logger("bq_emulator.jobs")


def report(job: Job) -> None:
    """Log the end of a job: bytes as Google counts them, rows that the job gave or changed."""
    statistics = job.statistics
    query = statistics.get("query") or {}
    started = int(statistics.get("startTime", statistics["creationTime"]))
    details: dict[str, Any] = {
        "job_id": job.job_id,
        "parent_job_id": statistics.get("parentJobId"),
        "job_type": job.kind.upper(),
        "statement_type": query.get("statementType"),
        "state": job.state,
        "ms": int(statistics["endTime"]) - started,
        "bytes_processed": _number(statistics.get("totalBytesProcessed") or query.get("totalBytesProcessed")),
        "bytes_billed": _number(query.get("totalBytesBilled")),
        "rows": _rows(job),
    }
    shown = {key: value for key, value in details.items() if value is not None}
    if job.error is None:
        log.info("job done", **shown)
    else:
        log.warning("job failed", **shown, reason=job.error.reason)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None else None


def _rows(job: Job) -> int | None:
    if job.rows is not None:
        return job.rows
    statistics = job.statistics
    for part, key in (("query", "numDmlAffectedRows"), ("load", "outputRows"), ("copy", "copiedRows")):
        if key in (statistics.get(part) or {}):
            return int(statistics[part][key])
    return None
