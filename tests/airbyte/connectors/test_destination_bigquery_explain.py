"""BigQuery's refusals, as Google words them, are told apart."""

from __future__ import annotations

import pytest
from destination_bigquery import config
from destination_bigquery.explain import explained
from destination_bigquery.rest import ApiError

CONFIG = config.parse({"project_id": "shop", "dataset_id": "raw", "dataset_location": "EU"})


@pytest.mark.parametrize(
    ("error", "failure_type", "cure"),
    [
        (
            ApiError(401, "authError", "Request had invalid authentication credentials."),
            "config_error",
            "service account",
        ),
        (
            ApiError(403, "accessNotConfigured", "BigQuery API has not been used in project 1 before"),
            "config_error",
            "Enable the BigQuery API in project 'shop'",
        ),
        (ApiError(403, "billingNotEnabled", "Billing has not been enabled"), "config_error", "Enable billing"),
        (ApiError(403, "accessDenied", "Access Denied: Dataset shop:raw"), "config_error", "BigQuery Data Editor"),
        (
            ApiError(403, "quotaExceeded", "Quota exceeded: load jobs"),
            "transient_error",
            "big_query_client_buffer_size_mb",
        ),
        (ApiError(403, "rateLimitExceeded", "Exceeded rate limits"), "transient_error", ""),
        (ApiError(503, "backendError", "Try again"), "transient_error", ""),
        (ApiError(404, "notFound", "Not found: Project shop"), "config_error", "Check project_id ('shop')"),
        (ApiError(404, "notFound", "Not found: Table shop:raw.t"), "config_error", "dataset_location ('EU')"),
        (ApiError(0, "invalidQuery", "Syntax error"), "system_error", ""),
        (ApiError(400, "invalid", 'Invalid field name "_FILE_location".'), "config_error", "Leave the field out"),
        (ApiError(0, "invalidQuery", "Required field id cannot be null"), "config_error", "DROP NOT NULL"),
        (
            ApiError(0, "invalidQuery", "Cannot query over table 'shop.raw.t' without a filter over column(s) 'x'"),
            "config_error",
            "require_partition_filter = false",
        ),
    ],
)
def test_refusals_are_told_apart(error: ApiError, failure_type: str, cure: str) -> None:
    found = explained(CONFIG, "Loading raw.t", error)
    assert found.failure_type == failure_type
    assert found.message.startswith("Loading raw.t failed: BigQuery at Google said: ")
    assert cure in found.message
