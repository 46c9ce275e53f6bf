"""What is kept of a pipeline run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class PipelineRun:
    """A row of ``ops.pipeline_runs``.

    ``state`` is success or failed, as it stands when the run is recorded. ``stage_seconds`` are the seconds that the
    tasks of a stage took, added up: more than the clock's where tasks ran side by side. ``source_hours`` is how old the
    youngest row of a table was. None means not known: the task that would tell did not run, or the warehouse was away.
    """

    run_id: str
    started_at: datetime
    recorded_at: datetime
    state: str
    job_id: int | None = None
    bytes_synced: int | None = None
    stream_rows: dict[str, int] = field(default_factory=dict)
    stage_seconds: dict[str, float] = field(default_factory=dict)
    source_hours: dict[str, float] = field(default_factory=dict)
    tests_passed: int = 0
    tests_warned: int = 0
    tests_failed: int = 0
    tests_not_run: int = 0
    failed_tasks: tuple[str, ...] = ()
    duplicates_removed: int | None = None
    quarantined: int | None = None
    orders: int | None = None

    @property
    def rows_synced(self) -> int:
        return sum(self.stream_rows.values())

    @property
    def seconds(self) -> float:
        return (self.recorded_at - self.started_at).total_seconds()

    def as_json(self) -> dict[str, Any]:
        """With instants in ISO 8601; :meth:`from_json` reads it."""
        return asdict(self) | {
            "started_at": self.started_at.isoformat(),
            "recorded_at": self.recorded_at.isoformat(),
            "failed_tasks": list(self.failed_tasks),
        }

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> PipelineRun:
        return cls(
            **kept
            | {
                "started_at": datetime.fromisoformat(kept["started_at"]),
                "recorded_at": datetime.fromisoformat(kept["recorded_at"]),
                "failed_tasks": tuple(kept["failed_tasks"]),
            }
        )
