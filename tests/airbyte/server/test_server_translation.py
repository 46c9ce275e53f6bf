"""The parts under the pipe, alone: exact rewriting of messages, confirmation of states, retry rules."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airbyte_server.replication.checkpoints import Checkpoints, StateRow
from airbyte_server.replication.json_spans import members
from airbyte_server.replication.mapping import NameMapping
from airbyte_server.replication.progress import StreamProgress, aggregate
from airbyte_server.replication.retry import FailedAttempt, next_delay
from airbyte_server.replication.translator import Translator
from airbyte_server.settings import RetryLimits
from airbyte_server.vault import Redactor
from hypothesis import given, settings
from hypothesis import strategies as st

USERS, ORDERS = ("public", "users"), ("", "orders")
RENAMED = NameMapping("custom_format", "raw_${SOURCE_NAMESPACE}", "x_")


class Harness:
    def __init__(self, mapping: NameMapping = RENAMED) -> None:
        self.streams = {key: StreamProgress(key, False) for key in (USERS, ORDERS)}
        self.checkpoints = Checkpoints(self.streams)
        self.other: list[dict[str, Any]] = []
        self.text: list[str] = []
        self.translator = Translator(
            self.streams, mapping, self.checkpoints, self.other.append, self.text.append, print
        )

    def translate(self, *lines: str | bytes) -> list[bytes]:
        return self.translator.translate([line.encode() if isinstance(line, str) else line for line in lines])


def record(order: list[str], data: Any, separators: tuple[str, str], stream: str, namespace: str | None) -> str:
    values = {
        "namespace": namespace,
        "stream": stream,
        "data": data,
        "emitted_at": 1700000000000,
        "meta": {"changes": []},
    }
    body = {key: values[key] for key in order if key != "namespace" or namespace is not None}
    return json.dumps({"type": "RECORD", "record": body}, separators=separators, ensure_ascii=False)


leaves = st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(['"data":{', "}}", "namespace", "\\"])
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["data", "namespace", "stream"]), inner)
    ),
    max_leaves=8,
)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.dictionaries(st.text() | st.sampled_from(["data", "namespace", "emitted_at"]), values), max_size=4),
    st.permutations(["namespace", "stream", "data", "emitted_at", "meta"]),
    st.sampled_from([(",", ":"), (", ", ": ")]),
    st.sampled_from([USERS, ORDERS]),
)
def test_records_arrive_renamed_and_otherwise_unchanged_whatever_their_layout(
    rows: list[dict[str, Any]], order: list[str], separators: tuple[str, str], key: tuple[str, str]
) -> None:
    harness = Harness()
    # Each twice, so that both the careful and the fast way are taken.
    lines = [record(order, row, separators, key[1], key[0] or None) for row in rows for _ in range(2)]
    forwarded = harness.translate(*lines)
    assert len(forwarded) == len(lines)
    for before, after in zip(lines, forwarded, strict=True):
        expected = json.loads(before)
        expected["record"]["stream"] = f"x_{key[1]}"
        expected["record"]["namespace"] = f"raw_{key[0]}"
        assert json.loads(after) == expected
    assert harness.streams[key].emitted == len(lines)
    assert harness.text == []


def test_numbers_keep_every_digit() -> None:
    harness = Harness()
    line = '{"type":"RECORD","record":{"stream":"orders","data":{"n":%s},"emitted_at":1}}'
    for digits in ("0.1234567890123456789", "123456789012345678901234567890", "1.0", "1E+2"):
        for _ in range(2):
            assert f'{{"n":{digits}}}'.encode() in harness.translate(line % digits)[0]


def test_a_stream_called_data_is_no_trap() -> None:
    progress = {("", "data"): StreamProgress(("", "data"), False)}
    checkpoints = Checkpoints(progress)
    translator = Translator(progress, NameMapping("source", None, "x_"), checkpoints, print, print, print)
    line = b'{"type":"RECORD","record":{"stream":"data","data":{"data":1},"emitted_at":1}}'
    assert translator.translate([line, line]) == [line.replace(b'"stream":"data"', b'"stream":"x_data"')] * 2


def test_lines_that_are_no_messages_and_unselected_streams_are_left_out_but_told() -> None:
    harness = Harness()
    line = '{"type":"RECORD","record":{"stream":"other","data":{},"emitted_at":1}}'
    assert harness.translate("Picked up JAVA_TOOL_OPTIONS", '{"no":"type"}', "[1]", '"x"', line, line, "") == []
    assert harness.text == ["Picked up JAVA_TOOL_OPTIONS", '{"no":"type"}', "[1]", '"x"']
    assert harness.translator.unexpected == {"other": 2}


def state(name: str, value: str, namespace: str | None = "public") -> str:
    descriptor = json.dumps({"name": name, **({"namespace": namespace} if namespace else {})})
    return (
        f'{{"type":"STATE","state":{{"type":"STREAM","stream":{{"stream_descriptor":{descriptor},"stream_state":{value}}},'
        '"sourceStats":{"recordCount":2.0}}}'
    )


USER = '{"type":"RECORD","record":{"namespace":"public","stream":"users","data":{"id":1},"emitted_at":1}}'


def test_a_state_confirms_what_came_before_it_and_nothing_after() -> None:
    harness = Harness()
    sent = harness.translate(USER, USER, state("users", '{"c":1.10}'), USER, USER, state("users", '{"c":2}'), USER)
    states = [json.loads(line)["state"] for line in sent if b'"STATE"' in line]
    assert states[0]["stream"]["stream_descriptor"] == {"name": "x_users", "namespace": "raw_public"}
    assert harness.streams[USERS].committed == 0
    (first,) = harness.checkpoints.confirm(states[0])
    assert first.rows == (StateRow("stream", USERS, b'{"c":1.10}'),)
    assert harness.streams[USERS].committed == 2
    assert harness.checkpoints.confirm(states[0]) == [], "a state is confirmed once"
    assert harness.checkpoints.confirm({**states[1], "destinationStats": {"recordCount": 2}}) != []
    assert (harness.streams[USERS].committed, harness.checkpoints.unconfirmed) == (4, 0)
    harness.checkpoints.finish()
    assert harness.streams[USERS].committed == 5
    assert harness.translator.count_mismatches == []


def test_a_later_state_confirms_skipped_ones_of_its_own_stream_only() -> None:
    harness = Harness()
    sent = harness.translate(
        USER, state("users", "1"), state("orders", "9", None), USER, state("users", "2"), state("users", "3")
    )
    states = [json.loads(line)["state"] for line in sent if b'"STATE"' in line]
    confirmed = harness.checkpoints.confirm(states[2])
    assert [checkpoint.rows[0].state for checkpoint in confirmed] == [b"1", b"2"]
    assert harness.streams[USERS].committed == 2
    assert harness.checkpoints.unconfirmed == 2


def test_a_global_state_covers_all_streams_and_keeps_its_parts() -> None:
    harness = Harness()
    line = (
        '{"type":"STATE","state":{"type":"GLOBAL","global":{"shared_state":{"lsn":1.0},"stream_states":['
        '{"stream_descriptor":{"name":"users","namespace":"public"},"stream_state":{"a":1}},'
        '{"stream_descriptor":{"name":"orders"},"stream_state":null}]}}}'
    )
    sent = json.loads(harness.translate(USER, line)[1])["state"]
    names = [one["stream_descriptor"]["name"] for one in sent["global"]["stream_states"]]
    assert names == ["x_users", "x_orders"]
    (checkpoint,) = harness.checkpoints.confirm(sent)
    assert checkpoint.rows == (
        StateRow("global", ("", ""), b'{"lsn":1.0}'),
        StateRow("stream", USERS, b'{"a":1}'),
        StateRow("stream", ORDERS, b"null"),
    )
    assert harness.streams[USERS].committed == 1


def test_a_count_that_differs_from_the_sources_is_told() -> None:
    harness = Harness()
    harness.translate(USER, state("users", "1"))
    assert harness.translator.count_mismatches == ["users: the source counted 2 records, 1 arrived"]


@pytest.mark.parametrize("text", ["[1]", '{"a"', '{"a":', '{"a":1', '{"a" 1}', '{"a":[1,{}'])
def test_broken_json_is_noticed(text: str) -> None:
    with pytest.raises(ValueError):
        members(text.encode())


COMPLETE_FAILURE, PARTIAL = FailedAttempt(False, False), FailedAttempt(True, False)


@pytest.mark.parametrize(
    ("attempts", "delay"),
    [
        ([COMPLETE_FAILURE], 10),
        ([COMPLETE_FAILURE] * 2, 30),
        ([COMPLETE_FAILURE] * 4, 270),
        ([COMPLETE_FAILURE] * 5, None),
        ([COMPLETE_FAILURE] * 4 + [PARTIAL], 0),
        ([COMPLETE_FAILURE] * 4 + [PARTIAL, COMPLETE_FAILURE], 10),
        ([*[COMPLETE_FAILURE] * 4, PARTIAL] * 2 + [COMPLETE_FAILURE] * 2, None),
        ([PARTIAL] * 19, 0),
        ([PARTIAL] * 20, None),
        ([FailedAttempt(True, True)], None),
        ([FailedAttempt(False, True)], None),
    ],
)
def test_retries_follow_the_platforms_rules(attempts: list[FailedAttempt], delay: float | None) -> None:
    assert next_delay(attempts, RetryLimits()) == delay


def test_a_jobs_numbers_add_up_over_resumed_attempts_only() -> None:
    first, resumed, again = (StreamProgress(USERS, resumed) for resumed in (False, True, False))
    for progress, rows in ((first, 5), (resumed, 2), (again, 9)):
        progress.emitted = progress.committed = rows
    assert aggregate([[first.as_dict()], [resumed.as_dict()]])[0]["recordsCommitted"] == 7
    assert aggregate([[first.as_dict()], [again.as_dict()]])[0]["recordsCommitted"] == 9


def test_secrets_are_masked_in_every_form() -> None:
    specification = {"properties": {"key": {"airbyte_secret": True}, "user": {"type": "string"}}}
    redact = Redactor(({"key": 'a"b\n-----PRIVATE LINE-----', "user": "bob"}, specification))
    assert redact('bob: a"b\n-----PRIVATE LINE-----') == "bob: **********"
    assert redact(json.dumps({"k": 'a"b\n-----PRIVATE LINE-----'})) == '{"k": "**********"}'
    assert redact("line -----PRIVATE LINE-----") == "line **********"
