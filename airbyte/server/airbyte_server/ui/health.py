"""Whether a connection and its streams are well, in one word each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airbyte_server.catalog import stream_key
from airbyte_server.database import Connection
from airbyte_server.replication.progress import StreamKey
from airbyte_server.ui.formats import MODES, ago, counted, duration
from airbyte_server.ui.runs import Run

_DOING = {"sync": "Syncing", "refresh": "Refreshing", "clear": "Clearing"}
_REASONS = {
    "SCHEMA_CHANGES_ARE_BREAKING": "the source's schema has changed in a way that breaks it",
    "DISABLE_CONNECTION_IF_ANY_SCHEMA_CHANGES": "the source's schema has changed, and it is set to be paused then",
}
HEALTHS = ("Healthy", "Failed", "Cancelled", "Running", "Paused", "Not synced")
"""What the list of connections can be filtered by."""


@dataclass(frozen=True)
class Health:
    """``tone``: good, bad, warn, busy or idle. ``group``: one of :data:`HEALTHS`."""

    word: str
    tone: str
    group: str


def connection_health(connection: Connection, latest: Run | None) -> Health:
    if latest is not None and not latest.is_over:
        words = {"pending": "Queued", "incomplete": "Retrying"}
        word = words.get(latest.status) or _DOING[latest.job.config_type]
        return Health(word, "warn" if latest.status == "incomplete" else "busy", "Running")
    if connection.status != "active":
        return Health("Paused", "idle", "Paused")
    if latest is None:
        return Health("Not synced", "idle", "Not synced")
    if latest.status == "succeeded":
        return Health("Healthy", "good", "Healthy")
    word = latest.status.capitalize()
    return Health(word, latest.tone, word)


def pause_reason(connection: Connection) -> str:
    return _REASONS.get(connection.status_reason or "", "someone switched it off")


def headline(connection: Connection, latest: Run | None) -> str:
    """The connection's state in a sentence; a failure's own words are shown beside it."""
    if latest is not None and not latest.is_over:
        if latest.status == "pending":
            return f"{latest.kind} waits for its turn."
        if latest.status == "incomplete":
            return f"Attempt {len(latest.attempts)} failed; another follows."
        doing, read = _DOING[latest.job.config_type], counted(latest.rows_read, "row")
        return f"{doing} for {duration(latest.duration)}: {read} read."
    paused = "" if connection.status == "active" else f" The connection is paused: {pause_reason(connection)}."
    if latest is None or latest.ended is None:
        return f"It has never been synced.{paused}"
    if latest.status == "succeeded":
        done = "cleared" if latest.job.config_type == "clear" else counted(latest.rows, "row")
        return f"{latest.kind} succeeded {ago(latest.ended)}: {done} in {duration(latest.duration)}.{paused}"
    ended = "failed" if latest.status == "failed" else "was cancelled"
    return f"{latest.kind} {ended} {ago(latest.ended)} after {counted(latest.rows, 'row')}.{paused}"


@dataclass(frozen=True)
class StreamHealth:
    """A stream and its latest run. ``fresh``: when it was last replicated to its end. ``expected``: rows, a guess."""

    name: str
    namespace: str
    read: str
    write: str
    word: str
    tone: str
    rows: int
    rows_read: int
    bytes: int
    run: Run | None
    fresh: datetime | None
    expected: int | None

    @property
    def progress(self) -> int | None:
        """Percent of the rows read, while the stream is being replicated."""
        if self.tone != "busy" or not self.expected:
            return None
        return min(99, 100 * self.rows_read // self.expected)


def stream_healths(connection: Connection, runs: list[Run]) -> list[StreamHealth]:
    """The connection's streams from its last ``runs``, the newest first."""
    return [_stream(stream, stream_key(stream), runs) for stream in connection.streams]


def _stream(stored: dict[str, Any], key: StreamKey, runs: list[Run]) -> StreamHealth:
    current = runs[0] if runs and not runs[0].is_over and runs[0].covers(key) else None
    run = current or next((run for run in runs if key in run.streams), None)
    counted = run.streams.get(key) if run else None
    done = next((run for run in runs if _complete(run, key)), None)
    word, tone = _word(run, counted)
    return StreamHealth(
        name=stored["name"],
        namespace=stored.get("namespace") or "",
        read=MODES[stored["syncMode"]][0],
        write=MODES[stored["syncMode"]][1],
        word=word,
        tone=tone,
        rows=counted["recordsCommitted"] if counted else 0,
        rows_read=counted["recordsEmitted"] if counted else 0,
        bytes=counted["bytesCommitted"] if counted else 0,
        run=run,
        fresh=done.ended if done else None,
        expected=_expected(current, key),
    )


def _complete(run: Run, key: StreamKey) -> bool:
    return run.is_over and run.job.config_type != "clear" and run.status == "succeeded" and key in run.streams


def _word(run: Run | None, counted: dict[str, Any] | None) -> tuple[str, str]:
    if run is None:
        return "Pending", "idle"
    status = counted["status"] if counted else "PENDING"
    if not run.is_over:
        if status == "COMPLETE":
            return "Read", "busy"
        if status == "INCOMPLETE":
            return "Incomplete", "warn"
        if status == "PENDING" and not (counted and counted["recordsEmitted"]):
            return "Queued", "busy"
        return _DOING[run.job.config_type], "busy"
    if run.status == "succeeded":
        return ("Cleared", "idle") if run.job.config_type == "clear" else ("Synced", "good")
    if status == "COMPLETE" and counted and counted["recordsCommitted"] == counted["recordsEmitted"]:
        return "Synced", "good"
    return ("Failed", "bad") if run.status == "failed" else ("Incomplete", "warn")


def _expected(current: Run | None, key: StreamKey) -> int | None:
    """What the source estimates."""
    if current is None or not current.attempts:
        return None
    for entry in current.attempts[-1].stream_stats:
        if (entry["streamNamespace"] or "", entry["streamName"]) == key:
            return entry["stats"].get("estimatedRecords")
    return None
