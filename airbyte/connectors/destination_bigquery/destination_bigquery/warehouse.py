"""BigQuery as this connector uses it: datasets, tables, and jobs that a repeated call does not run twice."""

from __future__ import annotations

import io
import itertools
import socket
from collections.abc import Callable, Sequence
from typing import Any, Protocol
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import requests
from google.api_core import exceptions, retry
from google.auth import default as default_credentials
from google.auth import exceptions as auth_exceptions
from google.auth.credentials import AnonymousCredentials, Credentials
from google.cloud import bigquery
from google.oauth2 import service_account

from destination_bigquery.config import Config
from destination_bigquery.errors import ConnectorError, FailureType

_SCOPES = ["https://www.googleapis.com/auth/bigquery"]
_CONNECT_TIMEOUT_SECONDS = 10
#: How often one job is tried under further ids after it ran and failed for a passing reason.
_JOB_ATTEMPTS = 5
_PASSING_REASONS = {"backendError", "internalError", "rateLimitExceeded", "jobBackendError", "jobInternalError"}
_TRANSIENT = (
    exceptions.InternalServerError,
    exceptions.BadGateway,
    exceptions.ServiceUnavailable,
    exceptions.GatewayTimeout,
    exceptions.TooManyRequests,
    requests.ConnectionError,
    requests.Timeout,
    ConnectionError,
)
#: For whole calls, on top of the client's own retries of single requests.
_RETRY = retry.Retry(retry.if_exception_type(*_TRANSIENT), initial=0.5, maximum=10, timeout=60)
_CALL_RETRY = bigquery.DEFAULT_RETRY.with_timeout(60)


class _Job(Protocol):
    def result(self) -> Any: ...


class Warehouse:
    """A client of one project and location.

    Every method raises ConnectorError: config_error for what somebody must put right, transient_error for what may
    pass, with the endpoint, project, dataset or table in the message.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._datasets: set[str] = set()
        if config.api_endpoint:
            _reach(config.api_endpoint)
        self.client = bigquery.Client(
            config.project,
            credentials=_credentials(config),
            location=config.location,
            client_options={"api_endpoint": config.api_endpoint} if config.api_endpoint else None,
        )

    def ensure_dataset(self, name: str) -> None:
        """Create the dataset in the configured location unless it exists; looks only once.

        Raises:
            ConnectorError: config_error if it exists in another location.
        """
        if name in self._datasets:
            return
        dataset = bigquery.Dataset(f"{self.config.project}.{name}")
        dataset.location = self.config.location
        with self.explaining(f"Opening dataset {self.config.project}.{name}"):
            try:
                found = self.client.get_dataset(dataset.reference, retry=_CALL_RETRY)
            except exceptions.NotFound as missing:
                if "project" in missing.message.lower() and "dataset" not in missing.message.lower():
                    raise
                found = self.client.create_dataset(dataset, exists_ok=True, retry=_CALL_RETRY)
        if (found.location or self.config.location).lower() != self.config.location.lower():
            raise ConnectorError(
                f"Dataset {self.config.project}.{name} is in location {found.location}, but dataset_location is "
                f"{self.config.location}; set dataset_location to {found.location}, or choose another dataset."
            )
        self._datasets.add(name)

    def get_table(self, dataset: str, table: str) -> bigquery.Table | None:
        with self.explaining(f"Looking at table {dataset}.{table}"):
            try:
                return self.client.get_table(f"{self.config.project}.{dataset}.{table}", retry=_CALL_RETRY)
            except exceptions.NotFound:
                return None

    def create_table(self, table: bigquery.Table) -> bigquery.Table:
        with self.explaining(f"Creating table {table.dataset_id}.{table.table_id}"):
            return self.client.create_table(table, exists_ok=True, retry=_CALL_RETRY)

    def update_clustering(self, table: bigquery.Table, fields: list[str]) -> bigquery.Table:
        table.clustering_fields = fields
        with self.explaining(f"Clustering table {table.dataset_id}.{table.table_id}"):
            return self.client.update_table(table, ["clustering_fields"], retry=_CALL_RETRY)

    def drop_table(self, dataset: str, table: str) -> None:
        with self.explaining(f"Dropping table {dataset}.{table}"):
            self.client.delete_table(f"{self.config.project}.{dataset}.{table}", not_found_ok=True, retry=_CALL_RETRY)

    def query(self, sql: str, job_id: str, doing: str) -> Any:
        """Run ``sql`` as the job ``job_id`` and wait; if that job ran before, take its result instead."""

        def start(identity: str) -> _Job:
            return self.client.query(sql, job_id=identity, job_retry=None, location=self.config.location)

        return self._run(start, job_id, doing)

    def load(
        self, rows: pa.Table, schema: Sequence[bigquery.SchemaField], dataset: str, table: str, job_id: str
    ) -> None:
        """Replace the content of a table by ``rows``, uploaded as one Parquet file."""
        buffer = io.BytesIO()
        pq.write_table(rows, buffer, compression="snappy")
        configuration = bigquery.LoadJobConfig(
            schema=schema,
            source_format=bigquery.SourceFormat.PARQUET,
            write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
        )

        def start(identity: str) -> _Job:
            return self.client.load_table_from_file(
                buffer,
                f"{self.config.project}.{dataset}.{table}",
                rewind=True,
                size=buffer.getbuffer().nbytes,
                job_id=identity,
                location=self.config.location,
                job_config=configuration,
            )

        self._run(start, job_id, f"Loading {rows.num_rows} rows into {dataset}.{table}")

    def copy(self, source: tuple[str, str], target: tuple[str, str], job_id: str) -> None:
        """Replace table ``target`` (dataset, table) by ``source``, at once."""
        configuration = bigquery.CopyJobConfig(write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE)
        paths = [f"{self.config.project}.{dataset}.{table}" for dataset, table in (source, target)]

        def start(identity: str) -> _Job:
            return self.client.copy_table(
                paths[0], paths[1], job_id=identity, location=self.config.location, job_config=configuration
            )

        self._run(start, job_id, f"Replacing table {'.'.join(target)}")

    def _run(self, start: Callable[[str], _Job], job_id: str, doing: str) -> Any:
        """The result of the job. An id belongs to one job for ever: where it is taken, that job's result is taken. The
        next id in line is tried if the taken one's job had failed, or this one fails for a passing reason."""
        with self.explaining(doing):
            for attempt in itertools.count():
                identity = f"{job_id}-{attempt}" if attempt else job_id
                job, joined = _RETRY(self._start_or_join)(start, identity)
                try:
                    return job.result()
                except exceptions.GoogleAPICallError as error:
                    reasons = {detail.get("reason") for detail in error.errors or ()}
                    if attempt + 1 >= _JOB_ATTEMPTS or not (joined or reasons & _PASSING_REASONS):
                        raise

    def _start_or_join(self, start: Callable[[str], _Job], job_id: str) -> tuple[_Job, bool]:
        try:
            return start(job_id), False
        except exceptions.Conflict:
            return self.client.get_job(job_id, location=self.config.location, retry=_CALL_RETRY), True

    def explaining(self, doing: str) -> _Explaining:
        return _Explaining(self.config, doing)


