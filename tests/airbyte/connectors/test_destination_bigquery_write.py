"""The destination against a real emulator: modes, generations, states, retries."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import time
import weakref
from types import SimpleNamespace
from typing import Any

import pytest
from destination_bigquery import config, writer
from destination_bigquery.warehouse import Warehouse
from destination_messages import (
    COMPLETE,
    DEDUP,
    INTEGER,
    NUMBER,
    STRING,
    Query,
    catalog,
    messages,
    overwriting,
    record,
    state,
    status,
)
from google.cloud import bigquery


def test_check_leaves_nothing_behind(destination: Any, table_names: Any) -> None:
    assert destination.check() == {"status": "SUCCEEDED"}
    assert table_names() == []


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"project_id": "wrong-project"}, "wrong-project"),
        ({"api_endpoint": "http://127.0.0.1:1"}, "Nothing answers at api_endpoint http://127.0.0.1:1"),
        ({"api_endpoint": "localhost"}, "api_endpoint is 'localhost'"),
        ({"api_endpoint": "http://127.0.0.1:99999"}, "api_endpoint is 'http://127.0.0.1:99999'"),
        ({"raw_data_dataset": 5}, "raw_data_dataset is missing or not a text"),
        ({"dataset_location": "EU"}, "set dataset_location to US"),
        ({"dataset_id": ""}, "dataset_id is missing"),
        ({"loading_method": {"method": "GCS Staging"}}, "'GCS Staging' is not supported"),
        ({"disable_type_dedupe": True}, "disable_type_dedupe"),
        ({"transformation_priority": "fast"}, "transformation_priority is 'fast'"),
        ({"job_project_id": "other"}, "job_project_id is not supported"),
        ({"stream_configurations": [{"stream_name": "t"}]}, "stream_configurations is not supported"),
        ({"credentials_json": "{}"}, "not the JSON of a service account key"),
    ],
)
def test_check_tells_apart_what_is_wrong(destination: Any, overrides: dict[str, Any], words: str) -> None:
    answer = destination.check(**overrides)
    assert answer["status"] == "FAILED"
    assert words in answer["message"]


@pytest.mark.parametrize(
    "overrides",
    [{"credentials_json": '{"private_key": "s3cret-key"'}, {"api_endpoint": "http://proxy:s3cret-key@127.0.0.1:1"}],
)
def test_no_message_shows_a_secret(destination: Any, overrides: dict[str, str]) -> None:
    run = destination("check", config={**destination.config, **overrides})
    assert b"FAILED" in b"".join(run.lines)
    assert b"s3cret-key" not in b"".join(run.lines)


def test_append_creates_the_table_and_adds_to_it(
    destination: Any, query: Query, bigquery_client: bigquery.Client, dataset: str, table_names: Any
) -> None:
    properties = {"id": INTEGER, "Odd name": STRING, "tags": {"type": "array"}}
    lines = messages(record(id=1, **{"Odd name": "é", "tags": ["a", None]}), state(1), record(id=2), state(2), COMPLETE)
    first = destination("write", lines, catalog=catalog(properties))
    assert first.status == 0, first.errors
    assert [s["stream"]["stream_state"]["position"] for s in first.states()] == [1, 2]
    assert [s["destinationStats"]["recordCount"] for s in first.states()] == [1, 1]
    second = destination("write", messages(record(id=3), COMPLETE), catalog=catalog(properties, sync=2, generation=2))
    assert second.status == 0, second.errors
    assert query(
        "SELECT id, Odd_name, IF(tags IS NULL, NULL, TO_JSON_STRING(tags)), _airbyte_generation_id FROM {t} ORDER BY id"
    ) == [
        (1, "é", '["a",null]', 1),
        (2, None, None, 1),
        (3, None, None, 2),
    ]
    table = bigquery_client.get_table(f"{dataset}.things")
    assert [(field.name, field.field_type, field.mode) for field in table.schema] == [
        ("_airbyte_raw_id", "STRING", "REQUIRED"),
        ("_airbyte_extracted_at", "TIMESTAMP", "REQUIRED"),
        ("_airbyte_meta", "JSON", "REQUIRED"),
        ("_airbyte_generation_id", "INTEGER", "NULLABLE"),
        ("id", "INTEGER", "NULLABLE"),
        ("Odd_name", "STRING", "NULLABLE"),
        ("tags", "JSON", "NULLABLE"),
    ]
    assert (table.time_partitioning.type_, table.time_partitioning.field) == ("DAY", "_airbyte_extracted_at")
    assert table.clustering_fields == ["_airbyte_extracted_at"]
    assert query("SELECT DISTINCT TO_JSON_STRING(_airbyte_meta.sync_id) FROM {t} ORDER BY 1") == [("1",), ("2",)]
    assert table_names() == ["things"]


@pytest.mark.parametrize(("given", "priority"), [("batch", "BATCH"), ("interactive", "INTERACTIVE")])
def test_queries_run_with_the_priority_that_is_asked(
    destination: Any, bigquery_client: bigquery.Client, dataset: str, given: str, priority: str
) -> None:
    destination.config["transformation_priority"] = given
    run = destination("write", messages(record(id=1), COMPLETE), catalog=catalog({"id": INTEGER}))
    assert run.status == 0, run.errors
    jobs = [
        job for job in bigquery_client.list_jobs(max_results=20) if job.job_type == "query" and dataset in job.query
    ]
    assert {job.priority for job in jobs} == {priority}


def test_a_state_comes_back_as_it_went_in(destination: Any) -> None:
    line = b'{"type":"STATE", "state": {"type":"STREAM","stream":{"stream_descriptor":{"name":"things"},'
    line += b'"stream_state":{"n":1.000000000000000000000000001,"\\u00e9":null}},"sourceStats":{"recordCount":1.0}}}\n'
    run = destination("write", messages(record(id=1)) + line + messages(COMPLETE), catalog=catalog({"id": INTEGER}))
    echoed = next(echo for echo in run.lines if b'"STATE"' in echo)
    assert echoed.replace(b'"destinationStats":{"recordCount":1.0},', b"") == line


def test_values_that_bigquery_cannot_hold_are_recorded(destination: Any, query: Query) -> None:
    lines = messages(record(n=1.5, i=2**70), record(n="x", i=1), record(n=None, i=None), COMPLETE)
    assert destination("write", lines, catalog=catalog({"n": NUMBER, "i": INTEGER})).status == 0
    rows = query("SELECT CAST(n AS STRING), i, TO_JSON_STRING(_airbyte_meta) FROM {t}")
    changes = {row[:2]: json.loads(row[2])["changes"] for row in rows}
    assert changes == {
        ("1.5", None): [{"field": "i", "change": "NULLED", "reason": "DESTINATION_FIELD_SIZE_LIMITATION"}],
        (None, 1): [{"field": "n", "change": "NULLED", "reason": "DESTINATION_SERIALIZATION_ERROR"}],
        (None, None): [],
    }


def test_dedup_keeps_the_newest_row_of_each_key(destination: Any, query: Query) -> None:
    def sync(number: int, *parts: dict[str, Any]) -> None:
        run = destination(
            "write",
            messages(*parts, state(number), COMPLETE),
            catalog=catalog(DEDUP, "append_dedup", sync=number, key="id", cursor="at"),
        )
        assert run.status == 0, run.errors

    day = "2024-01-0{}T00:00:00.000000Z".format
    sync(1, record(id=1, at=day(2), v="new"), record(id=1, at=day(1), v="old"), record(id=2, at=None, v="none"))
    assert query("SELECT id, v FROM {t} ORDER BY id") == [(1, "new"), (2, "none")]
    sync(
        2,
        record(id=1, at=day(1), v="late"),  # older than what is there
        record(id=2, at=day(1), v="has a cursor now"),
        record(id=3, at=day(1), v="a"),
        record(id=3, at=day(1), v="b"),  # the same moment: the later arrival
        record(id=None, at=day(1), v="no key"),
    )
    sync(3, record(id=None, at=day(2), v="no key, once"))
    expected = [(None, "no key, once"), (1, "new"), (2, "has a cursor now"), (3, "b")]
    assert query("SELECT id, v FROM {t} ORDER BY id") == expected


def test_a_field_may_be_named_as_a_column_of_the_destination(destination: Any, query: Query) -> None:
    cat = catalog({"id": INTEGER, "_airbyte_meta": STRING, "_airbyte_sequence": STRING}, "append_dedup", key="id")
    run = destination("write", messages(record(id=1, _airbyte_meta="m", _airbyte_sequence="s"), COMPLETE), catalog=cat)
    assert run.status == 0, run.errors
    assert query("SELECT _airbyte_meta_1, _airbyte_sequence_1 FROM {t}") == [("m", "s")]


def test_a_sync_may_take_days(destination: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its stage table goes by itself, but not before its end."""
    create = Warehouse.create_table
    expiries = []

    def watched(self: Warehouse, *arguments: Any, **properties: Any) -> Any:
        if expiry := properties.get("expirationTime"):
            expiries.append(int(expiry) / 1000 - time.time())
        return create(self, *arguments, **properties)

    monkeypatch.setattr(Warehouse, "create_table", watched)
    assert destination("write", messages(record(id=1), COMPLETE), catalog=catalog({"id": INTEGER})).status == 0
    assert min(expiries) > 7 * 24 * 3600


