"""The connector's configuration, checked and typed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson

from destination_bigquery import names
from destination_bigquery.errors import ConnectorError

DEFAULT_INTERNAL_DATASET = "airbyte_internal"
DEFAULT_BATCH_MB = 16
#: Three batches are held in memory, up to twice as large where no state comes.
_LARGEST_BATCH_MB = 256
#: Keys that upstream's connector has and this version cannot honour: refused rather than ignored.
_UNSUPPORTED_KEYS = ("job_project_id", "stream_configurations")


@dataclass(frozen=True)
class Config:
    """Validated configuration; keys as in ``spec.json``. ``api_endpoint`` None means Google's own."""

    project: str
    dataset: str
    location: str
    internal_dataset: str
    api_endpoint: str | None
    credentials: dict[str, Any] | None = field(repr=False)
    hard_deletes: bool
    batch_bytes: int
    #: Whether queries may wait for idle slots (BATCH) instead of starting at once.
    batch_priority: bool


def secrets(raw: dict[str, Any]) -> list[str]:
    """The values of ``raw`` that no message may show; works on invalid configurations too."""
    given = raw.get("credentials_json")
    values = [given if isinstance(given, str) else ""]
    try:
        content = orjson.loads(given) if isinstance(given, str) else given
    except orjson.JSONDecodeError:
        content = None
    if isinstance(content, dict):
        key = str(content.get("private_key") or "")
        values += [key, key.replace("\n", "\\n"), str(content.get("private_key_id") or "")]
    # A URL's password.
    values += re.findall(r"://[^/@]*:([^/@]+)@", str(raw.get("api_endpoint")))
    return [value for value in values if value]


def parse(raw: dict[str, Any]) -> Config:
    """Check ``raw`` against what this version supports.

    Raises:
        ConnectorError: config_error naming the key, what it holds and what it should.
    """
    loading = raw.get("loading_method") or {"method": "Standard"}
    method = loading.get("method") if isinstance(loading, dict) else loading
    if method != "Standard":
        raise ConnectorError(
            f"loading_method {method!r} is not supported by this connector version; use "
            '{"method": "Standard"}, which uploads Parquet in load jobs.'
        )
    if raw.get("disable_type_dedupe"):
        raise ConnectorError(
            "disable_type_dedupe (legacy raw tables) is not supported by this connector version; set it to false."
        )
    for key in _UNSUPPORTED_KEYS:
        if raw.get(key):
            raise ConnectorError(f"{key} is not supported by this connector version; leave it empty.")
    priority = raw.get("transformation_priority") or "interactive"
    if priority not in ("interactive", "batch"):
        raise ConnectorError(f"transformation_priority is {priority!r}; it must be 'interactive' or 'batch'.")
    deletion = raw.get("cdc_deletion_mode") or "Hard delete"
    if deletion not in ("Hard delete", "Soft delete"):
        raise ConnectorError(f"cdc_deletion_mode is {deletion!r}; it must be 'Hard delete' or 'Soft delete'.")
    project = _text(raw, "project_id")
    dataset = _text(raw, "dataset_id")
    if ":" in dataset:
        # Google's older notation, project:dataset.
        given, dataset = dataset.split(":", 1)
        if given != project:
            raise ConnectorError(f"dataset_id names project {given!r}, but project_id is {project!r}.")
    return Config(
        project=project,
        dataset=names.dataset(dataset),
        location=_text(raw, "dataset_location"),
        internal_dataset=names.dataset(
            _text(raw, "raw_data_dataset") if raw.get("raw_data_dataset") else DEFAULT_INTERNAL_DATASET
        ),
        api_endpoint=_endpoint(raw),
        credentials=_credentials(raw),
        hard_deletes=deletion == "Hard delete",
        batch_bytes=_batch_bytes(raw),
        batch_priority=priority == "batch",
    )


def _batch_bytes(raw: dict[str, Any]) -> int:
    value = raw.get("big_query_client_buffer_size_mb") or DEFAULT_BATCH_MB
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _LARGEST_BATCH_MB:
        raise ConnectorError(
            f"big_query_client_buffer_size_mb is {value!r}; it must be a number from 1 to {_LARGEST_BATCH_MB}."
        )
    return value << 20


def _endpoint(raw: dict[str, Any]) -> str | None:
    value = raw.get("api_endpoint")
    if not value:
        return None
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except (ValueError, AttributeError):  # a port beyond 65535, an address cut short, not a text
        usable = False
    if not usable:
        raise ConnectorError(f"api_endpoint is {value!r}; it must be a URL such as http://127.0.0.1:9050, or empty.")
    return str(value).rstrip("/")


def _credentials(raw: dict[str, Any]) -> dict[str, Any] | None:
    value = raw.get("credentials_json")
    if not value:
        return None
    try:
        content = orjson.loads(value) if isinstance(value, str) else value
    except orjson.JSONDecodeError:
        content = None
    if not isinstance(content, dict) or "client_email" not in content or "private_key" not in content:
        raise ConnectorError(
            "credentials_json is not the JSON of a service account key (client_email, private_key, …); paste the "
            "whole key file, or leave it empty to use the machine's application default credentials."
        )
    return content


def _text(raw: dict[str, Any], key: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ConnectorError(f"{key} is missing or not a text in the configuration; it is required.")
    return value.strip()
