"""The raw gate on real tables of the emulator: it lets through what agrees with the job, and names what does not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from google.cloud import bigquery
from marketplace_pipeline.airbyte import Job, JobDetails, Stream, SyncConnection
from marketplace_pipeline.raw_gate import RawGateError, check_raw

OVERWRITE = "full_refresh_overwrite"
DEDUP = "incremental_deduped_history"
APPEND = "incremental_append"
JOB = 7
NULLED = {"field": "price", "change": "NULLED", "reason": "DESTINATION_FIELD_SIZE_LIMITATION"}
SCHEMA = [
    bigquery.SchemaField("_airbyte_raw_id", "STRING"),
    bigquery.SchemaField("_airbyte_extracted_at", "TIMESTAMP"),
    bigquery.SchemaField("_airbyte_meta", "JSON"),
    bigquery.SchemaField("_airbyte_generation_id", "INT64"),
    bigquery.SchemaField("id", "INT64"),
]


class Raw:
    """A raw dataset, the connection that declares its streams, and the gate over both."""

    def __init__(self, client: bigquery.Client, dataset: str) -> None:
        self.client = client
        self.dataset = dataset
        self.streams: list[Stream] = []

    def stream(
        self,
        name: str,
        mode: str,
        jobs: list[int] | None,
        changes: list[dict[str, str]] | None = None,
        *,
        is_cdc: bool = False,
    ) -> None:
        """Declare a stream; ``jobs`` gives the job of each of its table's rows, None makes no table."""
        self.streams.append(Stream(name, mode, is_cdc))
        if jobs is None:
            return
        table = self.client.create_table(bigquery.Table(f"{self.client.project}.{self.dataset}.{name}", SCHEMA))
        rows = [
            {
                "_airbyte_raw_id": f"raw-{number}",
                "_airbyte_extracted_at": datetime.now(UTC).isoformat(),
                "_airbyte_meta": {"sync_id": job, "changes": changes or []},
                "_airbyte_generation_id": 0,
                "id": number,
            }
            for number, job in enumerate(jobs)
        ]
        if rows:
            self.client.load_table_from_json(rows, table, job_config=bigquery.LoadJobConfig(schema=SCHEMA)).result()

    def check(
        self, committed: dict[str, int] | None, attempts: int = 1, total: int = 0, prefix: str = ""
    ) -> dict[str, int]:
        connection = SyncConnection("id", "connection", prefix, tuple(self.streams))
        details = None if committed is None else JobDetails(committed, attempts, ())
        return check_raw(self.client, self.dataset, connection, Job(JOB, "id", "succeeded", total, 0), details)


@pytest.fixture
def raw(bigquery_client: bigquery.Client, dataset: str) -> Raw:
    return Raw(bigquery_client, dataset)


def test_passes_and_returns_rows_per_stream(raw: Raw) -> None:
    raw.stream("products", OVERWRITE, [JOB, JOB])
    raw.stream("users", DEDUP, [3, 3, JOB])
    raw.stream("event_log", APPEND, [3, JOB, JOB, JOB])
    raw.stream("reviews", OVERWRITE, [])
    expected = {"products": 2, "users": 1, "event_log": 3, "reviews": 0}
    assert raw.check(expected) == expected


def test_a_row_that_changed_twice_in_the_log_is_one_row(raw: Raw) -> None:
    raw.stream("orders", DEDUP, [3, JOB, JOB], is_cdc=True)
    assert raw.check({"orders": 5}) == {"orders": 2}
    assert raw.check(None, total=5) == {"orders": 2}
    with pytest.raises(RawGateError, match=r"holds 2 rows of this job, but at most .* 1 are due"):
        raw.check({"orders": 1})
    with pytest.raises(RawGateError, match="hold 2 rows of this job, not 1"):
        raw.check(None, total=1)


