"""One job: REST's Job resource and what running it needs."""

from __future__ import annotations

import threading
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bq_emulator.duck import Session
from bq_emulator.metadata import now_ms
from bq_emulator.model import BigQueryError
from bq_emulator.scanned import Scanned

KINDS = ("query", "load", "copy", "extract")


def error_proto(error: BigQueryError) -> dict[str, str]:
    """REST's ErrorProto."""
    proto = {"reason": error.reason, "message": error.message}
    if error.location:
        proto["location"] = error.location
    return proto


@dataclass(eq=False)
class Job:
    """``configuration`` is REST's JobConfiguration; ``statistics`` REST's, times in ms as text."""

    project: str
    job_id: str
    location: str
    configuration: dict[str, Any]
    upload: Path | None = None
    state: str = "PENDING"
    statistics: dict[str, Any] = field(default_factory=lambda: {"creationTime": str(now_ms())})
    error: BigQueryError | None = None
    #: What went wrong without failing the job: bad rows that maxBadRecords allows.
    warnings: list[BigQueryError] = field(default_factory=list)
    etag: str = ""
    #: Of a query's result.
    rows: int | None = None
    # While it runs:
    scanned: Scanned | None = None
    #: What the script has been billed before this statement of it.
    billed_before: int = 0
    parent: Job | None = None
    done: Future[None] = field(default_factory=Future)
    session: Session | None = None
    stop_reason: BigQueryError | None = None
    mutex: threading.Lock = field(default_factory=threading.Lock)

    @property
    def kind(self) -> str:
        return next(kind for kind in KINDS if kind in self.configuration)

    @property
    def parameters(self) -> dict[str, Any]:
        """The part of the configuration that belongs to the job's kind."""
        return self.configuration[self.kind]

    def request_stop(self, reason: BigQueryError) -> None:
        """Stop it, wherever it is; it ends with ``reason`` unless it has already committed."""
        with self.mutex:
            if self.stop_reason is not None:
                return
            self.stop_reason = reason
        threading.Thread(target=self._interrupt, name="stop", daemon=True).start()

    def _interrupt(self) -> None:
        """An interrupt that comes between two of the session's statements is lost, so one is not enough."""
        while not self.done.done():
            with self.mutex:
                if self.session is not None:
                    self.session.interrupt()
            wait([self.done], timeout=0.05)

    def check_stop(self) -> None:
        """Raises the reason if it, or the script it is a statement of, is to stop."""
        if self.stop_reason is not None:
            raise self.stop_reason
        if self.parent is not None:
            self.parent.check_stop()

    def resource(self, state: str | None = None) -> dict[str, Any]:
        """REST's Job; ``state`` in place of the present one."""
        status: dict[str, Any] = {"state": state or self.state}
        if self.error is not None:
            errors = (self.error, *self.error.causes)
            status |= {"errorResult": error_proto(self.error), "errors": [error_proto(error) for error in errors]}
        elif self.warnings:
            status["errors"] = [error_proto(error) for error in self.warnings]
        return {
            "kind": "bigquery#job",
            "id": f"{self.project}:{self.location}.{self.job_id}",
            "etag": self.etag,
            "jobReference": {"projectId": self.project, "jobId": self.job_id, "location": self.location},
            "configuration": {"jobType": self.kind.upper(), **self.configuration},
            "status": status,
            "statistics": self.statistics,
            "user_email": "emulator@localhost",
        }
