"""BigQuery's errors in words: what was being done, what BigQuery said, and what to do about it."""

from __future__ import annotations

from destination_bigquery.config import Config
from destination_bigquery.errors import ConnectorError, FailureType
from destination_bigquery.rest import ApiError

_ROLES = "BigQuery User on the project and BigQuery Data Editor on the datasets"

#: What BigQuery says of columns and tables as somebody has made them, and the cure.
_OF_THE_TABLE = {
    "invalid field name": " Leave the field out of the connection's stream, or rename it at the source.",
    "cannot be null": " The table's column was made NOT NULL: undo that (ALTER TABLE … ALTER COLUMN … DROP NOT NULL).",
    "without a filter over column": (
        " The table was made to require a partition filter: undo that (ALTER TABLE … SET OPTIONS "
        "(require_partition_filter = false))."
    ),
}


def explained(config: Config, doing: str, error: ApiError) -> ConnectorError:
    """The ConnectorError for ``error``: config_error where somebody must act, transient_error where time may help."""
    failure_type, cure = _judged(config, error)
    text = f"{doing} failed: BigQuery at {config.api_endpoint or 'Google'} said: {error.message}{cure}"
    return ConnectorError(text, failure_type, internal=f"{error.status} {error.reason}: {error.message}")


def _judged(config: Config, error: ApiError) -> tuple[FailureType, str]:
    text = error.message.lower()
    project = config.project
    if error.passing:
        return "transient_error", ""
    for words, cure in _OF_THE_TABLE.items():
        if words in text:
            return "config_error", cure
    if error.reason == "quotaExceeded" or (error.status == 403 and "quota exceeded" in text):
        return "transient_error", (
            f" A quota of project {project!r} is used up: wait, raise it in the Google Cloud console, or raise "
            "big_query_client_buffer_size_mb, which makes fewer load jobs."
        )
    if error.status == 401:
        return "config_error", " The credentials were refused: give credentials_json a valid service account key."
    if error.reason == "accessNotConfigured" or "has not been used in project" in text or "api is disabled" in text:
        return "config_error", f" Enable the BigQuery API in project {project!r}."
    if error.reason == "billingNotEnabled":
        return "config_error", f" Enable billing for project {project!r}: its sandbox runs no DML statements."
    if error.status == 403 or error.reason == "accessDenied":
        return "config_error", f" The credentials need the roles {_ROLES}; or project_id ({project!r}) is wrong."
    if error.status == 404 and "project" in text:
        return "config_error", f" Check project_id ({project!r})."
    if error.status == 404 or "was not found in location" in text:
        return "config_error", (
            f" Check project_id ({project!r}) and dataset_location ({config.location!r}); something else may also have "
            "dropped a dataset or table meanwhile."
        )
    if error.status == 400 and "location" in text:
        return "config_error", f" Check dataset_location ({config.location!r})."
    if error.status == 400 and "project" in text:
        return "config_error", f" Check project_id ({project!r})."
    return "system_error", ""
