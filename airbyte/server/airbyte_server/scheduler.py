"""Connections that run by themselves: Quartz cron expressions (UTC) and fixed intervals."""

from __future__ import annotations

import logging
import os
import re
import signal
import threading
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from croniter import CroniterError, croniter  # type: ignore[import-untyped]
from sqlalchemy import Row, func, select

from airbyte_server.database import UNFINISHED, Connection, Database, Job, now
from airbyte_server.errors import Problem, bad_request, invalid_cron
from airbyte_server.replication.orchestrator import Orchestrator

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 5.0
_FORGET_SECONDS = 3600.0
# More digits would reach beyond the calendar.
_TIMING = re.compile(r"Every (\d{1,5}) (MINUTES|HOURS|DAYS|WEEKS)", re.IGNORECASE)


def parse_schedule(request: dict[str, Any] | None) -> dict[str, Any]:
    """The stored (and public) form of a client's schedule; a 400 problem tells what is wrong with it."""
    kind = (request or {}).get("scheduleType", "manual")
    if kind == "manual":
        return {"scheduleType": "manual"}
    if kind == "cron":
        expression = re.sub(r"\s+UTC$", "", ((request or {}).get("cronExpression") or "").strip())
        _check_cron(expression)
        return {"scheduleType": "cron", "cronExpression": f"{expression} UTC"}
    if kind == "basic":
        timing = (request or {}).get("basicTiming") or ""
        if _interval(timing) is None:
            raise bad_request(f"basicTiming {timing!r} must read like 'Every 24 HOURS' (MINUTES, HOURS, DAYS or WEEKS)")
        return {"scheduleType": "basic", "basicTiming": timing}
    raise bad_request(f"scheduleType {kind!r} is none of manual, cron, basic")


def next_run(
    schedule: dict[str, Any], since: datetime, last_start: datetime | None, last_end: datetime | None
) -> datetime | None:
    """When a connection is due that has this schedule ``since`` then; ``None`` if it only runs by hand.

    ``last_start`` is of its last sync or refresh, ``last_end`` of its last job of any kind. The platform's rules: an
    interval counts from start to start, and the first run does not wait; a cron time that falls into a job is left out.
    """
    if schedule["scheduleType"] == "cron":
        expression = _from_quartz(schedule["cronExpression"].removesuffix(" UTC"))
        after = max(since, last_end) if last_end else since
        return croniter(expression, after, second_at_beginning=True).get_next(datetime)
    if schedule["scheduleType"] == "basic":
        interval = _interval(schedule["basicTiming"])
        return last_start + interval if last_start and interval else since
    return None


def _interval(timing: str) -> timedelta | None:
    match = _TIMING.fullmatch(timing.strip())
    if match is None or int(match[1]) == 0:
        return None
    return timedelta(**{match[2].lower(): int(match[1])})


def _check_cron(expression: str) -> None:
    fields = expression.split()
    if len(fields) not in (6, 7):
        raise invalid_cron(
            expression,
            f"it has {len(fields)} fields; Quartz needs 6 or 7: second minute hour day month weekday [year]",
        )
    if "*" in (fields[0], fields[1]):
        raise invalid_cron(expression, "it runs more than once an hour: seconds and minutes must not be *")
    try:
        croniter(_from_quartz(expression), now(), second_at_beginning=True).get_next(datetime)
    except (CroniterError, ValueError, KeyError) as error:
        raise invalid_cron(expression, str(error)) from error


def _from_quartz(expression: str) -> str:
    """Quartz counts days of the week from 1 = Sunday, cron from 0; both write names and ``?`` alike."""
    fields = expression.split()
    fields[5] = re.sub(r"(?<![#/\dA-Za-z])\d+", lambda match: str((int(match[0]) - 1) % 7), fields[5])
    return " ".join(fields)


class Scheduler:
    """Starts jobs that are due, looking every few seconds; a run missed while the server was down is made up once."""

    def __init__(self, database: Database, orchestrator: Orchestrator) -> None:
        self._database = database
        self._orchestrator = orchestrator
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="scheduler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def _loop(self) -> None:
        forget_at = 0.0
        while not self._stopping.wait(_LOOK_SECONDS):
            try:
                if time.monotonic() >= forget_at:
                    forget_at = time.monotonic() + _FORGET_SECONDS
                    self._orchestrator.forget()
                self._database.keep()
                self.run_due()
            except RuntimeError as error:
                logger.critical("%s; this one stops", error)
                os.kill(os.getpid(), signal.SIGTERM)
                return
            except Exception:
                logger.exception("schedules could not be looked at; trying again in %s s", _LOOK_SECONDS)

    def run_due(self) -> None:
        """Start a sync for every active connection that is due and idle."""
        replication = Job.config_type != "clear"
        last = (
            select(
                Job.connection_id,
                func.max(func.coalesce(Job.started_at, Job.created_at)).filter(replication).label("start"),
                func.max(Job.updated_at).label("end"),
            )
            .group_by(Job.connection_id)
            .subquery()
        )
        busy = select(Job.connection_id).where(Job.status.in_(UNFINISHED))
        with self._database.session() as session:
            candidates: Sequence[Row[Connection, datetime | None, datetime | None]] = session.execute(
                select(Connection, last.c.start, last.c.end)
                .outerjoin(last, last.c.connection_id == Connection.id)
                .where(
                    Connection.deleted_at.is_(None),
                    Connection.status == "active",
                    Connection.schedule["scheduleType"].astext != "manual",
                    Connection.id.not_in(busy),
                )
            ).all()
        for connection, start, end in candidates:
            due = next_run(connection.schedule, connection.scheduled_since, start, end)
            if due is not None and due <= now():
                try:
                    self._orchestrator.create(connection.id, "sync")
                except Problem as problem:
                    logger.warning("connection %s is due but cannot run: %s", connection.id, problem.body)
