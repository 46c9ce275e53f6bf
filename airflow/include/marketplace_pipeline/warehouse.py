"""BigQuery, Google's or the local emulator's, by environment."""

from __future__ import annotations

import os

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery


def client() -> bigquery.Client:
    """A client for ``BIGQUERY_PROJECT`` in ``BIGQUERY_LOCATION``.

    With ``BIGQUERY_API_ENDPOINT`` set it talks to that address without credentials; without, to Google with
    Application Default Credentials (``GOOGLE_APPLICATION_CREDENTIALS``).
    """
    endpoint = os.environ.get("BIGQUERY_API_ENDPOINT")
    return bigquery.Client(
        project=os.environ.get("BIGQUERY_PROJECT", "marketplace-analytics"),
        location=os.environ.get("BIGQUERY_LOCATION", "US"),
        credentials=AnonymousCredentials() if endpoint else None,
        client_options={"api_endpoint": endpoint} if endpoint else None,
    )
