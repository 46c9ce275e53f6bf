"""One simulated day: what its parts share."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import numpy as np

from source_db.columns import HOUR, Bytes, Ints
from source_db.database import Connection
from source_db.events import EventLog, events
from source_db.planting import Planter
from source_db.span import Span

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Day:
    """``changes`` counts what happened, ``faults`` what was planted."""

    date: date
    connection: Connection
    rng: np.random.Generator
    span: Span
    log: EventLog = field(default_factory=EventLog)
    changes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    def planter(self) -> Planter:
        """Late orders come every day, other faults when they come."""
        return Planter(self.rng, self.faults, guaranteed={"late_orders"}.__contains__)

    def instants(self, count: int) -> Ints:
        """Instants of the day, not so late that what follows from them would fall on the next."""
        return self.rng.integers(self.span.start, self.span.end - 2 * HOUR, count)

    def some(self, share: float, of: int) -> int:
        """About ``share`` × ``of``, one at least if there is any."""
        return min(of, max(1, int(self.rng.poisson(share * of))))

    def record(self, event_type: str, entity_ids: Bytes, at: Ints, data: str = "{}") -> None:
        """Log an event of the entity that ``event_type`` begins with, received seconds after it happened."""
        if len(entity_ids):
            received = at + self.rng.integers(100_000, 30_000_000, len(at))
            self.log.add(events(event_type, event_type.split(".")[0], entity_ids, data, at, received))

    def sample(self, rows: list[tuple], share: float) -> list[tuple]:
        """Rows chosen at random, one at least if there is any, in their order."""
        if not rows:
            return []
        return [rows[index] for index in sorted(self.rng.choice(len(rows), self.some(share, len(rows)), replace=False))]


def times(instants: Iterable[int]) -> list[datetime]:
    """Instants as the database driver takes them."""
    return [_EPOCH + timedelta(microseconds=int(value)) for value in instants]


def micros(value: datetime) -> int:
    """A timestamptz, or a timestamp in UTC without zone, as an instant."""
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def as_uuids(ids: Bytes) -> list[uuid.UUID]:
    return [uuid.UUID(bytes=row.tobytes()) for row in ids]
