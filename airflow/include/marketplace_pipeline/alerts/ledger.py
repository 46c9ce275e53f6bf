"""Which alerts are open: what makes a message leave once, and another when it is over."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from marketplace_pipeline.alerts.finding import Finding, Message, raised, recovered

#: An alert that stays open is told again after this long.
REMIND_AFTER = timedelta(hours=24)


class Store(Protocol):
    """Keeps one text between runs."""

    def read(self) -> str | None: ...

    def write(self, text: str) -> None: ...


@dataclass(frozen=True)
class FileStore:
    """For who watches Airflow from outside."""

    path: Path

    def read(self) -> str | None:
        return self.path.read_text() if self.path.exists() else None

    def write(self, text: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self.path.with_suffix(".tmp")
        scratch.write_text(text)
        scratch.replace(self.path)


@dataclass
class Open:
    """An open alert; instants in ISO 8601. ``subjects`` are those not yet seen good."""

    since: str
    told: str
    subjects: list[str]


def settle(
    store: Store,
    findings: Iterable[Finding],
    healthy: Callable[[str], bool],
    send: Callable[[Message], bool],
    now: datetime,
) -> dict[str, Open]:
    """Tell what is new, keep silent on what is known, tell what is over; the alerts that are open now.

    ``healthy`` says of a subject whether it was looked at this time and is good. ``send`` says whether the message
    arrived: one that did not is told again next time.
    """
    opened = {name: Open(**kept) for name, kept in json.loads(store.read() or "{}").items()}
    found: dict[str, Finding] = {finding.alert: finding for finding in findings}
    for name, finding in found.items():
        known = opened.get(name)
        still_bad = {subject for subject in known.subjects if not healthy(subject)} if known else set()
        new_subjects = finding.subjects - still_bad
        since = datetime.fromisoformat(known.since) if known else now
        due = known is None or not known.told or now - datetime.fromisoformat(known.told) >= REMIND_AFTER
        told = known.told if known else ""
        if due or new_subjects:
            told = now.isoformat() if send(raised(finding, since)) else ""
        opened[name] = Open(since.isoformat(), told, sorted(finding.subjects | still_bad))
    for name in [name for name in opened if name not in found]:
        known = opened[name]
        known.subjects = [subject for subject in known.subjects if not healthy(subject)]
        if not known.subjects and send(recovered(name, datetime.fromisoformat(known.since), now)):
            del opened[name]
    store.write(json.dumps({name: asdict(kept) for name, kept in opened.items()}, sort_keys=True))
    return opened
