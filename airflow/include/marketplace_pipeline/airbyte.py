"""Airbyte as the DAG needs it: connections by name, jobs, and what a job wrote per stream.

The public API goes through the Airflow provider's hook, so it authenticates, and reaches Airbyte through proxies, the
way the Airflow connection says. Rows per stream and failure messages are not in the public API; they come from the
Config API of the same server, which Airbyte OSS serves beside it and Airbyte Cloud mostly withholds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urljoin

import httpx
from airbyte_api import models
from airbyte_api.api import (
    CancelJobRequest,
    GetConnectionRequest,
    GetJobRequest,
    ListConnectionsRequest,
    ListJobsRequest,
)
from airbyte_api.errors import NoResponseError, ResponseValidationError, SDKError
from airflow.providers.airbyte.hooks.airbyte import AirbyteHook
from airflow.sdk.exceptions import AirflowException

T = TypeVar("T")

_PAGE = 100  # the API's largest page
_TRANSIENT_STATUS = frozenset({408, 425, 429})
# https://docs.airbyte.com/platform/understanding-airbyte/cdc
_CDC_CURSOR = "_ab_cdc_lsn"
_PUBLIC_API = "/api/public/v1"
_CONFIG_API = "/api/v1"
_AUTHENTICATING = "authenticating with client id and secret"


class AirbyteUnavailable(AirflowException):
    """Airbyte did not answer, or answered that it cannot just now: trying again may help."""


class AirbyteError(AirflowException):
    """Airbyte refused, or a job failed: trying again changes nothing."""


class SyncAlreadyRunning(AirbyteError):
    """The connection has an active job, so Airbyte starts no other (HTTP 409)."""


@dataclass(frozen=True)
class Stream:
    """A stream as the connection declares it; ``sync_mode`` in the public API's terms, ``full_refresh_overwrite``."""

    name: str
    sync_mode: str
    #: By change data capture: each change is a record, so a row that changed twice is in a sync twice.
    is_cdc: bool = False


@dataclass(frozen=True)
class SyncConnection:
    """An applied Airbyte connection."""

    connection_id: str
    name: str
    prefix: str
    streams: tuple[Stream, ...]


@dataclass(frozen=True)
class Job:
    """A job's state; ``rows`` and ``bytes`` count what has been committed so far."""

    job_id: int
    connection_id: str
    status: str
    rows: int
    bytes: int

    @property
    def is_active(self) -> bool:
        # `queued` is in the SDK's enumeration, though the provider's own operator does not know it.
        return self.status in ("pending", "queued", "running", "incomplete")

    @property
    def has_succeeded(self) -> bool:
        return self.status == "succeeded"


@dataclass(frozen=True)
class JobDetails:
    """What the Config API knows beyond :class:`Job`: rows committed per stream, attempts, why attempts failed."""

    committed: dict[str, int]
    attempts: int
    failures: tuple[str, ...]


