"""BigQuery's REST API (https://cloud.google.com/bigquery/docs/reference/rest/v2): calls, repeated while that may help.

Google's client library would do, but importing it takes a second and 80 MB, as much as a whole small sync.
"""

from __future__ import annotations

import contextlib
import random
import time
from typing import Any
from urllib.parse import quote

import requests

from destination_bigquery.config import Config
from destination_bigquery.errors import ConnectorError

_GOOGLE = "https://bigquery.googleapis.com"
_SCOPES = ["https://www.googleapis.com/auth/bigquery"]
_PASSING_STATUS = {408, 429, 500, 502, 503, 504}
PASSING_REASONS = {
    "backendError",
    "internalError",
    "jobBackendError",
    "jobInternalError",
    "rateLimitExceeded",
    "jobRateLimitExceeded",
}
#: For connecting, and for each wait for data, in seconds.
_TIMEOUT = (10, 120)
_RETRY_SECONDS = 60
_WAIT_MS = 10_000


class ApiError(Exception):
    """BigQuery's refusal: HTTP ``status`` (0 for a job's own failure), the error's ``reason`` and its message."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message

    @property
    def passing(self) -> bool:
        """Whether the same call may succeed later."""
        return self.status in _PASSING_STATUS or self.reason in PASSING_REASONS


class Api:
    """Calls below ``projects/{project}``; not thread-safe.

    Every method raises :class:`ApiError`, and :class:`requests.RequestException` where nothing answered.
    """

    def __init__(self, config: Config) -> None:
        self._root = config.api_endpoint or _GOOGLE
        self._project = quote(config.project, safe=":")
        self._session = requests.Session() if config.api_endpoint else _authorized(config)

    def call(self, method: str, path: str, body: Any = None, **parameters: Any) -> dict[str, Any]:
        """The answer's JSON; repeated for a minute while BigQuery or the way to it has a passing trouble."""
        url = f"{self._root}/bigquery/v2/projects/{self._project}/{path}"
        return _repeated(lambda: _answer(self._session.request(method, url, parameters, json=body, timeout=_TIMEOUT)))

    def await_query(self, job_id: str, location: str) -> bool:
        """Wait at BigQuery until the query job has ended, or some seconds; False where that is refused: then the job
        tells why, or must be looked at from time to time (``bigquery.jobs.get`` is not enough for results)."""
        url = f"{self._root}/bigquery/v2/projects/{self._project}/queries/{job_id}"
        parameters = {"location": location, "maxResults": "0", "timeoutMs": str(_WAIT_MS)}
        with contextlib.suppress(requests.RequestException):
            return bool(self._session.get(url, params=parameters, timeout=_TIMEOUT).ok)
        return False

    def upload(self, job: dict[str, Any], content: bytes | memoryview) -> dict[str, Any]:
        """Insert a load job with the file it loads, by a resumable upload in one piece."""
        url = f"{self._root}/upload/bigquery/v2/projects/{self._project}/jobs"

        def send() -> dict[str, Any]:
            headers = {"X-Upload-Content-Type": "*/*", "X-Upload-Content-Length": str(len(content))}
            begun = self._session.post(
                url, json=job, params={"uploadType": "resumable"}, headers=headers, timeout=_TIMEOUT
            )
            _answer(begun)
            return _answer(self._session.put(begun.headers["Location"], data=content, timeout=_TIMEOUT))

        return _repeated(send)


def _authorized(config: Config) -> requests.Session:
    """A session with the configured credentials.

    Raises:
        ConnectorError: config_error if there are none, or they are no service account's.
    """
    from google.auth import default
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import AuthorizedSession
    from google.oauth2 import service_account

    try:
        if config.credentials:
            credentials = service_account.Credentials.from_service_account_info(config.credentials, scopes=_SCOPES)
        else:
            credentials = default(scopes=_SCOPES)[0]
    except (ValueError, GoogleAuthError) as error:
        raise ConnectorError(
            f"There are no usable Google credentials ({error}); fill credentials_json with a service account key, or "
            "set GOOGLE_APPLICATION_CREDENTIALS."
        ) from error
    return AuthorizedSession(credentials)


def _answer(response: requests.Response) -> dict[str, Any]:
    if response.ok:
        return response.json() if response.content else {}
    try:
        error = response.json()["error"]
        details = error.get("errors") or [{}]
        raise ApiError(response.status_code, details[0].get("reason", ""), error.get("message", response.text))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ApiError(response.status_code, "", response.text[:1000] or response.reason) from None


def _repeated(send: Any) -> dict[str, Any]:
    deadline = time.monotonic() + _RETRY_SECONDS
    delay = 0.5
    while True:
        try:
            return send()
        except (ApiError, requests.ConnectionError, requests.Timeout) as error:
            passing = error.passing if isinstance(error, ApiError) else True
            if not passing or time.monotonic() + delay > deadline:
                raise
        time.sleep(delay * random.uniform(0.5, 1))  # noqa: S311 - spreads retries, keeps no secret
        delay = min(delay * 2, 10)