def test_names_every_missing_table(raw: Raw) -> None:
    raw.stream("products", OVERWRITE, [JOB])
    raw.stream("users", DEDUP, None)
    raw.stream("reviews", OVERWRITE, None)
    with pytest.raises(RawGateError, match=rf"(?s)job 7.*{raw.dataset}\.users does not exist.*reviews does not exist"):
        raw.check({"products": 1, "users": 0, "reviews": 0})


def test_connection_without_streams_is_refused(raw: Raw) -> None:
    with pytest.raises(RawGateError, match="declares no stream"):
        raw.check({})


@pytest.mark.parametrize("mode", [OVERWRITE, DEDUP, APPEND])
@pytest.mark.parametrize("committed", [1, 3])
def test_rows_that_disagree_with_the_job_are_reported_with_both_numbers(raw: Raw, mode: str, committed: int) -> None:
    raw.stream("users", mode, [JOB, JOB])
    with pytest.raises(RawGateError, match=rf"users \({mode}\) holds 2 rows of this job, but exactly {committed}"):
        raw.check({"users": committed})


def test_overwritten_table_with_older_rows_is_reported(raw: Raw) -> None:
    raw.stream("products", OVERWRITE, [3, JOB, JOB])
    with pytest.raises(RawGateError, match="1 of 3 rows are older"):
        raw.check({"products": 2})


@pytest.mark.parametrize(
    ("mode", "rows", "passes"),
    [(APPEND, 5, True), (APPEND, 3, False), (DEDUP, 3, True), (DEDUP, 5, False), (DEDUP, 0, False)],
)
def test_after_a_second_attempt_append_may_have_more_and_dedup_fewer_rows(
    raw: Raw, mode: str, rows: int, passes: bool
) -> None:
    raw.stream("users", mode, [JOB] * rows)
    if passes:
        assert raw.check({"users": 4}, attempts=2) == {"users": rows}
    else:
        with pytest.raises(RawGateError, match="users"):
            raw.check({"users": 4}, attempts=2)


def test_values_lost_in_any_row_are_reported_even_from_earlier_jobs(raw: Raw) -> None:
    raw.stream("products", DEDUP, [3, 3], changes=[NULLED])
    with pytest.raises(
        RawGateError,
        match=r"lost values in 2 rows: price NULLED \(DESTINATION_FIELD_SIZE_LIMITATION\) 2×, e.g. .*raw-0",
    ):
        raw.check({"products": 0})


def test_rows_of_a_later_sync_say_so(raw: Raw) -> None:
    raw.stream("products", OVERWRITE, [JOB + 1])
    with pytest.raises(RawGateError, match="rows of job 8, which ran after"):
        raw.check({"products": 1})


def test_without_rows_per_stream_the_total_must_agree(raw: Raw) -> None:
    raw.stream("products", OVERWRITE, [JOB, JOB])
    raw.stream("users", DEDUP, [3, JOB])
    assert raw.check(None, total=3) == {"products": 2, "users": 1}
    with pytest.raises(RawGateError, match="3 rows of this job, not 4"):
        raw.check(None, total=4)


def test_prefix_of_the_connection_is_part_of_the_table_name(raw: Raw) -> None:
    raw.stream("pre_users", OVERWRITE, [JOB])
    raw.streams = [Stream("users", OVERWRITE)]
    assert raw.check({"users": 1}, prefix="pre_") == {"users": 1}


def test_dataset_that_does_not_exist_is_an_error(raw: Raw) -> None:
    from google.api_core.exceptions import NotFound

    raw.stream("users", OVERWRITE, None)
    raw.dataset = "no_such_dataset"
    with pytest.raises(NotFound, match="no_such_dataset"):
        raw.check({"users": 0})


def test_client_follows_the_environment(bigquery_endpoint: str, dataset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from marketplace_pipeline import warehouse

    settings: dict[str, Any] = {"PROJECT": "marketplace-analytics", "LOCATION": "US", "API_ENDPOINT": bigquery_endpoint}
    for name, value in settings.items():
        monkeypatch.setenv(f"BIGQUERY_{name}", value)
    assert dataset in {item.dataset_id for item in warehouse.client().list_datasets()}