class AirbyteJobs:
    """Connections and jobs of the Airbyte server that an Airflow connection of type ``airbyte`` names.

    Every method raises :class:`AirbyteUnavailable` where trying again may help and :class:`AirbyteError` where not.
    """

    def __init__(self, airbyte_conn_id: str = AirbyteHook.default_conn_name) -> None:
        self._hook = AirbyteHook(airbyte_conn_id=airbyte_conn_id)
        self._api = self._hook.airbyte_api
        self._host: str = self._hook.conn["host"].rstrip("/")

    def find_connection(self, name: str) -> SyncConnection:
        """The one connection called ``name``."""
        found: list[models.ConnectionResponse] = []
        seen: list[str] = []
        offset = 0
        while page := self._connections_page(offset):
            found += [connection for connection in page if connection.name == name]
            seen += [connection.name for connection in page]
            offset += len(page)
        if not found:
            raise AirbyteError(
                f"Airbyte at {self._host} has no connection named {name!r}, but {', '.join(sorted(seen)) or 'none'}. "
                "Create it from airbyte/connections/ with `octavia apply`."
            )
        if len(found) > 1:
            ids = ", ".join(connection.connection_id for connection in found)
            raise AirbyteError(
                f"Airbyte at {self._host} has {len(found)} connections named {name!r} ({ids}); names must be unique."
            )
        return _as_connection(found[0])

    def connection(self, connection_id: str) -> SyncConnection:
        """The connection with this id."""
        request = GetConnectionRequest(connection_id=connection_id)
        response = self._call(f"reading connection {connection_id}", self._api.connections.get_connection, request)
        return _as_connection(_present(response.connection_response))

    def start_sync(self, connection_id: str) -> Job:
        """Start a sync job and return it without waiting.

        Raises:
            SyncAlreadyRunning: when the connection has an active job.
        """
        request = models.JobCreateRequest(connection_id=connection_id, job_type=models.JobTypeEnum.SYNC)
        response = self._call(f"starting a sync of connection {connection_id}", self._api.jobs.create_job, request)
        return _as_job(_present(response.job_response))

    def active_job(self, connection_id: str) -> Job | None:
        """The connection's youngest job if it is still at work, whoever started it."""
        request = ListJobsRequest(connection_id=connection_id, limit=1, order_by="createdAt|DESC")
        response = self._call(f"listing jobs of connection {connection_id}", self._api.jobs.list_jobs, request)
        jobs = [_as_job(job) for job in _present(response.jobs_response).data]
        return jobs[0] if jobs and jobs[0].is_active else None

    def job(self, job_id: int) -> Job:
        """The job's present state."""
        response = self._call(f"reading job {job_id}", self._api.jobs.get_job, GetJobRequest(job_id=job_id))
        return _as_job(_present(response.job_response))

    def cancel(self, job_id: int) -> None:
        """Ask Airbyte to cancel the job."""
        self._call(f"cancelling job {job_id}", self._api.jobs.cancel_job, CancelJobRequest(job_id=job_id))

    def job_details(self, job_id: int) -> JobDetails | None:
        """Rows per stream and failures, or None where the server offers no Config API (Airbyte Cloud)."""
        if not self._host.endswith(_PUBLIC_API):
            return None
        url = self._host.removesuffix(_PUBLIC_API) + _CONFIG_API + "/jobs/get"
        response = self._post(url, json={"id": job_id}, headers=self._authorization())
        if response.status_code in (401, 403, 404, 405, 501):
            return None
        if response.status_code != 200:
            raise _refusal(f"reading details of job {job_id} from {url}", response.status_code, response.text)
        return _as_details(response.json())

    def failure(self, job: Job) -> str:
        """One message saying that ``job`` did not succeed, with what its attempts reported."""
        details = self.job_details(job.job_id)
        reasons = "; ".join(details.failures) if details else ""
        return f"Airbyte job {job.job_id} {job.status} after {job.rows} committed rows: " + (
            reasons or f"see the job's log in Airbyte at {self._host}"
        )

    def _connections_page(self, offset: int) -> list[models.ConnectionResponse]:
        request = ListConnectionsRequest(limit=_PAGE, offset=offset)
        response = self._call("listing connections", self._api.connections.list_connections, request)
        return _present(response.connections_response).data

    def _authorization(self) -> dict[str, str]:
        """The header for calls the SDK has no operation for."""
        if not (self._hook.conn["client_id"] and self._hook.conn["client_secret"]):
            return {}
        credentials = {
            "grant_type": "client_credentials",
            "client_id": self._hook.conn["client_id"],
            "client_secret": self._hook.conn["client_secret"],
        }
        response = self._post(urljoin(self._host, self._hook.conn["token_url"]), data=credentials)
        if response.status_code != 200:
            raise _refusal(_AUTHENTICATING, response.status_code, response.text)
        return {"Authorization": f"Bearer {response.json()['access_token']}"}

    def _post(self, url: str, **content: Any) -> httpx.Response:
        """A POST by the SDK's own client, which has the timeout and the proxies of the Airflow connection."""
        client = self._api.sdk_configuration.client
        if client is None:
            raise AirbyteError("The Airbyte SDK was built without an HTTP client.")
        try:
            return client.send(client.build_request("POST", url, **content))
        except httpx.TransportError as error:
            raise AirbyteUnavailable(f"Airbyte at {url} did not answer: {error}") from error

    def _call(self, doing: str, operation: Callable[..., T], request: object) -> T:
        try:
            return operation(request=request)
        except (httpx.TransportError, NoResponseError) as error:
            raise AirbyteUnavailable(f"Airbyte at {self._host} did not answer when {doing}: {error}") from error
        except ResponseValidationError as error:
            raise AirbyteError(f"Airbyte at {self._host} gave an unknown answer when {doing}: {error}") from error
        except SDKError as error:
            raise _refusal(f"{doing} at {self._host}", error.status_code, error.body) from error
        except Exception as error:
            # The SDK's token request raises a bare Exception that names the status.
            status = re.search(r"status code (\d{3}) from token endpoint", str(error))
            if not status:
                raise
            raise _refusal(_AUTHENTICATING, int(status[1]), "") from error


def _refusal(doing: str, status: int, body: str) -> AirflowException:
    """The exception for an answer that is not a success. Airbyte's problem details are in ``body``."""
    message = f"Airbyte answered {status} when {doing}. {body}".strip()
    # A token that expired under way answers 401 once and is replaced by the SDK before the next try.
    if doing == _AUTHENTICATING and status < 500:
        return AirbyteError(f"{message} Check the client id and secret of the Airflow connection.")
    if status >= 500 or status == 401 or status in _TRANSIENT_STATUS:
        return AirbyteUnavailable(message)
    return (SyncAlreadyRunning if status == 409 else AirbyteError)(message)


def _present(value: T | None) -> T:
    if value is None:
        raise AirbyteError("Airbyte answered without the object that was asked for.")
    return value


def _as_connection(response: models.ConnectionResponse) -> SyncConnection:
    streams = tuple(
        Stream(
            stream.name,
            stream.sync_mode.value if stream.sync_mode else "full_refresh_overwrite",
            is_cdc=stream.cursor_field == [_CDC_CURSOR],
        )
        for stream in response.configurations.streams or []
    )
    return SyncConnection(response.connection_id, response.name, response.prefix or "", streams)


def _as_job(response: models.JobResponse) -> Job:
    return Job(
        response.job_id,
        response.connection_id,
        response.status.value,
        response.rows_synced or 0,
        response.bytes_synced or 0,
    )


def _as_details(answer: dict[str, Any]) -> JobDetails:
    """From JobInfoRead of the Config API; aggregated counts take a full refresh's last attempt only."""
    attempts = [entry["attempt"] for entry in answer.get("attempts") or []]
    failures = [
        f"{failure.get('failureOrigin', 'airbyte')}: {failure.get('externalMessage') or failure.get('internalMessage')}"
        for attempt in attempts
        for failure in (attempt.get("failureSummary") or {}).get("failures") or []
    ]
    committed = {
        stats["streamName"]: int(stats.get("recordsCommitted") or 0)
        for stats in answer["job"].get("streamAggregatedStats") or []
    }
    return JobDetails(committed, len(attempts), tuple(dict.fromkeys(failures)))
