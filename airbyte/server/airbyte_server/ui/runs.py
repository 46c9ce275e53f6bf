"""Jobs as people look at them: what they were, how they ended, what they moved."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, defer

from airbyte_server.database import UNFINISHED, Attempt, Job, now
from airbyte_server.replication.progress import StreamKey, aggregate, totals

KINDS = {"sync": "Sync", "refresh": "Refresh", "clear": "Clear"}
STATUSES = ("pending", "running", "incomplete", "succeeded", "failed", "cancelled")
TONES = {
    "succeeded": "good",
    "failed": "bad",
    "cancelled": "warn",
    "incomplete": "warn",
    "running": "busy",
    "pending": "busy",
}
"""How a job's status is coloured."""


@dataclass(frozen=True)
class Run:
    """A job with its numbers. ``streams``: entries of the Config API's ``streamAggregatedStats`` by stream."""

    job: Job
    streams: dict[StreamKey, dict[str, Any]]

    @property
    def id(self) -> int:
        return self.job.id

    @property
    def kind(self) -> str:
        return KINDS[self.job.config_type]

    @property
    def status(self) -> str:
        return self.job.status

    @property
    def tone(self) -> str:
        return TONES[self.job.status]

    @property
    def is_over(self) -> bool:
        return self.job.status not in UNFINISHED

    @property
    def attempts(self) -> list[Attempt]:
        return self.job.attempts

    @property
    def started(self) -> datetime:
        return self.job.started_at or self.job.created_at

    @property
    def ended(self) -> datetime | None:
        return self.job.updated_at if self.is_over else None

    @property
    def duration(self) -> timedelta:
        return (self.ended or now()) - self.started

    @property
    def rows(self) -> int:
        return self._sum("recordsCommitted")

    @property
    def rows_read(self) -> int:
        return self._sum("recordsEmitted")

    @property
    def bytes(self) -> int:
        return self._sum("bytesCommitted")

    @property
    def rejected(self) -> int:
        return self._sum("recordsRejected")

    def _sum(self, name: str) -> int:
        return totals(list(self.streams.values()))[name]

    @property
    def failures(self) -> list[dict[str, Any]]:
        """Why the last attempt that failed did."""
        return next((attempt.failures for attempt in reversed(self.attempts) if attempt.failures), [])

    @property
    def message(self) -> str:
        """The first failure in plain words, if the job did not get over it."""
        return "" if self.status == "succeeded" or not self.failures else str(self.failures[0]["externalMessage"])

    @property
    def scope(self) -> list[str]:
        """The names of the streams that were asked for; empty: all."""
        return [stream["name"] for stream in self.job.scope or []]

    def covers(self, key: StreamKey) -> bool:
        """Whether the job has to do with a stream, as far as can be told before it counts anything."""
        if self.job.config_type == "clear" and self.job.scope:
            return any((stream.get("namespace") or "", stream["name"]) == key for stream in self.job.scope)
        return True


def jobs_query() -> Select[Job]:
    """Jobs, the newest first, without the catalogs they were run with, which can be long."""
    return select(Job).options(defer(Job.streams)).order_by(Job.id.desc())


def run_of(job: Job) -> Run:
    entries = aggregate([attempt.stream_stats for attempt in job.attempts])
    return Run(job, {(entry["streamNamespace"] or "", entry["streamName"]): entry for entry in entries})


def latest_runs(session: Session, connection_id: uuid.UUID, limit: int) -> list[Run]:
    """A connection's last jobs, the newest first."""
    query = jobs_query().where(Job.connection_id == connection_id).limit(limit)
    return [run_of(job) for job in session.scalars(query)]
