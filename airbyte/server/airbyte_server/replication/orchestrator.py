"""Jobs from ``pending`` to their end: attempts, waits between them, cancellation, and going on after a restart.

Each attempt is a workflow in a durable queue. It ends in one transaction that also ends the job or queues the next
attempt, so whenever the server dies, either an attempt is queued or the job is over.
"""

from __future__ import annotations

import logging
import shutil
import threading
import uuid
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from airbyte_server.catalog import stream_key
from airbyte_server.database import UNFINISHED, Attempt, Connection, Database, Job, now
from airbyte_server.errors import Problem, bad_request, not_found, state_conflict, try_again_later
from airbyte_server.failures import Failure
from airbyte_server.replication import attempt as replication
from airbyte_server.replication.checkpoints import Checkpoint
from airbyte_server.replication.logs import AttemptLog, attempt_log_path, remove_old_logs
from airbyte_server.replication.plan import Planner, fix_streams, store_checkpoints
from airbyte_server.replication.processes import Launcher, end_leftovers
from airbyte_server.replication.progress import totals
from airbyte_server.replication.queue import AttemptQueue
from airbyte_server.replication.retry import FailedAttempt, next_delay
from airbyte_server.schema_check import SchemaCheck
from airbyte_server.settings import Settings
from airbyte_server.vault import VaultError

logger = logging.getLogger(__name__)

_PROGRESS_SECONDS = 0.5
_DATABASE_SECONDS = 1.0
# What a cancelled job waits for a look at the source's schema to end.
_DISCOVERY_SECONDS = 1.0
_INTERRUPTED = "the server or its database stopped during the attempt"