def test_dedup_clusters_by_key(destination: Any, bigquery_client: bigquery.Client, dataset: str) -> None:
    cat = catalog(DEDUP, "append_dedup", key="id", cursor="at")
    assert destination("write", messages(record(id=1), COMPLETE), catalog=cat).status == 0
    assert bigquery_client.get_table(f"{dataset}.things").clustering_fields == ["id", "_airbyte_extracted_at"]


@pytest.mark.parametrize(("mode", "rows"), [("Hard delete", [(2,)]), ("Soft delete", [(1,), (2,), (3,)])])
def test_rows_deleted_in_a_cdc_source(destination: Any, query: Query, mode: str, rows: list[Any]) -> None:
    properties = {"id": INTEGER, "_ab_cdc_lsn": INTEGER, "_ab_cdc_deleted_at": STRING}
    config = {**destination.config, "cdc_deletion_mode": mode}

    def sync(number: int, *parts: dict[str, Any]) -> None:
        cat = catalog(properties, "append_dedup", sync=number, key="id", cursor="_ab_cdc_lsn")
        assert destination("write", messages(*parts, COMPLETE), config=config, catalog=cat).status == 0

    sync(1, record(id=1, _ab_cdc_lsn=1), record(id=2, _ab_cdc_lsn=2))
    gone = {"_ab_cdc_deleted_at": "2024-01-01T00:00:00Z"}
    sync(2, record(id=1, _ab_cdc_lsn=3, **gone), record(id=3, _ab_cdc_lsn=4, **gone))
    assert query("SELECT id FROM {t} ORDER BY id") == rows