class _Explaining:
    """Turns the client's exceptions into ConnectorErrors that name what was being done."""

    def __init__(self, config: Config, doing: str) -> None:
        self._config = config
        self._doing = doing

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, (*_TRANSIENT, exceptions.RetryError)):
            where = self._config.api_endpoint or "Google"
            raise ConnectorError(
                f"{self._doing} failed: BigQuery at {where} said {error}", "transient_error"
            ) from error
        if isinstance(error, auth_exceptions.GoogleAuthError):
            raise ConnectorError(f"{self._doing} failed: the credentials were refused: {error}") from error
        if isinstance(error, exceptions.GoogleAPICallError):
            raise _explained(self._config, self._doing, error) from error


def _explained(config: Config, doing: str, error: exceptions.GoogleAPICallError) -> ConnectorError:
    failure_type: FailureType = "system_error"
    cure = ""
    if isinstance(error, exceptions.Forbidden):
        failure_type = "config_error"
        cure = (
            f" The credentials lack a permission in project {config.project!r}: they need the roles BigQuery User and "
            "BigQuery Data Editor; or project_id is wrong."
        )
    elif isinstance(error, exceptions.NotFound):
        failure_type = "config_error"
        cure = f" Check project_id ({config.project!r}) and dataset_location ({config.location!r})."
    return ConnectorError(f"{doing} failed: {error.message}{cure}", failure_type, internal=repr(error))


def _credentials(config: Config) -> Credentials:
    if config.api_endpoint:
        return AnonymousCredentials()
    try:
        if config.credentials:
            return service_account.Credentials.from_service_account_info(config.credentials, scopes=_SCOPES)
        return default_credentials(scopes=_SCOPES)[0]
    except (ValueError, auth_exceptions.GoogleAuthError) as error:
        raise ConnectorError(
            f"There are no usable Google credentials ({error}); fill credentials_json with a service account key, or "
            "set GOOGLE_APPLICATION_CREDENTIALS."
        ) from error


def _reach(endpoint: str) -> None:
    """Fail at once, in words, where the client would go on trying for minutes."""
    parts = urlsplit(endpoint)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=_CONNECT_TIMEOUT_SECONDS).close()
    except OSError as error:
        raise ConnectorError(
            f"Nothing answers at api_endpoint {endpoint} ({error}); start the BigQuery emulator there, correct the "
            "address, or leave api_endpoint empty for Google's BigQuery.",
            "transient_error",
        ) from error