class _Run:
    """An attempt being run by this server."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.over = threading.Event()
        self.attempt: replication.Attempt | None = None


class Orchestrator:
    """Runs jobs. Call :meth:`start` before anything else and :meth:`stop` at the end."""

    def __init__(
        self,
        database: Database,
        planner: Planner,
        schema_check: SchemaCheck,
        launcher: Launcher,
        settings: Settings,
    ) -> None:
        self._database = database
        self._launcher = launcher
        self._planner = planner
        self._schema_check = schema_check
        self._data_dir = settings.data_dir
        self._limits = settings.retry_limits
        self._timeouts = settings.timeouts
        self._log_limits = settings.log_limits
        self._queue = AttemptQueue(database.engine, self._run, settings.max_concurrent_jobs)
        self._runs: dict[int, _Run] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._stopped = threading.Event()

    def start(self) -> None:
        """End what an earlier server left running, then go on with its unfinished jobs."""
        if leftovers := end_leftovers(self._data_dir):
            logger.info("ended %s processes that an earlier server left", leftovers)
        shutil.rmtree(self._data_dir / "work", ignore_errors=True)
        self._queue.start()
        # A server from before the queue leaves jobs that are not in it.
        with self._database.session.begin() as session:
            for job in session.scalars(select(Job).where(Job.status.in_(UNFINISHED)).order_by(Job.id)):
                self._queue.put(session, job.id, sum(attempt.status != "running" for attempt in job.attempts))

    def forget(self) -> None:
        """Delete what nobody asks for any more; call it now and then."""
        self._queue.forget()

    def stop(self) -> None:
        """End connectors; unfinished jobs go on with a new attempt when a server starts again."""
        self._stopping.set()
        with self._lock:
            runs = list(self._runs.values())
        for run in runs:
            if run.attempt is not None:
                run.attempt.stop()
        # Also a connector that is asked for the source's schema.
        end_leftovers(self._data_dir)
        self._queue.stop(patience=5 if runs else 0)
        self._stopped.set()

    def create(
        self,
        connection_id: uuid.UUID,
        config_type: str,
        *,
        scope: list[dict[str, Any]] | None = None,
        refresh_mode: str | None = None,
    ) -> int:
        """Start a job; raises a 400, 404 or 409 problem.

        ``config_type`` is ``sync``, ``clear`` or ``refresh``. ``scope`` limits the last two to some streams, given by
        ``name`` and ``namespace``; ``refresh_mode`` is ``merge`` or ``truncate``.
        """
        with self._database.session() as session:
            connection = session.get(Connection, connection_id)
            if connection is None or connection.deleted_at is not None:
                raise not_found("connection", connection_id)
            if connection.status != "active" and config_type != "clear":
                raise state_conflict("Can only sync an active connection: set its status to active first.")
            if not connection.streams:
                raise state_conflict("The connection has no streams selected.")
            known = {stream_key(stream) for stream in connection.streams}
            for stream in scope or []:
                if stream_key(stream) not in known:
                    raise bad_request(f"Stream {stream['name']!r} is not one of the connection's streams.")
            job = Job(connection_id=connection_id, config_type=config_type, scope=scope, refresh_mode=refresh_mode)
            session.add(job)
            try:
                session.flush()
            except IntegrityError as error:
                raise try_again_later(f"A sync is already running for: {connection_id}") from error
            self._queue.put(session, job.id, 0)
            session.commit()
            return job.id

    def cancel(self, job_id: int) -> None:
        """Cancel an unfinished job and wait until it is over; raises a 404 or 409 problem."""
        with self._database.session.begin() as session:
            job = session.get(Job, job_id, with_for_update=True)
            if job is None:
                raise not_found("job", job_id)
            if job.status not in UNFINISHED:
                raise state_conflict("Job is not currently running")
            if job.status != "running":
                # Its attempt is still to come, and will find that the job is over.
                _set_status(job, "cancelled")
                return
        with self._lock:
            run = self._runs.get(job_id)
        if run is None:
            return
        run.cancelled.set()
        if run.attempt is None:
            run.over.wait(_DISCOVERY_SECONDS)
        if run.attempt is not None:
            run.attempt.stop()
            run.over.wait(10)
        elif not run.over.is_set():
            # It still looks at the source's schema, and will find that the job is over.
            with self._database.session.begin() as session:
                job = session.get_one(Job, job_id, with_for_update=True)
                if job.status in UNFINISHED:
                    _cancel(job)

    def _run(self, job_id: int, number: int) -> None:
        """What the queue calls for an attempt, once or, after a crash, again."""
        run = _Run()
        with self._lock:
            self._runs[job_id] = run
        try:
            # While the database is away nothing can be decided; the attempt's row tells afterwards how far it got.
            while not self._stopped.is_set():
                try:
                    if self._begin(job_id, number):
                        self._attempt(job_id, number, run)
                    return
                except (OperationalError, InterfaceError, PoolTimeout):
                    logger.exception("attempt %s of job %s waits for the metadata database", number, job_id)
                    self._stopped.wait(_DATABASE_SECONDS)
                except Exception as error:
                    # A defect of the server must not leave a job that nobody goes on with.
                    logger.exception("attempt %s of job %s", number, job_id)
                    self._abandon(job_id, f"{type(error).__name__}: {error}")
                    return
        finally:
            with self._lock:
                self._runs.pop(job_id, None)
            run.over.set()

    def _begin(self, job_id: int, number: int) -> bool:
        """Create the attempt's row; ``False`` when there is nothing to run, or an earlier run of it was interrupted."""
        with self._database.session.begin() as session:
            job = session.get_one(Job, job_id, with_for_update=True)
            if job.status not in UNFINISHED or len(job.attempts) > number + 1:
                return False
            if len(job.attempts) == number + 1:
                if job.attempts[-1].status == "running":
                    self._conclude(session, job, [_failure("system_error", _INTERRUPTED)], wait=False)
                return False
            job.started_at = job.started_at or now()
            _set_status(job, "running")
            session.add(Attempt(job_id=job_id, number=number))
        return True

    def _attempt(self, job_id: int, number: int, run: _Run) -> None:
        """Run an attempt whose row exists and store how it ended, whatever happens in between."""
        stats: list[dict[str, Any]] | None = None
        try:
            self._fix_streams(job_id)
            outcome, stats = self._replicate(job_id, number, run)
            failures = outcome.failures
        except Problem as problem:
            message = problem.body["data"].get("message") or str(problem)
            failures = [_failure("config_error", message)]
        except (FileNotFoundError, VaultError) as error:
            # A connector that is not installed, or a key that does not fit: trying again helps nobody.
            failures = [_failure("config_error", str(error))]
        except Exception as error:
            logger.exception("attempt %s of job %s", number, job_id)
            failures = [_failure("system_error", f"{type(error).__name__}: {error}")]
        with self._database.session.begin() as session:
            job = session.get_one(Job, job_id, with_for_update=True)
            if job.status not in UNFINISHED:
                return
            job.attempts[-1].stream_stats = stats or job.attempts[-1].stream_stats
            if run.cancelled.is_set():
                _cancel(job)
            elif self._stopping.is_set():
                self._conclude(session, job, [_failure("system_error", _INTERRUPTED)], wait=False)
            else:
                self._conclude(session, job, failures)

    def _conclude(self, session: Session, job: Job, failures: list[Failure], *, wait: bool = True) -> None:
        """End the job's last attempt, and with it the job, or queue the next attempt.

        The server's own stop calls for no waiting, but an attempt that brings it down must not go on for ever.
        """
        _end_attempt(job.attempts[-1], failures)
        if not failures:
            _set_status(job, "succeeded")
            return
        delay = next_delay([_failed(attempt) for attempt in job.attempts], self._limits)
        if delay is None:
            _set_status(job, "failed")
        else:
            _set_status(job, "incomplete")
            self._queue.put(session, job.id, len(job.attempts), delay if wait else 0)

    def _abandon(self, job_id: int, message: str) -> None:
        with self._database.session.begin() as session:
            job = session.get_one(Job, job_id, with_for_update=True)
            if job.attempts and job.attempts[-1].status == "running":
                _end_attempt(job.attempts[-1], [_failure("system_error", message)])
            _set_status(job, "failed")

    def _fix_streams(self, job_id: int) -> None:
        """Decide before a job's first attempt what it replicates; a 409 problem when the source's schema forbids it."""
        with self._database.session() as session:
            job = session.get_one(Job, job_id)
        if job.streams is not None:
            return
        if job.config_type != "clear" and (refusal := self._schema_check.before_sync(job.connection_id)):
            raise state_conflict(refusal)
        with self._database.session.begin() as session:
            job = session.get_one(Job, job_id, with_for_update=True)
            if job.status not in UNFINISHED:
                raise state_conflict("the job was cancelled")
            job.streams = fix_streams(session, job)

    def _replicate(
        self, job_id: int, number: int, run: _Run
    ) -> tuple[replication.Outcome, list[dict[str, Any]] | None]:
        with self._database.session() as session:
            job = session.get_one(Job, job_id)
            plan = self._planner.plan(session, job, number)
            redact = self._planner.redactor(job)
            connection_id = job.connection_id

        def committed(checkpoints: list[Checkpoint]) -> None:
            with self._database.session.begin() as session:
                store_checkpoints(session, connection_id, checkpoints)
                self._save_progress(session, job_id, number, attempt.stats())

        remove_old_logs(self._data_dir, self._log_limits)
        path = attempt_log_path(self._data_dir, job_id, number)
        with AttemptLog(path, redact, self._log_limits.attempt_bytes) as log:
            attempt = replication.Attempt(plan, self._launcher, log, self._timeouts, committed)
            run.attempt = attempt
            over = threading.Event()
            reporter = threading.Thread(target=self._report, args=(job_id, number, attempt, over), daemon=True)
            reporter.start()
            try:
                if run.cancelled.is_set() or self._stopping.is_set():
                    attempt.stop()
                outcome = attempt.run()
            finally:
                run.attempt = None
                over.set()
                reporter.join()
        return outcome, attempt.final_stats

    def _report(self, job_id: int, number: int, attempt: replication.Attempt, over: threading.Event) -> None:
        while not over.wait(_PROGRESS_SECONDS):
            try:
                with attempt.progress() as stats:
                    if stats is not None:
                        with self._database.session.begin() as session:
                            self._save_progress(session, job_id, number, stats)
            except Exception:
                logger.exception("the progress of job %s could not be stored", job_id)

    @staticmethod
    def _save_progress(session: Session, job_id: int, number: int, stats: list[dict[str, Any]]) -> None:
        row = session.get_one(Attempt, (job_id, number))
        row.stream_stats = stats
        row.updated_at = now()


def _failure(failure_type: str, message: str) -> Failure:
    return Failure("airbyte_platform", failure_type, message)


def _cancel(job: Job) -> None:
    _end_attempt(job.attempts[-1], [_failure("manual_cancellation", "the job was cancelled")])
    _set_status(job, "cancelled")


def _set_status(job: Job, status: str) -> None:
    job.status = status
    job.updated_at = now()


def _end_attempt(attempt: Attempt, failures: list[Failure]) -> None:
    attempt.status = "failed" if failures else "succeeded"
    attempt.failures = [failure.as_dict() for failure in failures]
    attempt.ended_at = attempt.updated_at = now()


def _failed(attempt: Attempt) -> FailedAttempt:
    numbers = totals(attempt.stream_stats)
    return FailedAttempt(
        partial=numbers["recordsCommitted"] + numbers["recordsRejected"] > 0,
        config_error=any(failure["failureType"] == "config_error" for failure in attempt.failures),
    )