def test_overwrite_replaces_rows_only_when_complete(destination: Any, query: Query, table_names: Any) -> None:
    old = messages(record(id=1), record(id=2), state(1), COMPLETE)
    assert destination("write", old, catalog=overwriting({"id": INTEGER})).status == 0
    cat = overwriting({"id": INTEGER}, sync=2, generation=2)
    for cut in (b"", messages(status("INCOMPLETE"))):
        broken = destination("write", messages(record(id=3), state(2)) + cut, catalog=cat)
        assert broken.status == 1
        assert "before these streams were complete: things" in broken.errors[0]["message"]
        assert query("SELECT id FROM {t} ORDER BY id") == [(1,), (2,)]
    retried = destination("write", messages(record(id=3), state(2), record(id=4), state(3), COMPLETE), catalog=cat)
    assert retried.status == 0
    assert query("SELECT id FROM {t} ORDER BY id") == [(3,), (4,)]
    nothing = destination("write", messages(COMPLETE), catalog=overwriting({"id": INTEGER}, sync=3, generation=3))
    assert nothing.status == 0
    assert query("SELECT id FROM {t}") == []
    assert table_names() == ["things"]


def test_a_resumable_overwrite_goes_on_with_what_it_had(destination: Any, query: Query) -> None:
    assert destination("write", messages(record(id=0), COMPLETE), catalog=overwriting({"id": INTEGER})).status == 0
    cat = overwriting({"id": INTEGER}, sync=2, generation=2, resumable=True)
    assert destination("write", messages(record(id=1), state(1)), catalog=cat).status == 1
    assert destination("write", messages(record(id=2), state(2), COMPLETE), catalog=cat).status == 0
    assert query("SELECT id FROM {t} ORDER BY id") == [(1,), (2,)]
    # The stream was complete; another one's failure makes the job try again, and this source has nothing left to say.
    assert destination("write", messages(COMPLETE), catalog=cat).status == 0
    assert query("SELECT id FROM {t} ORDER BY id") == [(1,), (2,)]


