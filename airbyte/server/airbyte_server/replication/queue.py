"""The queue of attempts: DBOS workflows in the metadata database, one for each attempt, run by this process.

DBOS gives what makes jobs durable: an attempt is queued in the transaction that decides on it, waits its delay and for
a free place, and is run again by the next server if this one dies before the run returns.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

from dbos import DBOS, DBOSClient, EnqueueOptions
from dbos._queue import queue_worker_thread
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from airbyte_server.database import now

_APPLICATION, _QUEUE, _WORKFLOW = "airbyte-server", "attempts", "attempt"
# Recovery looks for workflows of the same version: a newer server must go on with an older one's attempts.
_VERSION = "1"
# Only what waited for its delay, or for a place, is found by looking now and then.
_POLL_SECONDS = 1.0
_KEPT = timedelta(days=7)


class AttemptQueue:
    """Calls ``run(job_id, number)`` in a thread for each attempt that is due, at most ``places`` at once.

    ``run`` is called again after a crash, so it must find out how far it got. It must not raise.
    """

    def __init__(self, engine: Engine, run: Callable[[int, int], None], places: int) -> None:
        self._engine = engine
        self._run = run
        self._places = places
        self._alarm = _Alarm()
        self._worker: threading.Thread | None = None
        self._client = DBOSClient(system_database_engine=engine, application_name=_APPLICATION, lazy=True)

    def start(self) -> None:
        """Migrate DBOS's tables (schema ``dbos``), then run what is due, first what a dead server left unfinished."""
        dbos = DBOS(
            config={
                "name": _APPLICATION,
                "application_version": _VERSION,
                "executor_id": _APPLICATION,
                "system_database_engine": self._engine,
                "use_listen_notify": False,
                "log_level": "WARNING",
            }
        )

        @DBOS.workflow(name=_WORKFLOW)
        def attempt(job_id: int, number: int) -> None:
            self._run(job_id, number)

        # DBOS's own worker cannot be woken, and each look costs 6 ms of processor.
        DBOS.listen_queues([])
        DBOS.launch()
        queue = DBOS.register_queue(
            _QUEUE, worker_concurrency=self._places, polling_interval_sec=_POLL_SECONDS, on_conflict="always_update"
        )

        self._worker = threading.Thread(
            target=queue_worker_thread, args=(self._alarm, dbos, queue), name="attempts' queue", daemon=True
        )
        self._worker.start()

    def put(self, session: Session, job_id: int, number: int, delay: float = 0.0) -> None:
        """Queue an attempt when ``session`` commits, due after ``delay`` seconds; nothing if it is queued already."""
        options: EnqueueOptions = {
            "queue_name": _QUEUE,
            "workflow_name": _WORKFLOW,
            "workflow_id": f"job-{job_id}-attempt-{number}",
            "app_version": _VERSION,
        }
        if delay > 0:
            options["delay_seconds"] = delay
        else:
            event.listen(session, "after_commit", lambda _: self._alarm.ring(), once=True)
        self._client.enqueue_in_transaction(session, options, job_id, number)

    def forget(self, kept: timedelta = _KEPT) -> None:
        """Delete what was queued longer ago and is over: jobs and attempts have rows of their own."""
        while over := DBOS.list_workflows(
            status="SUCCESS", end_time=(now() - kept).isoformat(), limit=1000, load_input=False, load_output=False
        ):
            DBOS.delete_workflows([workflow.workflow_id for workflow in over])

    def stop(self, patience: int) -> None:
        """Take nothing more, and wait up to ``patience`` seconds for the attempts that run."""
        self._alarm.set()
        if self._worker is not None:
            self._worker.join(patience)
        DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=patience)


class _Alarm(threading.Event):
    """What the worker waits for between two looks: the end, which is this event, or :meth:`ring`."""

    def __init__(self) -> None:
        super().__init__()
        self._rung = threading.Event()

    def ring(self) -> None:
        self._rung.set()

    def set(self) -> None:
        super().set()
        self._rung.set()

    def wait(self, timeout: float | None = None) -> bool:
        self._rung.wait(timeout)
        self._rung.clear()
        return self.is_set()
