"""What has been counted of one attempt, per stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

StreamKey = tuple[str, str]
"""(namespace, name) on the source's side; no namespace is the empty string."""


@dataclass
class StreamProgress:
    """Counts of one stream. Emitted: sent by the source. Committed: durably written, as the destination confirmed.

    ``emitted*`` and ``states_emitted`` are written by the thread that reads the source, the others by the one that
    reads the destination. ``bytes`` are of the records' ``data`` as JSON text, or of their frames. ``status`` is the
    source's last stream status, or empty. ``ahead*`` came on the data channel and wait for a state that covers them.
    """

    key: StreamKey
    resumed: bool
    emitted: int = 0
    emitted_bytes: int = 0
    states_emitted: int = 0
    ahead: int = 0
    ahead_bytes: int = 0
    committed: int = 0
    committed_bytes: int = 0
    rejected: int = 0
    estimated_records: int | None = None
    estimated_bytes: int | None = None
    status: str = ""

    def arrive(self, records: int, size: int) -> None:
        self.ahead += records
        self.ahead_bytes += size

    def settle(self, records: int, size: int) -> None:
        self.ahead -= records
        self.ahead_bytes -= size
        self.emitted += records
        self.emitted_bytes += size

    def as_dict(self) -> dict[str, Any]:
        """An entry of the Config API's ``streamStats``, with the stream's status added."""
        return {
            "streamName": self.key[1],
            "streamNamespace": self.key[0] or None,
            "status": self.status or "PENDING",
            "wasResumed": self.resumed,
            "stats": {
                "recordsEmitted": self.emitted + self.ahead,
                "bytesEmitted": self.emitted_bytes + self.ahead_bytes,
                "recordsCommitted": self.committed,
                "bytesCommitted": self.committed_bytes,
                "recordsRejected": self.rejected,
                "stateMessagesEmitted": self.states_emitted,
                "estimatedRecords": self.estimated_records,
                "estimatedBytes": self.estimated_bytes,
            },
        }


_SUMMED = ("recordsEmitted", "bytesEmitted", "recordsCommitted", "bytesCommitted", "recordsRejected")


def totals(entries: list[dict[str, Any]]) -> dict[str, int]:
    """The sums over some ``streamStats`` or ``streamAggregatedStats`` entries' numbers."""
    return {name: sum(entry.get("stats", entry)[name] for entry in entries) for name in _SUMMED}


def aggregate(attempts: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """A job's ``streamAggregatedStats`` from its attempts' ``streamStats``.

    An attempt that resumed a stream adds to what earlier ones did; one that began it again replaces that.
    """
    streams: dict[StreamKey, dict[str, Any]] = {}
    for entries in attempts:
        for entry in entries:
            key = (entry["streamNamespace"] or "", entry["streamName"])
            before = streams.get(key) if entry["wasResumed"] else None
            streams[key] = {
                "streamName": entry["streamName"],
                "streamNamespace": entry["streamNamespace"],
                "status": entry["status"],
                **{name: entry["stats"][name] + (before[name] if before else 0) for name in _SUMMED},
                "wasResumed": entry["wasResumed"],
                "wasBackfilled": None,
            }
    return list(streams.values())