def test_overwrite_with_dedup(destination: Any, query: Query) -> None:
    lines = messages(record(id=1, at="2024-01-02T00:00:00Z", v="x"), record(id=1, at="2024-01-01T00:00:00Z"), COMPLETE)
    for number in (1, 2):
        cat = catalog(DEDUP, "append_dedup", sync=number, generation=number, truncate=True, key="id", cursor="at")
        assert destination("write", lines, catalog=cat).status == 0
        assert query("SELECT id, v, _airbyte_generation_id FROM {t}") == [(1, "x", number)]


def test_a_chunk_sent_again_in_the_same_sync_is_not_written_twice(destination: Any, query: Query) -> None:
    lines = messages(record(id=1), record(id=1), state(1))
    for _ in range(2):
        assert len(destination("write", lines, catalog=catalog({"id": INTEGER})).states()) == 1
        assert query("SELECT COUNT(*) FROM {t}") == [(2,)]
    # The same records at another position, and in another sync, are other rows.
    destination("write", messages(record(id=1), record(id=1), state(2)), catalog=catalog({"id": INTEGER}))
    assert query("SELECT COUNT(*) FROM {t}") == [(4,)]
    destination("write", lines, catalog=catalog({"id": INTEGER}, sync=2))
    assert query("SELECT COUNT(*) FROM {t}") == [(6,)]


