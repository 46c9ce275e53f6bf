"""BigQuery: the project answers, its datasets are where they should be, and we may do what sync and models do."""

from __future__ import annotations

import json
from collections.abc import Iterator

import google.auth
from google.api_core.exceptions import GoogleAPICallError, NotFound
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_RETRY
from google.oauth2 import service_account

from local_stack import headlines
from local_stack.preflight.finding import Finding
from local_stack.settings import Settings

DATASETS = (
    "raw", "airbyte_internal", "seeds", "staging", "intermediate", "marts", "snapshots", "test_failures", "ops",
)  # fmt: skip
#: What the service account of docs/production.md has: BigQuery Job User, and Data Editor or the right to make datasets.
PERMISSIONS = (
    "bigquery.jobs.create",
    "bigquery.datasets.create",
    "bigquery.tables.create",
    "bigquery.tables.updateData",
    "bigquery.tables.getData",
)
RESOURCE_MANAGER = "https://cloudresourcemanager.googleapis.com/v1"
_RETRY = DEFAULT_RETRY.with_timeout(20)


def check(settings: Settings) -> Iterator[Finding]:
    """Findings about BIGQUERY_* and the credentials; the only statement is a dry run, which costs nothing."""
    where = f"project {settings.bigquery_project} at {settings.bigquery.url or 'Google'}"
    try:
        client = headlines.client(settings)
        job = client.query("SELECT 1", bigquery.QueryJobConfig(dry_run=True), retry=_RETRY, job_retry=None, timeout=20)
    except (GoogleAPICallError, GoogleAuthError, OSError, ValueError) as error:
        yield Finding(
            "missing",
            f"{where}: {error}",
            "Correct BIGQUERY_PROJECT, BIGQUERY_API_ENDPOINT or the credentials; jobs need the role BigQuery Job User.",
        )
        return
    yield Finding("good", f"{where} takes jobs (location {job.location or settings.bigquery_location})")
    for name in DATASETS:
        yield _dataset(client, name, settings.bigquery_location)
    if not settings.bigquery.url:
        yield from project_rights(_session(settings), settings.bigquery_project, RESOURCE_MANAGER)


def _dataset(client: bigquery.Client, name: str, location: str) -> Finding:
    try:
        dataset = client.get_dataset(name, retry=_RETRY, timeout=20)
    except NotFound:
        return Finding("good", f"dataset {name} is not there yet; sync or dbt makes it")
    except GoogleAPICallError as error:
        return Finding("missing", f"dataset {name}: {error.message}", "Give the account BigQuery Data Editor on it.")
    if dataset.location.casefold() != location.casefold():
        return Finding(
            "missing",
            f"dataset {name} is in {dataset.location}, BIGQUERY_LOCATION is {location}",
            "A query cannot join locations: set BIGQUERY_LOCATION to the datasets' own, or make them anew.",
        )
    return Finding("good", f"dataset {name} is in {dataset.location}")


def _session(settings: Settings) -> AuthorizedSession:
    scopes = ["https://www.googleapis.com/auth/cloud-platform.read-only"]
    if key := settings.get("BIGQUERY_CREDENTIALS_JSON"):
        return AuthorizedSession(service_account.Credentials.from_service_account_info(json.loads(key), scopes=scopes))
    return AuthorizedSession(google.auth.default(scopes=scopes)[0])


def project_rights(session: AuthorizedSession, project: str, resource_manager: str) -> Iterator[Finding]:
    """Which of :data:`PERMISSIONS` the session's account has on the project, as Google's resource manager says.

    https://cloud.google.com/resource-manager/reference/rest/v1/projects/testIamPermissions
    """
    answer = session.post(
        f"{resource_manager}/projects/{project}:testIamPermissions", json={"permissions": list(PERMISSIONS)}, timeout=20
    )
    if answer.status_code != 200:
        yield Finding(
            "unsure",
            f"rights on the project cannot be asked ({answer.status_code})",
            "Enable the Cloud Resource Manager API, or see docs/production.md for the roles.",
        )
        return
    granted = set(answer.json().get("permissions", []))
    for permission in PERMISSIONS:
        if permission in granted:
            yield Finding("good", f"{permission} is granted on the project")
        else:
            # A grant on the datasets alone is enough for all but jobs, and not seen here.
            yield Finding(
                "missing" if permission == "bigquery.jobs.create" else "unsure",
                f"{permission} is not granted on the project",
                "See the roles in docs/production.md.",
            )
