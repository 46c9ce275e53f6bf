"""What the progress display asks of Airbyte: rows per stream of the sync that runs."""

from __future__ import annotations

from dataclasses import dataclass

import httpx


@dataclass(frozen=True)
class StreamProgress:
    """Rows of one stream in a job so far."""

    name: str
    read: int
    committed: int


class AirbyteApi:
    """A signed-in client of the public API and, for numbers per stream, of the Config API beside it."""

    def __init__(self, url: str, client_id: str, client_secret: str) -> None:
        self._url = url
        self._client = httpx.Client(timeout=10)
        answer = self._client.post(
            f"{url}/applications/token", json={"client_id": client_id, "client_secret": client_secret}
        )
        answer.raise_for_status()
        self._client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def running_job(self) -> int | None:
        """The id of the newest job that has not ended, or None.

        Raises:
            httpx.HTTPError: if Airbyte does not answer.
        """
        answer = self._client.get(f"{self._url}/jobs", params={"limit": 1, "orderBy": "createdAt|DESC"})
        answer.raise_for_status()
        unfinished = [job for job in answer.json()["data"] if job["status"] in ("pending", "running", "incomplete")]
        return int(unfinished[0]["jobId"]) if unfinished else None

    def start_syncs(self) -> list[int]:
        """Start a sync of every connection; the jobs' ids.

        Raises:
            httpx.HTTPError: if Airbyte does not answer, or refuses.
        """
        connections = self._client.get(f"{self._url}/connections", params={"limit": 100})
        connections.raise_for_status()
        started = []
        for connection in connections.json()["data"]:
            answer = self._client.post(
                f"{self._url}/jobs", json={"connectionId": connection["connectionId"], "jobType": "sync"}
            )
            answer.raise_for_status()
            started.append(int(answer.json()["jobId"]))
        return started

    def job_status(self, job_id: int) -> str:
        """Raises httpx.HTTPError if Airbyte does not answer."""
        answer = self._client.get(f"{self._url}/jobs/{job_id}")
        answer.raise_for_status()
        return str(answer.json()["status"])

    def streams(self, job_id: int) -> list[StreamProgress]:
        """Progress per stream, in the job's order.

        Airbyte Cloud does not open its Config API to everybody: there the list has one entry with the job's totals.

        Raises:
            httpx.HTTPError: if Airbyte does not answer.
        """
        detail = self._client.post(f"{self._url.removesuffix('/public/v1')}/v1/jobs/get", json={"id": job_id})
        if detail.status_code == 200:
            return [
                StreamProgress(
                    stream["streamName"], stream.get("recordsEmitted") or 0, stream.get("recordsCommitted") or 0
                )
                for stream in detail.json()["job"].get("streamAggregatedStats", [])
            ]
        job = self._client.get(f"{self._url}/jobs/{job_id}")
        job.raise_for_status()
        rows = job.json().get("rowsSynced") or 0
        return [StreamProgress("all streams", rows, rows)]
