"""BigQuery as this connector uses it: datasets, tables, and jobs that a repeated call does not run twice."""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import requests

from destination_bigquery.config import Config
from destination_bigquery.errors import ConnectorError
from destination_bigquery.explain import explained
from destination_bigquery.rest import PASSING_REASONS, Api, ApiError

_CONNECT_TIMEOUT_SECONDS = 10
#: How often one job is tried under further ids after it ran and failed for a passing reason.
_JOB_ATTEMPTS = 5
#: Between looks at a running job, in seconds.
_FIRST_POLL, _LONGEST_POLL = 0.01, 2.0

Field = dict[str, Any]
Resource = dict[str, Any]


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
        self._api = Api(config)

    def ensure_dataset(self, name: str) -> None:
        """Create the dataset in the configured location unless it exists; looks only once.

        Raises:
            ConnectorError: config_error if it exists in another location.
        """
        if name in self._datasets:
            return
        reference = {"projectId": self.config.project, "datasetId": name}
        with self._explaining(f"Opening dataset {self.config.project}.{name}"):
            try:
                found = self._api.call("GET", f"datasets/{name}")
            except ApiError as missing:
                if missing.status != 404 or "not found: project" in missing.message.lower():
                    raise
                body = {"datasetReference": reference, "location": self.config.location}
                found = self._created("datasets", body, f"datasets/{name}")
        location = found.get("location") or self.config.location
        if location.lower() != self.config.location.lower():
            raise ConnectorError(
                f"Dataset {self.config.project}.{name} is in location {location}, but dataset_location is "
                f"{self.config.location}; set dataset_location to {location}, or choose another dataset."
            )
        self._datasets.add(name)

    def get_table(self, dataset: str, table: str) -> Resource | None:
        """The table's resource without its statistics, or None where there is no such table."""
        with self._explaining(f"Looking at table {dataset}.{table}"):
            try:
                return self._api.call("GET", f"datasets/{dataset}/tables/{table}", view="BASIC")
            except ApiError as error:
                if error.status == 404:
                    return None
                raise

    def create_table(self, dataset: str, table: str, fields: Sequence[Field], **properties: Any) -> Resource:
        """Create a table unless it exists; ``properties`` are of the API's table resource."""
        reference = {"projectId": self.config.project, "datasetId": dataset, "tableId": table}
        body = {"tableReference": reference, "schema": {"fields": list(fields)}, **properties}
        with self._explaining(f"Creating table {dataset}.{table}"):
            return self._created(f"datasets/{dataset}/tables", body, f"datasets/{dataset}/tables/{table}")

    def add_columns(self, table: Resource, fields: Sequence[Field]) -> Resource:
        """Add columns that hold NULL."""
        dataset, name = table["tableReference"]["datasetId"], table["tableReference"]["tableId"]
        body = {"schema": {"fields": [*table["schema"]["fields"], *fields]}}
        with self._explaining(f"Adding columns to table {dataset}.{name}"):
            return self._api.call("PATCH", f"datasets/{dataset}/tables/{name}", body)

    def drop_table(self, dataset: str, table: str) -> None:
        """Drop a table if it exists."""
        with self._explaining(f"Dropping table {dataset}.{table}"):
            try:
                self._api.call("DELETE", f"datasets/{dataset}/tables/{table}")
            except ApiError as error:
                if error.status != 404:
                    raise

    def query(self, sql: str, job_id: str, doing: str) -> None:
        """Run the statement as the job ``job_id`` and wait for its end; a job of that id that ran before is it."""
        self._query(sql, job_id, doing)

    def rows(self, sql: str, job_id: str, doing: str) -> list[list[Any]]:
        """The result of a small query, values as the API's texts."""
        identity = self._query(sql, job_id, doing)
        with self._explaining(doing):
            answer = self._api.call("GET", f"queries/{identity}", location=self.config.location)
        return [[cell["v"] for cell in row["f"]] for row in answer.get("rows", ())]

    def load(self, parquet: bytes | memoryview, dataset: str, table: str, job_id: str, *, append: bool = False) -> None:
        """Put the rows of a Parquet file into an existing table, in addition to its rows or in their place; its schema
        stays."""
        configuration = {
            "destinationTable": {"projectId": self.config.project, "datasetId": dataset, "tableId": table},
            "sourceFormat": "PARQUET",
            "writeDisposition": "WRITE_APPEND" if append else "WRITE_TRUNCATE_DATA",
            "createDisposition": "CREATE_NEVER",
        }
        self._run({"load": configuration}, job_id, f"Loading {dataset}.{table}", parquet)

    def copy(self, source: tuple[str, str], target: tuple[str, str], job_id: str) -> None:
        """Make table ``target`` (dataset, table) a copy of ``source``, at once."""
        references = [
            {"projectId": self.config.project, "datasetId": dataset, "tableId": table}
            for dataset, table in (source, target)
        ]
        configuration = {
            "sourceTable": references[0],
            "destinationTable": references[1],
            "writeDisposition": "WRITE_TRUNCATE",
        }
        self._run({"copy": configuration}, job_id, f"Copying table {'.'.join(source)} to {'.'.join(target)}")

    def _created(self, path: str, body: Resource, existing: str) -> Resource:
        try:
            return self._api.call("POST", path, body)
        except ApiError as error:
            if error.status != 409:
                raise
            return self._api.call("GET", existing)

    def _run(self, configuration: Resource, job_id: str, doing: str, content: bytes | memoryview | None = None) -> str:
        """Wait for the job; returns the id it ran under. An id belongs to one job for ever: where it is taken, that
        job's result is taken. The next id in line is tried if the taken one's job had failed, or this one fails for a
        passing reason."""
        with self._explaining(doing):
            for attempt in itertools.count():
                identity = f"{job_id}-{attempt}" if attempt else job_id
                joined = False
                try:
                    job = self._start(configuration, identity, content)
                except ApiError as error:
                    if error.status != 409:
                        raise
                    joined = True
                    job = self._job(identity)
                failure = self._ended(job, identity, is_query="query" in configuration).get("errorResult")
                if failure is None:
                    return identity
                if attempt + 1 >= _JOB_ATTEMPTS or not (joined or failure.get("reason") in PASSING_REASONS):
                    raise ApiError(0, failure.get("reason", ""), failure.get("message", "the job failed"))
        raise AssertionError("unreachable")

    def _query(self, sql: str, job_id: str, doing: str) -> str:
        priority = "BATCH" if self.config.batch_priority else "INTERACTIVE"
        return self._run({"query": {"query": sql, "useLegacySql": False, "priority": priority}}, job_id, doing)

    def _start(self, configuration: Resource, identity: str, content: bytes | memoryview | None) -> Resource:
        reference = {"projectId": self.config.project, "jobId": identity, "location": self.config.location}
        job = {"jobReference": reference, "configuration": configuration}
        return self._api.call("POST", "jobs", job) if content is None else self._api.upload(job, content)

    def _job(self, identity: str) -> Resource:
        return self._api.call("GET", f"jobs/{identity}", location=self.config.location)

    def _ended(self, job: Resource, identity: str, *, is_query: bool) -> Resource:
        """The status of the job at its end."""
        delay = _FIRST_POLL
        while job["status"]["state"] != "DONE":
            if not (is_query and self._api.await_query(identity, self.config.location)):
                time.sleep(delay)
                delay = min(delay * 1.5, _LONGEST_POLL)
            job = self._job(identity)
        return job["status"]

    @contextmanager
    def _explaining(self, doing: str) -> Iterator[None]:
        try:
            yield
        except ApiError as error:
            raise explained(self.config, doing, error) from error
        except requests.RequestException as error:
            where = self.config.api_endpoint or "Google"
            raise ConnectorError(
                f"{doing} failed: no answer from BigQuery at {where}: {error}", "transient_error"
            ) from error
        except ConnectorError:
            raise
        except Exception as error:
            # google.auth, which is only imported where it is needed, refuses when a token is first fetched.
            if type(error).__module__.startswith("google.auth"):
                raise ConnectorError(f"{doing} failed: the credentials were refused: {error}") from error
            raise


def _reach(endpoint: str) -> None:
    """Fail at once, in words, where a call would be tried again for a minute."""
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
