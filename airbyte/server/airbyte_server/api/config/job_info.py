"""Jobs and attempts as the Config API shows them (JobRead, AttemptRead, JobInfoRead)."""

from __future__ import annotations

import time
import uuid
from typing import Any

from airbyte_server.database import Attempt, Job
from airbyte_server.replication.logs import attempt_log_path, last_lines
from airbyte_server.replication.progress import aggregate, totals
from airbyte_server.services import Services


def job_info(services: Services, job: Job, *, logs: bool = True) -> dict[str, Any]:
    """A JobInfoRead: attempts with their numbers per stream (at most a second old while running) and their logs."""

    def lines(attempt: Attempt) -> list[str]:
        return last_lines(attempt_log_path(services.settings.data_dir, job.id, attempt.number)) if logs else []

    return {
        "job": job_response(job),
        "attempts": [
            {
                "attempt": attempt_response(attempt),
                "logType": "formatted",
                "logs": {"logLines": lines(attempt)},
            }
            for attempt in job.attempts
        ],
    }


def job_response(job: Job) -> dict[str, Any]:
    """A JobRead."""
    aggregated = aggregate([attempt.stream_stats for attempt in job.attempts])
    return {
        "id": job.id,
        "configType": "reset_connection" if job.config_type == "clear" else job.config_type,
        "configId": str(job.connection_id),
        "createdAt": int(job.created_at.timestamp()),
        "updatedAt": int(job.updated_at.timestamp()),
        "startedAt": int(job.started_at.timestamp()) if job.started_at else None,
        "status": job.status,
        "enabledStreams": [
            {"name": stream["name"], "namespace": stream.get("namespace")} for stream in job.streams or []
        ],
        "aggregatedStats": totals(aggregated),
        "streamAggregatedStats": aggregated,
    }


def attempt_response(attempt: Attempt) -> dict[str, Any]:
    """An AttemptRead."""
    numbers = totals(attempt.stream_stats)
    return {
        "id": attempt.number,
        "status": attempt.status,
        "createdAt": int(attempt.created_at.timestamp()),
        "updatedAt": int(attempt.updated_at.timestamp()),
        "endedAt": int(attempt.ended_at.timestamp()) if attempt.ended_at else None,
        "bytesSynced": numbers["bytesCommitted"],
        "recordsSynced": numbers["recordsCommitted"],
        "totalStats": numbers,
        "streamStats": attempt.stream_stats,
        "failureSummary": {"failures": attempt.failures, "partialSuccess": numbers["recordsCommitted"] > 0}
        if attempt.failures
        else None,
    }


def short_job(config_type: str, definition_id: uuid.UUID, started: int, log: list[str]) -> dict[str, Any]:
    """A SynchronousJobRead: a connector's command that is over when it is answered."""
    return {
        "id": str(uuid.uuid4()),
        "configType": config_type,
        "configId": str(definition_id),
        "createdAt": started,
        "endedAt": int(time.time()),
        # The command ran to an answer; what it found is in the answer itself.
        "succeeded": True,
        "logType": "formatted",
        "logs": {"logLines": log},
    }
