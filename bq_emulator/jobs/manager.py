"""Accepting, running, finding and stopping jobs."""

from __future__ import annotations

import re
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import orjson
import structlog

from bq_emulator.duck import Database, Session, translate_error
from bq_emulator.jobs import history
from bq_emulator.jobs.job import KINDS, Job
from bq_emulator.jobs.report import report
from bq_emulator.metadata import new_etag, now_ms
from bq_emulator.model import BigQueryError
from bq_emulator.names import check_labels

log = structlog.get_logger("bq_emulator.jobs")

_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,1024}")
#: Jobs that wait for a table's lock hold a thread, too; DuckDB spreads one query over the cores by itself.
THREADS = 16
ENDED_IN_MEMORY = 200
#: What a job may take to notice that it is to stop, before the emulator ends without it.
STOP_SECONDS = 10.0

#: Runs one job; it must finish inside ``with manager.committing(db, job)``.
Runner = Callable[["JobManager", Session, Job], None]


class JobManager:
    """A job is acknowledged once its record is on disk, and its effects and its state DONE commit together: after a
    crash a job has happened whole or not at all."""

    def __init__(self, database: Database, project: str, location: str, runners: dict[str, Runner]) -> None:
        self.database = database
        self.project = project
        self.location = location
        self._runners = runners
        self._running: dict[str, Job] = {}
        self._unsaved: dict[str, Job] = {}  # failed, and not even that could be recorded
        self._ended: OrderedDict[str, str] = OrderedDict()  # what clients ask for first of all
        self._mutex = threading.Lock()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="job")

    def recover(self) -> int:
        """Give the jobs a dead process left behind their end; how many there were."""
        with self.database.transaction() as db:
            return history.end_lost(db)

    # Accepting ------------------------------------------------------------------------------------------------------

    def submit(
        self, configuration: dict[str, Any], reference: dict[str, Any] | None = None, upload: Path | None = None
    ) -> Job:
        """Record a job and start it.

        Raises:
            BigQueryError: duplicate for a job id that exists, invalid for a malformed id or configuration.
        """
        job = self._new_job(configuration, reference or {}, upload)
        with self._mutex:
            # An id that was made here is no other job's.
            given = (reference or {}).get("jobId")
            if given and (given in self._running or self.find(given) is not None):
                raise BigQueryError("duplicate", f"Already Exists: Job {self.project}:{self.location}.{job.job_id}")
            self._running[job.job_id] = job
        try:
            with self.database.transaction() as db:
                history.insert(db, job)
        except BaseException:
            self._running.pop(job.job_id, None)
            raise
        self._pool.submit(self._run, job)
        return job

    def _new_job(self, configuration: dict[str, Any], reference: dict[str, Any], upload: Path | None) -> Job:
        kinds = [kind for kind in KINDS if kind in configuration]
        if len(kinds) != 1:
            raise BigQueryError("invalid", f"Exactly one of {', '.join(KINDS)} is required in a job's configuration.")
        location = reference.get("location") or self.location
        if location.upper() != self.location.upper():
            raise BigQueryError("notFound", f"Not found: location {location}; this emulator serves {self.location}.")
        job_id = reference.get("jobId") or f"job_{uuid.uuid4().hex}"
        if not _JOB_ID.fullmatch(job_id):
            raise BigQueryError(
                "invalid",
                f'Invalid job ID "{job_id}". Job IDs must be alphanumeric (plus underscores and dashes) and must be at '
                "most 1024 characters long.",
            )
        timeout = configuration.get("jobTimeoutMs")
        if timeout and not str(timeout).isdecimal():
            raise BigQueryError("invalid", f"Invalid value for jobTimeoutMs: {timeout!r}; milliseconds are expected.")
        job = Job(self.project, job_id, self.location, configuration, upload)
        if labels := configuration.get("labels"):
            check_labels(labels)
            job.statistics["labels"] = labels
        job.etag = new_etag()
        return job

    # Running --------------------------------------------------------------------------------------------------------

    def _run(self, job: Job) -> None:
        """Run a job to its end. Whatever happens, it ends: its clients wait for nothing else."""
        try:
            self._attempt(job)
        except Exception as error:
            if job.state == "DONE":
                # It has happened, and says so; only what it needed on the way is still there.
                log.error("a job that is done could not be tidied up", job_id=job.job_id, exc_info=error)
            else:
                self._fail(job, self._reason(job, error))
        with self._mutex:
            if job.job_id not in self._unsaved:
                self._ended[job.job_id] = history.text(job)
            while len(self._ended) > ENDED_IN_MEMORY:
                self._ended.popitem(last=False)
            self._running.pop(job.job_id, None)
        job.done.set_result(None)
        report(job)

    def _attempt(self, job: Job) -> None:
        try:
            with _timeout(job), self.database.session() as db:
                with job.mutex:
                    job.session = db
                try:
                    job.statistics["startTime"] = str(now_ms())
                    job.check_stop()
                    job.state = "RUNNING"
                    self._runners[job.kind](self, db, job)
                finally:
                    with job.mutex:
                        job.session = None
        finally:
            if job.upload is not None:
                job.upload.unlink(missing_ok=True)

    def _reason(self, job: Job, error: Exception) -> BigQueryError:
        if isinstance(error, BigQueryError | duckdb.Error) and job.stop_reason is not None:
            return job.stop_reason
        if isinstance(error, BigQueryError):
            return error
        if isinstance(error, duckdb.Error):
            return translate_error(error)
        log.error("job crashed", job_id=job.job_id, exc_info=error)
        return BigQueryError("emulatorError", f"The emulator failed: {type(error).__name__}: {error}")

    @contextmanager
    def committing(self, db: Session, job: Job) -> Iterator[None]:
        """The transaction in which the job's effects and its end become visible."""
        with db.transaction():
            yield
            # From here on a stop comes too late; a job that is told it was cancelled must not have happened.
            with job.mutex:
                job.check_stop()
                job.session = None
            job.statistics["endTime"] = str(now_ms())
            history.save_done(db, job)
        job.state = "DONE"

    @contextmanager
    def committing_child(self, db: Session, child: Job) -> Iterator[None]:
        """The transaction in which one statement of a script and its job become visible."""
        with db.transaction():
            yield
            history.save_child(db, child)

    def _fail(self, job: Job, error: BigQueryError) -> None:
        job.error = error
        job.statistics["endTime"] = str(now_ms())
        try:
            with self.database.transaction() as db:
                history.save_done(db, job)
        except Exception as unsaved:
            # A full disk, as a rule. After the next start recover() says that the job had no effect, which is true.
            log.error("a failed job could not be recorded", job_id=job.job_id, error=str(unsaved))
            self._unsaved[job.job_id] = job
        job.state = "DONE"

    # Finding and stopping -------------------------------------------------------------------------------------------

    def running(self, job_id: str) -> Job | None:
        return self._running.get(job_id)

    def _in_memory(self, job_id: str) -> Job | None:
        """A job of which memory knows more than the disk."""
        return self._running.get(job_id) or self._unsaved.get(job_id)

    def find(self, job_id: str) -> dict[str, Any] | None:
        """The Job resource."""
        if (job := self._in_memory(job_id)) is not None:
            return job.resource()
        text = self._ended.get(job_id)
        if text is None:
            with self.database.session() as db:
                text = history.find(db, job_id)
        return orjson.loads(text) if text else None

    def get(self, job_id: str) -> dict[str, Any]:
        """Raises BigQueryError notFound."""
        resource = self.find(job_id)
        if resource is None:
            raise BigQueryError("notFound", f"Not found: Job {self.project}:{self.location}.{job_id}")
        return resource

    def list(
        self, states: set[str], since_ms: int, until_ms: int, offset: int, limit: int, parent: str | None = None
    ) -> tuple[list[dict[str, Any]], bool]:
        """Jobs, newest first: the children of ``parent``, or those without a parent; and whether more may follow."""
        with self.database.session() as db:
            found = history.page(db, states, since_ms, until_ms, offset, limit, parent)
        resources = [job.resource() if (job := self._in_memory(job_id)) else resource for job_id, resource in found]
        shown = [resource for resource in resources if not states or resource["status"]["state"] in states]
        return shown, len(found) == limit

    def cancel(self, job_id: str) -> None:
        if (job := self._running.get(job_id)) is not None:
            job.request_stop(BigQueryError("stopped", "Job execution was cancelled: User requested cancellation"))
        else:
            self.get(job_id)

    def delete(self, job_id: str) -> None:
        """Forget a job that is done, and its children."""
        self._unsaved.pop(job_id, None)
        if job_id in self._running:
            raise BigQueryError("invalid", f"Cannot delete job {job_id}: it is still running.")
        self.get(job_id)
        with self.database.transaction() as db:
            history.delete(db, job_id)
        self._ended.pop(job_id, None)

    def forget_old(self) -> None:
        with self.database.transaction() as db:
            history.forget_old(db)

    def shut_down(self) -> tuple[str, ...]:
        """Stop all jobs; each ends with an error that says so. The ids of those that do not stop in time."""
        jobs = list(self._running.values())
        for job in jobs:
            job.request_stop(BigQueryError("stopped", "The emulator was shut down while the job was running."))
        wait([job.done for job in jobs], timeout=STOP_SECONDS)
        self._pool.shutdown(wait=False)
        return tuple(job.job_id for job in jobs if not job.done.done())


@contextmanager
def _timeout(job: Job) -> Iterator[None]:
    """Stop the job once it has run as long as its jobTimeoutMs allows."""
    limit = int(job.configuration.get("jobTimeoutMs") or 0)
    if not limit:
        yield
        return
    reason = BigQueryError("stopped", f"Job timed out after {limit} ms (jobTimeoutMs).")
    timer = threading.Timer(limit / 1000, job.request_stop, [reason])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
