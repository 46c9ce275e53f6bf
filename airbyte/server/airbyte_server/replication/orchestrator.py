"""Jobs from ``pending`` to their end: attempts, waits between them, cancellation, and going on after a restart.

Everything that must survive is in the database; this class can be replaced by a durable-execution library without
touching attempts or the API.
"""

from __future__ import annotations

import logging
import shutil
import threading
import uuid
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from airbyte_server.database import UNFINISHED, Attempt, Connection, Database, Job, now
from airbyte_server.errors import Problem, not_found, state_conflict, try_again_later
from airbyte_server.failures import Failure
from airbyte_server.replication import attempt as replication
from airbyte_server.replication.checkpoints import Checkpoint
from airbyte_server.replication.logs import AttemptLog, attempt_log_path
from airbyte_server.replication.plan import Planner, drop_all_state, fix_streams, store_checkpoints
from airbyte_server.replication.processes import end_leftover
from airbyte_server.replication.progress import totals
from airbyte_server.replication.retry import FailedAttempt, next_delay
from airbyte_server.settings import RetryLimits
from airbyte_server.vault import VaultError

logger = logging.getLogger(__name__)

_PROGRESS_SECONDS = 0.5


class _Run:
    """A job being run by this server."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.attempt: replication.Attempt | None = None
        self.thread: threading.Thread | None = None


class Orchestrator:
    """Runs jobs, each in a thread. Call :meth:`start` before anything else and :meth:`stop` at the end."""

    def __init__(
        self, database: Database, planner: Planner, data_dir: Path, limits: RetryLimits, max_concurrent_jobs: int
    ) -> None:
        self._database = database
        self._planner = planner
        self._data_dir = data_dir
        self._limits = limits
        self._slots = threading.BoundedSemaphore(max_concurrent_jobs)
        self._runs: dict[int, _Run] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def start(self) -> None:
        """End what an earlier server left running, then go on with its unfinished jobs."""
        with self._database.session() as session:
            for attempt in session.scalars(select(Attempt).where(Attempt.status == "running")):
                for process in attempt.processes:
                    if end_leftover(process):
                        logger.info("ended the %s (pid %s) of job %s", process["role"], process["pid"], attempt.job_id)
                failure = Failure("airbyte_platform", "system_error", "the server stopped during the attempt")
                _end_attempt(attempt, "failed", [failure])
            session.commit()
            unfinished = list(session.scalars(select(Job.id).where(Job.status.in_(UNFINISHED)).order_by(Job.id)))
        shutil.rmtree(self._data_dir / "work", ignore_errors=True)
        for job_id in unfinished:
            self._launch(job_id)

    def stop(self) -> None:
        """End connectors; unfinished jobs stay as they are and go on when a server starts again."""
        self._stopping.set()
        with self._lock:
            runs = list(self._runs.values())
        for run in runs:
            run.cancelled.set()
            if run.attempt is not None:
                run.attempt.stop()
        for run in runs:
            if run.thread is not None:
                run.thread.join(5)

    def create(self, connection_id: uuid.UUID, config_type: str) -> int:
        """Start a job; raises a 404 or 409 problem. ``config_type`` is ``sync`` or ``clear``."""
        with self._database.session() as session:
            connection = session.get(Connection, connection_id)
            if connection is None or connection.deleted_at is not None:
                raise not_found("connection", connection_id)
            if connection.status != "active" and config_type == "sync":
                raise state_conflict("Can only sync an active connection: set its status to active first.")
            if not connection.streams:
                raise state_conflict("The connection has no streams selected.")
            job = Job(connection_id=connection_id, config_type=config_type)
            session.add(job)
            try:
                session.commit()
            except IntegrityError as error:
                raise try_again_later(f"A sync is already running for: {connection_id}") from error
            job_id = job.id
        self._launch(job_id)
        return job_id

    def cancel(self, job_id: int) -> None:
        """Cancel an unfinished job and wait until it is over; raises a 404 or 409 problem."""
        with self._database.session() as session:
            job = session.get(Job, job_id)
            if job is None:
                raise not_found("job", job_id)
            if job.status not in UNFINISHED:
                raise state_conflict("Job is not currently running")
        with self._lock:
            run = self._runs.get(job_id)
        if run is None or run.thread is None:
            # Nobody runs it: it ended just now, or was abandoned.
            self._set_status(job_id, "cancelled")
            return
        run.cancelled.set()
        if run.attempt is not None:
            run.attempt.stop()
        run.thread.join(10)

    def _launch(self, job_id: int) -> None:
        run = _Run()
        run.thread = threading.Thread(target=self._run_safely, args=(job_id, run), name=f"job {job_id}", daemon=True)
        with self._lock:
            self._runs[job_id] = run
        run.thread.start()

    def _run_safely(self, job_id: int, run: _Run) -> None:
        try:
            while not self._slots.acquire(timeout=0.2):
                if run.cancelled.is_set():
                    break
            else:
                try:
                    self._run(job_id, run)
                finally:
                    self._slots.release()
            if run.cancelled.is_set() and not self._stopping.is_set():
                self._set_status(job_id, "cancelled")
        except Exception:
            # Nothing of a job's own reaches here: the database is gone, or the server has a defect.
            logger.exception("job %s was abandoned; it goes on when the server starts again", job_id)
        finally:
            with self._lock:
                self._runs.pop(job_id, None)

    def _run(self, job_id: int, run: _Run) -> None:
        with self._database.session() as session:
            interrupted = bool(session.get_one(Job, job_id).attempts)
        # The server's own stop calls for no waiting, but an attempt that brings it down must not go on for ever.
        if interrupted and self._after_attempt(job_id) is None:
            return
        while not run.cancelled.is_set():
            self._attempt(job_id, run)
            if run.cancelled.is_set():
                return
            delay = self._after_attempt(job_id)
            if delay is None:
                return
            run.cancelled.wait(delay)

    def _attempt(self, job_id: int, run: _Run) -> None:
        """One attempt from its row's creation to its end, whatever happens in between."""
        with self._database.session.begin() as session:
            job = session.get_one(Job, job_id)
            number = len(job.attempts)
            if job.streams is None:
                job.streams = fix_streams(session, job)
            job.status = "running"
            job.started_at = job.started_at or now()
            job.updated_at = now()
            session.add(Attempt(job_id=job_id, number=number))
        failures: list[Failure] = []
        stats: list[dict[str, Any]] = []
        try:
            outcome, stats = self._replicate(job_id, number, run)
            failures = outcome.failures
        except Problem as problem:
            message = problem.body["data"].get("message") or str(problem)
            failures = [Failure("airbyte_platform", "config_error", message)]
        except (FileNotFoundError, VaultError) as error:
            # A connector that is not installed, or a key that does not fit: trying again helps nobody.
            failures = [Failure("airbyte_platform", "config_error", str(error))]
        except Exception as error:
            logger.exception("attempt %s of job %s", number, job_id)
            failures = [Failure("airbyte_platform", "system_error", f"{type(error).__name__}: {error}")]
        if self._stopping.is_set():
            return
        if run.cancelled.is_set():
            failures = [Failure("airbyte_platform", "manual_cancellation", "the job was cancelled")]
        with self._database.session.begin() as session:
            attempt = session.get_one(Attempt, (job_id, number))
            attempt.stream_stats = stats or attempt.stream_stats
            _end_attempt(attempt, "failed" if failures else "succeeded", failures)
            job = session.get_one(Job, job_id)
            if not failures and job.config_type == "clear":
                drop_all_state(session, job.connection_id)

    def _replicate(self, job_id: int, number: int, run: _Run) -> tuple[replication.Outcome, list[dict[str, Any]]]:
        with self._database.session() as session:
            job = session.get_one(Job, job_id)
            plan = self._planner.plan(session, job, number)
            redact = self._planner.redactor(job)
            connection_id = job.connection_id

        def started(process: dict[str, Any]) -> None:
            with self._database.session.begin() as session:
                row = session.get_one(Attempt, (job_id, number))
                row.processes = [*row.processes, process]

        def committed(checkpoints: list[Checkpoint]) -> None:
            with self._database.session.begin() as session:
                store_checkpoints(session, connection_id, checkpoints)
                self._save_progress(session, job_id, number, attempt)

        with AttemptLog(attempt_log_path(self._data_dir, job_id, number), redact) as log:
            attempt = replication.Attempt(plan, log, started, committed)
            run.attempt = attempt
            over = threading.Event()
            reporter = threading.Thread(target=self._report, args=(job_id, number, attempt, over), daemon=True)
            reporter.start()
            try:
                if run.cancelled.is_set():
                    attempt.stop()
                outcome = attempt.run()
            finally:
                run.attempt = None
                over.set()
                reporter.join()
        return outcome, attempt.stats()

    def _report(self, job_id: int, number: int, attempt: replication.Attempt, over: threading.Event) -> None:
        while not over.wait(_PROGRESS_SECONDS):
            try:
                with self._database.session.begin() as session:
                    self._save_progress(session, job_id, number, attempt)
            except Exception:
                logger.exception("the progress of job %s could not be stored", job_id)

    @staticmethod
    def _save_progress(session: Session, job_id: int, number: int, attempt: replication.Attempt) -> None:
        row = session.get_one(Attempt, (job_id, number))
        row.stream_stats = attempt.stats()
        row.updated_at = now()

    def _after_attempt(self, job_id: int) -> float | None:
        """Set the job's status from its attempts; the delay before the next one, or ``None`` when the job is over."""
        with self._database.session.begin() as session:
            job = session.get_one(Job, job_id)
            job.updated_at = now()
            if job.attempts[-1].status == "succeeded":
                job.status = "succeeded"
                return None
            delay = next_delay([_failed(attempt) for attempt in job.attempts], self._limits)
            job.status = "failed" if delay is None else "incomplete"
            return delay

    def _set_status(self, job_id: int, status: str) -> None:
        with self._database.session.begin() as session:
            job = session.get_one(Job, job_id)
            if job.status in UNFINISHED:
                job.status = status
                job.updated_at = now()


def _end_attempt(attempt: Attempt, status: str, failures: list[Failure]) -> None:
    attempt.status = status
    attempt.failures = [failure.as_dict() for failure in failures]
    attempt.ended_at = attempt.updated_at = now()


def _failed(attempt: Attempt) -> FailedAttempt:
    numbers = totals(attempt.stream_stats)
    return FailedAttempt(
        partial=numbers["recordsCommitted"] + numbers["recordsRejected"] > 0,
        config_error=any(failure["failureType"] == "config_error" for failure in attempt.failures),
    )