@pytest.mark.parametrize("mode", ["append", "append_dedup", "overwrite"])
def test_rows_without_states_are_committed_by_the_first_that_comes(
    destination: Any, query: Query, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """Each record is passed on before its state, as where a source sends very many in between."""
    monkeypatch.setattr(config, "_batch_bytes", lambda raw: 1)
    cat = catalog({"id": INTEGER}, mode, truncate=mode == "overwrite", key="id" if mode == "append_dedup" else None)
    parts = [record(id=1), record(id=2), state(1), record(id=3), COMPLETE]
    run = destination("write", messages(*parts), catalog=cat)
    assert run.status == 0, run.errors
    assert len(run.states()) == 1
    assert query("SELECT id FROM {t} ORDER BY id") == [(1,), (2,), (3,)]


def test_memory_does_not_grow_with_the_number_of_batches_and_streams(
    destination: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many streams another one has much to load each time."""
    size, streams = 200_000, 8
    monkeypatch.setattr(config, "_batch_bytes", lambda raw: size)  # each state ends a batch
    monkeypatch.setattr(writer, "_KEPT_SIZES", range(size // 2, 2 * size))
    files: weakref.WeakSet[Any] = weakref.WeakSet()
    held = []

    class File(io.BytesIO):
        def __init__(self) -> None:
            super().__init__()
            files.add(self)

    monkeypatch.setattr(writer, "io", SimpleNamespace(BytesIO=File))

    def load(*_: Any, **__: Any) -> None:
        time.sleep(0.005)  # else no file waits for another one
        held.append(sum(file.getbuffer().nbytes for file in list(files)))

    monkeypatch.setattr(Warehouse, "load", load)
    cat = overwriting({"id": STRING})
    cat["streams"] = [
        {**cat["streams"][0], "stream": {**cat["streams"][0]["stream"], "name": f"things{number}"}}
        for number in range(streams)
    ]
    parts = []
    for large in range(4 * streams):
        for number in range(streams):
            data = {"id": "x" * (size if number == large % streams else 10)}
            parts.append({"type": "RECORD", "record": {"stream": f"things{number}", "emitted_at": 1, "data": data}})
        parts.append({"type": "STATE", "state": {"type": "GLOBAL", "global": {"stream_states": [], "n": large}}})
    run = destination("write", messages(*parts), catalog=cat)
    assert "before these streams were complete" in run.errors[0]["message"]
    assert len(held) == 4 * streams * streams
    assert max(held) < 6 * size


def test_a_row_that_a_resumed_overwrite_has_twice_is_kept_once(destination: Any, query: Query) -> None:
    """The source had to begin anew, or read again what had moved; the later reading counts."""
    cat = overwriting({"id": INTEGER, "v": STRING}, resumable=True)
    cat["streams"][0]["stream"]["source_defined_primary_key"] = [["id"]]
    assert destination("write", messages(record(1, id=1, v="old"), record(1, id=2), state(1)), catalog=cat).status == 1
    rest = messages(record(2, id=1, v="new"), record(2, id=3), state(2), COMPLETE)
    assert destination("write", rest, catalog=cat).status == 0
    assert query("SELECT id, v FROM {t} ORDER BY id") == [(1, "new"), (2, None), (3, None)]


def test_a_killed_write_is_finished_by_the_next(destination: Any, query: Query, table_names: Any) -> None:
    """Killed while it waited for more; what the states given back stand behind is there, and once."""
    destination.config["big_query_client_buffer_size_mb"] = 1
    properties = {"id": INTEGER, "padding": STRING}
    parts = [
        messages(*(record(id=start + row, padding="x" * 2000) for row in range(600)), state(start))
        for start in range(0, 12_000, 600)
    ]  # fmt: skip
    arguments = destination.arguments("write", catalog=catalog(properties))
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(b"".join(parts[:12]))
        process.stdin.flush()
        while b'"STATE"' not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGKILL)
        echoed = 1 + process.stdout.read().count(b'"STATE"')
    assert query("SELECT COUNT(*), COUNT(DISTINCT id) FROM {t}") == [(600 * echoed, 600 * echoed)]
    # What was committed, but whose states were lost on the way, is sent once more.
    rest = destination("write", b"".join(parts) + messages(COMPLETE), catalog=catalog(properties))
    assert rest.status == 0, rest.errors
    assert query("SELECT COUNT(*), COUNT(DISTINCT id) FROM {t}") == [(12_000, 12_000)]


def test_a_truncating_refresh_that_was_given_up_is_ended_by_the_next_sync(destination: Any, query: Query) -> None:
    """The source goes on from the refresh's last state: what came before that state is in the stage alone."""
    destination("write", messages(record(id=0), record(id=1), state(1), COMPLETE), catalog=catalog({"id": INTEGER}))
    begun = catalog({"id": INTEGER}, sync=2, generation=2, truncate=True, resumable=True)
    assert destination("write", messages(record(id=1), state(2)), catalog=begun).status == 1
    after = catalog({"id": INTEGER}, sync=3, generation=2, resumable=True)
    assert destination("write", messages(record(id=2), state(3), COMPLETE), catalog=after).status == 0
    assert query("SELECT id FROM {t} ORDER BY id") == [(1,), (2,)]


def test_a_refresh_goes_on_with_columns_that_came_meanwhile(destination: Any, query: Query) -> None:
    begun = catalog({"id": INTEGER, "v": INTEGER}, generation=2, truncate=True, resumable=True)
    assert destination("write", messages(record(id=1, v=1), record(id=1, v=2), state(1)), catalog=begun).status == 1
    changed = catalog({"id": INTEGER, "v": STRING}, sync=2, generation=2, resumable=True)
    run = destination("write", messages(COMPLETE), catalog=changed)
    assert "Column 'v' of stream things changed its type" in run.errors[0]["message"]
    properties = {"id": INTEGER, "v": INTEGER, "extra": {"type": "object"}}
    more = catalog(properties, "append_dedup", sync=3, generation=2, resumable=True, key="id")
    run = destination("write", messages(record(2, id=2, extra={"a": 1}), state(2), COMPLETE), catalog=more)
    assert run.status == 0, run.errors
    assert query("SELECT id, TO_JSON_STRING(extra) FROM {t} ORDER BY id") == [(1, "null"), (2, '{"a":1}')]


def test_an_incremental_stream_without_a_key_goes_on_with_what_its_refresh_had(destination: Any, query: Query) -> None:
    cat = catalog({"id": INTEGER}, sync=2, generation=2, truncate=True)
    cat["streams"][0]["sync_mode"] = "incremental"
    assert destination("write", messages(record(id=1), state(1)), catalog=cat).status == 1
    assert destination("write", messages(record(id=2), state(2), COMPLETE), catalog=cat).status == 0
    assert query("SELECT id FROM {t} ORDER BY id") == [(1,), (2,)]
