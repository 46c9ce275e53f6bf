"""Replication slots of the source: one that is not read fills its disk, one that was invalidated has lost changes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import psycopg

from marketplace_pipeline.alerts.finding import Finding

log = logging.getLogger(__name__)

_MEGABYTES = 1024
#: What is found bad, and good again, is the slots as one: one that was dropped is no more.
SUBJECT = "replication slots"
#: Physical slots are of the source's own replicas. A server before version 13 has no wal_status.
_SLOTS = """
    SELECT slot_name, to_jsonb(slot) ->> 'wal_status', coalesce(pg_wal_lsn_diff(
        CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END, restart_lsn
    ), 0)::bigint
    FROM pg_replication_slots AS slot
    WHERE slot_type = 'logical' AND database = current_database()
    ORDER BY 1
"""


@dataclass(frozen=True)
class Slot:
    """A logical replication slot; ``kept`` is the log that the server keeps for it, in bytes."""

    name: str
    status: str | None
    kept: int

    def trouble(self, limit: float) -> str | None:
        """What is wrong with it, if it may keep ``limit`` megabytes."""
        if self.status == "lost":
            return f"Replication slot {self.name} is lost: the server has removed log that it had not read."
        megabytes = self.kept / 2**20
        if self.status == "unreserved" or megabytes > limit:
            return (
                f"Replication slot {self.name} keeps {megabytes:,.0f} MB of the source's log (status {self.status}); "
                f"{limit:g} MB are allowed (ALERT_SLOT_MEGABYTES)."
            )
        return None


def troubled_slots(environment: Mapping[str, str]) -> Finding | None:
    """A finding naming each slot of the source's database that is lost, or keeps more than ``ALERT_SLOT_MEGABYTES``.

    Where no source is named (``SOURCE_POSTGRES_HOST``), nobody can look.

    Raises:
        psycopg.OperationalError: the source does not answer.
    """
    if not environment.get("SOURCE_POSTGRES_HOST"):
        log.info("SOURCE_POSTGRES_HOST is not set here: the source's replication slots are not looked at.")
        return None
    limit = float(environment.get("ALERT_SLOT_MEGABYTES") or _MEGABYTES)
    bad = [trouble for slot in _slots(environment) if (trouble := slot.trouble(limit))]
    return Finding("ReplicationSlotLost", frozenset({SUBJECT}), tuple(bad)) if bad else None


def _slots(environment: Mapping[str, str]) -> list[Slot]:
    names = {"host": "HOST", "port": "PORT", "dbname": "DATABASE", "user": "USER", "password": "PASSWORD"}
    names["sslmode"] = "SSL_MODE"
    given = {key: environment.get(f"SOURCE_POSTGRES_{name}") for key, name in names.items()}
    conninfo = psycopg.conninfo.make_conninfo(**{key: value for key, value in given.items() if value})
    with psycopg.connect(conninfo, autocommit=True, connect_timeout=10) as source:
        return [Slot(*row) for row in source.execute(_SLOTS)]
