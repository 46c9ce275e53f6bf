"""Who waits for whom, and for how long at most."""

from __future__ import annotations

import threading
import time

import pytest
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery

from bq_emulator.locks import Busy, Locks
from bq_emulator.model import BigQueryError


def test_a_wait_ends_with_an_error_that_names_what_was_waited_for() -> None:
    locks = Locks(max_wait=0.15)
    with locks.tables([("d", "t"), ("d", "u")]):
        with (
            pytest.raises(BigQueryError, match=r"Waited 0 s for table d\.t, which another job") as refused,
            locks.tables([("d", "t"), ("d", "v")]),
        ):
            pass
        assert refused.value.reason == "resourceInUse"
        with pytest.raises(BigQueryError, match="for dataset d,"), locks.dataset("d"):
            pass
        # Who gave up is in nobody's way.
        with locks.tables([("d", "v")], wait=False):
            pass
    with locks.dataset("d"), pytest.raises(BigQueryError, match="for dataset d,"), locks.tables([("d", "t")]):
        pass


def test_who_wants_a_dataset_goes_before_those_who_come_later() -> None:
    locks = Locks()
    dropped = threading.Event()

    def drop() -> None:
        with locks.dataset("d"):
            dropped.set()

    def is_taken() -> bool:
        try:
            with locks.tables([("d", "other")], wait=False):
                return False
        except Busy:
            return True

    thread = threading.Thread(target=drop)
    with locks.tables([("d", "t")]):
        thread.start()
        deadline = time.monotonic() + 10
        while not is_taken():
            assert time.monotonic() < deadline
        with locks.tables([("elsewhere", "t")], wait=False):
            assert not dropped.is_set()
    thread.join(10)
    assert dropped.is_set() and not is_taken()


def test_who_is_told_to_stop_stops_waiting() -> None:
    def stop() -> None:
        raise BigQueryError("stopped", "enough")

    locks = Locks()
    with locks.tables([("d", "t")]):
        with pytest.raises(BigQueryError, match="enough"), locks.tables([("d", "t")], check=stop):
            pass
        with pytest.raises(BigQueryError, match="enough"), locks.dataset("d", check=stop):
            pass


def test_a_job_that_cannot_begin_is_refused_and_not_lost(bigquery_client: bigquery.Client) -> None:
    configuration = {"query": {"query": "SELECT 1", "useLegacySql": False}, "jobTimeoutMs": "soon"}
    path = f"/projects/{bigquery_client.project}/jobs"
    with pytest.raises(BadRequest, match="jobTimeoutMs: 'soon'"):
        bigquery_client._connection.api_request("POST", path, data={"configuration": configuration})
