"""Two tasks around an Airbyte sync: one starts it (or finds it running), one waits for its end.

Two, not the provider's one: its operator starts a second sync when it is retried, and its deferred form looks at the
job once a minute. Here a retry, a cleared task and a job that somebody else started all lead to the same job.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator, BaseSensorOperator, ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.definitions.context import Context

from marketplace_pipeline.airbyte import AirbyteError, AirbyteJobs, AirbyteUnavailable, Job, SyncAlreadyRunning

# A refused request, a failed job or a mistake in the code fail at once; only an Airbyte that is away is asked again.
RETRY_WHILE_UNAVAILABLE = ExceptionRetryPolicy(
    rules=[RetryRule(exception=AirbyteUnavailable, action=RetryAction.RETRY, reason="Airbyte is unavailable")],
    default=RetryAction.FAIL,
)

_STORED_JOB = "airbyte_job_id"


class TriggerSync(BaseOperator):
    """Starts a sync of the Airbyte connection named ``connection_name`` and returns the job's id without waiting.

    The id is kept in the task's state store, which outlives a try, so that a retry returns the job that an earlier try
    started. Where there is none, and the connection has an active job, that job is taken.

    Raises:
        AirbyteError: unknown connection name, refused request.
        AirbyteUnavailable: no answer; worth a retry.
    """

    template_fields = ("connection_name",)
    ui_color = "#c9b8ff"

    def __init__(self, *, connection_name: str, airbyte_conn_id: str = "airbyte_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.connection_name = connection_name
        self.airbyte_conn_id = airbyte_conn_id

    def execute(self, context: Context) -> int:
        airbyte = AirbyteJobs(self.airbyte_conn_id)
        store = context["task_state_store"]
        earlier = store.get(_STORED_JOB)
        if earlier is not None:
            job = airbyte.job(int(earlier))  # type: ignore[arg-type]
            if job.is_active or job.has_succeeded:
                self.log.info("Job %s, started by an earlier try, is %s: taking it.", job.job_id, job.status)
                return job.job_id
            self.log.info("Job %s, started by an earlier try, %s: starting another.", job.job_id, job.status)
        connection = airbyte.find_connection(self.connection_name)
        job = start_or_attach(airbyte, connection.connection_id)
        store.set(_STORED_JOB, job.job_id)
        self.log.info("Airbyte job %s of connection %s is %s.", job.job_id, connection.name, job.status)
        return job.job_id


def start_or_attach(airbyte: AirbyteJobs, connection_id: str) -> Job:
    """Start a sync, or return the connection's active job where Airbyte refuses to start a second one.

    Raises:
        AirbyteUnavailable: when the job that was in the way has ended meanwhile.
    """
    try:
        return airbyte.start_sync(connection_id)
    except SyncAlreadyRunning as refusal:
        job = airbyte.active_job(connection_id)
        if job is None:
            raise AirbyteUnavailable(f"{refusal} That job has ended since.") from refusal
        return job


class WaitForSync(BaseSensorOperator):
    """Waits for the Airbyte job ``job_id`` and fails, saying why, if the job did.

    It looks from one process (mode ``poke``), so that marking the task or the run as failed cancels the job, as does
    ``execution_timeout``.

    Raises:
        AirbyteError: the job failed or was cancelled; the message has the connector's own.
        AirbyteUnavailable: no answer; worth a retry, which waits for the same job.
    """

    template_fields = ("job_id",)
    ui_color = "#c9b8ff"

    def __init__(
        self,
        *,
        job_id: Any,
        airbyte_conn_id: str = "airbyte_default",
        execution_timeout: timedelta,
        **kwargs: Any,
    ) -> None:
        # The sensor's own timeout would leave the job running; only execution_timeout ends in on_kill.
        longer = execution_timeout.total_seconds() + 3600
        super().__init__(mode="poke", execution_timeout=execution_timeout, timeout=longer, **kwargs)
        self.job_id = job_id
        self.airbyte_conn_id = airbyte_conn_id
        self._airbyte: AirbyteJobs | None = None

    def poke(self, context: Context) -> bool:
        if self._airbyte is None:
            self._airbyte = AirbyteJobs(self.airbyte_conn_id)
        job = self._airbyte.job(int(self.job_id))
        self.log.info(
            "Airbyte job %s is %s, %s rows (%s bytes) committed.", job.job_id, job.status, job.rows, job.bytes
        )
        if job.is_active:
            return False
        if not job.has_succeeded:
            raise AirbyteError(
                f"{self._airbyte.failure(job)} Once the cause is gone, clear the task that triggered the sync, with "
                "what is downstream of it: clearing only this one would look at the same job again."
            )
        return True

    def on_kill(self) -> None:
        """Cancel the job, whose result nobody waits for any more."""
        airbyte = self._airbyte or AirbyteJobs(self.airbyte_conn_id)
        try:
            airbyte.cancel(int(self.job_id))
        except (AirbyteError, AirbyteUnavailable) as error:
            self.log.error("Airbyte job %s could not be cancelled and may still run: %s", self.job_id, error)
        else:
            self.log.info("Cancelled Airbyte job %s.", self.job_id)
