"""The parts of the destination that need no warehouse: types, names, values, batches."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from destination_bigquery import batch, catalog, columns, names, tables
from destination_bigquery.convert import to_arrow
from destination_bigquery.errors import ConnectorError
from destination_bigquery.values import NULLED_INVALID, NULLED_TOO_LARGE, TRUNCATED, coerce


def configured(properties: dict[str, Any], **overrides: Any) -> dict[str, Any]:
    return {
        "stream": {"name": "s", "namespace": None, "json_schema": {"properties": properties}},
        "sync_mode": "full_refresh",
        "destination_sync_mode": "append",
        "generation_id": 3,
        "minimum_generation_id": 0,
        "sync_id": 7,
        **overrides,
    }


def stream_of(properties: dict[str, Any], **overrides: Any) -> catalog.Stream:
    return catalog.parse({"streams": [configured(properties, **overrides)]}, "raw")[0]


def record(data: str, stream: str = "s", meta: str = "") -> bytes:
    head = f'{{"type":"RECORD","record":{{"stream":"{stream}","emitted_at":1700000000123,"data":'
    return f"{head}{data}{meta}}}}}\n".encode()


def converted(lines: list[bytes], stream: catalog.Stream) -> pa.Table:
    return to_arrow(batch.Chunk(stream, list(lines), len(lines), 0, "", closed=False))


def state(position: int, stream: str = "s") -> bytes:
    body = {"type": "STREAM", "stream": {"stream_descriptor": {"name": stream}, "stream_state": {"at": position}}}
    return json.dumps({"type": "STATE", "state": body}).encode() + b"\n"


GREATEST = Decimal("99999999999999999999999999999.999999999")

ALL_TYPES = {
    "s": {"type": "string"},
    "i": {"type": "number", "airbyte_type": "integer"},
    "n": {"type": "number"},
    "b": {"type": "boolean"},
    "d": {"type": "string", "format": "date"},
    "ts": {"type": "string", "format": "date-time", "airbyte_type": "timestamp_with_timezone"},
    "dt": {"type": "string", "format": "date-time", "airbyte_type": "timestamp_without_timezone"},
    "t": {"type": "string", "format": "time", "airbyte_type": "time_without_timezone"},
    "j": {"type": "array", "items": {"type": "string"}},
}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": ["null", "string"]}, "STRING"),
        ({"type": "integer"}, "INT64"),
        ({"type": "number", "airbyte_type": "big_integer"}, "NUMERIC"),
        ({"type": ["integer", "number"]}, "NUMERIC"),
        ({"type": ["string", "number"]}, "STRING"),
        ({"type": ["string", "object"]}, "JSON"),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, "JSON"),
        ({"allOf": [{"type": "string"}]}, "STRING"),
        ({"anyOf": [{"type": "null"}, {"type": "string", "format": "date"}]}, "DATE"),
        ({"type": ["null", "string"], "oneOf": [{"type": "string"}, {"type": "integer"}]}, "STRING"),
        ({"type": "object"}, "JSON"),
        ({}, "JSON"),
        ({"type": "string", "format": "date-time"}, "TIMESTAMP"),
        ({"type": "string", "format": "time", "airbyte_type": "time_with_timezone"}, "STRING"),
    ],
)
def test_schemas_map_to_types(schema: dict[str, Any], expected: str) -> None:
    assert catalog.bigquery_type(schema) == expected


def test_all_types_of_the_marketplace_map_to_types() -> None:
    types = [column.type for column in stream_of(ALL_TYPES).columns]
    assert types == ["STRING", "INT64", "NUMERIC", "BOOL", "DATE", "TIMESTAMP", "DATETIME", "TIME", "JSON"]


def test_names_follow_bigquerys_rules() -> None:
    assert names.identifier("1 ünï") == "_1__n_"
    assert names.dataset("_x-y") == "n_x_y"
    assert names.columns(["Id", "id", "iD", "_airbyte_meta"], ["_airbyte_meta"]) == {
        "Id": "Id",
        "id": "id_1",
        "iD": "iD_2",
        "_airbyte_meta": "_airbyte_meta_1",
    }


def test_working_tables_of_two_tables_are_told_apart() -> None:
    """An interrupted sync's are taken over by the table they are named after."""
    warehouse: Any = SimpleNamespace(config=SimpleNamespace(internal_dataset="internal"))
    targets = [("a_b", "c"), ("a", "b_c"), ("a", "b" * 1000 + "1"), ("a", "b" * 1000 + "2")]
    assert len({tables.rebuilding(warehouse, target) for target in targets}) == 4


@pytest.mark.parametrize(
    ("value", "bigquery_type", "expected", "change"),
    [
        (5, "STRING", "5", None),
        (Decimal("1.50"), "STRING", "1.50", None),
        ({"a": [1]}, "STRING", '{"a":[1]}', None),
        ("\ud83d", "STRING", None, NULLED_INVALID),
        (2**63 - 1, "INT64", 2**63 - 1, None),
        (2**63, "INT64", None, NULLED_TOO_LARGE),
        (Decimal("1.0"), "INT64", 1, None),
        (Decimal("1.5"), "INT64", None, NULLED_INVALID),
        ("12", "INT64", 12, None),
        (True, "INT64", None, NULLED_INVALID),
        ("x", "NUMERIC", None, NULLED_INVALID),
        (Decimal("0.0000000005"), "NUMERIC", Decimal("0.000000001"), TRUNCATED),
        (Decimal("-0.0000000005"), "NUMERIC", Decimal("-0.000000001"), TRUNCATED),
        (GREATEST, "NUMERIC", GREATEST, None),
        (Decimal("99999999999999999999999999999.9999999995"), "NUMERIC", None, NULLED_TOO_LARGE),
        (Decimal("1e29"), "NUMERIC", None, NULLED_TOO_LARGE),
        (Decimal("1e999999"), "NUMERIC", None, NULLED_TOO_LARGE),
        ("maybe", "BOOL", None, NULLED_INVALID),
        ("1_000", "INT64", None, NULLED_INVALID),
        ("2024-02-30", "DATE", None, NULLED_INVALID),
        ("2024-02-29T23:59:59-01:00", "DATE", datetime.date(2024, 2, 29), None),
        ("2024-02-29T23:59:59-01:00", "DATETIME", datetime.datetime(2024, 2, 29, 23, 59, 59), None),
        ("0044-03-15 BC", "DATE", None, NULLED_TOO_LARGE),
        ("10000-01-01", "DATE", None, NULLED_TOO_LARGE),
        ("0001-01-01T00:00:00+02:00", "TIMESTAMP", None, NULLED_TOO_LARGE),
        (
            "2024-01-01T00:00:00.1234567Z",
            "TIMESTAMP",
            datetime.datetime(2024, 1, 1, 0, 0, 0, 123456, datetime.UTC),
            TRUNCATED,
        ),
        ("2024-01-01T00:00:00.123456000", "DATETIME", datetime.datetime(2024, 1, 1, 0, 0, 0, 123456), None),
        ("23:59:59.999999999", "TIME", datetime.time(23, 59, 59, 999999), TRUNCATED),
        ([1, None, "é"], "JSON", '[1,null,"é"]', None),
        (None, "JSON", None, None),
    ],
)
def test_values_are_coerced(value: Any, bigquery_type: Any, expected: Any, change: Any) -> None:
    assert coerce(value, bigquery_type) == (expected, change)


PLAIN = (
    '{"s":"“q” \\u0001 🛍️","i":9223372036854775807,"n":-99999999999999999999999999999.999999999,"b":true,'
    '"d":"0001-01-01","ts":"9999-12-31T23:59:59.999999Z","dt":"2024-10-27T02:30:00.000000","t":"10:00:00.5","j":["a",null,""]}'
)
EMPTY = '{"s":"","j":[],"unknown":{"x":1}}'


def test_a_plain_chunk_and_the_same_beside_a_bad_value_convert_alike() -> None:
    """The fast way and the careful way give the same table."""
    stream = stream_of(ALL_TYPES)
    lines = [
        record(PLAIN),
        record(EMPTY),
        record("{}", meta=',"meta":{"changes":[{"field":"n","change":"NULLED","reason":"SOURCE_RETRIEVAL_ERROR"}]}'),
    ]
    fast = converted(lines, stream)
    careful = converted([*lines, record('{"i":"no number"}')], stream)
    assert fast.to_pylist() == careful.slice(0, 3).to_pylist()
    assert fast.schema == careful.schema
    first, second, third = fast.to_pylist()
    assert first["n"] == Decimal("-99999999999999999999999999999.999999999")
    assert first["j"] == '["a",null,""]'
    assert first["_airbyte_extracted_at"] == datetime.datetime(2023, 11, 14, 22, 13, 20, 123000, datetime.UTC)
    assert first["_airbyte_meta"] is None
    assert (second["s"], second["j"], second["n"]) == ("", "[]", None)
    assert json.loads(third["_airbyte_meta"])["changes"][0]["field"] == "n"
    bad = json.loads(careful.to_pylist()[3]["_airbyte_meta"])
    assert bad == {
        "sync_id": 7,
        "changes": [{"field": "i", "change": "NULLED", "reason": "DESTINATION_SERIALIZATION_ERROR"}],
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", "100000000000000000000000000000"),
        ("n", "0.1234567891"),
        ("i", "9223372036854775808"),
        ("d", '"0000-01-01"'),
        ("ts", '"0001-01-01T00:00:00+02:00"'),
        ("ts", '"0044-03-15T00:00:00.000000Z BC"'),
        ("dt", '"10000-01-01T00:00:00"'),
        ("t", '"25:00:00"'),
    ],
)
def test_a_value_beyond_bigquery_is_recorded(field: str, value: str) -> None:
    row = converted([record(PLAIN), record(f'{{"{field}":{value}}}')], stream_of(ALL_TYPES)).to_pylist()[1]
    changes = json.loads(row["_airbyte_meta"])["changes"]
    assert [change["field"] for change in changes] == [field]
    assert (row[field] is None) == (changes[0]["change"] == "NULLED")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a":NaN}', '{"a":"NaN"}'),
        ("[1,-Infinity]", '[1,"-Infinity"]'),
        ("[Inf]", None),
        ('"a\nb"', None),
        ('{\n  "a": 1\n}', '{"a":1}'),
    ],
)
def test_json_in_a_frame_that_only_arrow_reads(text: str, expected: str | None) -> None:
    for kind in (pa.string(), pa.large_string()):
        array, changes = columns.fit(pa.array(["[]", text], kind), "JSON")
        assert array.to_pylist() == ["[]", expected]
        assert changes == ({} if expected else {1: NULLED_INVALID})


def test_a_decimal_without_units_is_written_as_numeric() -> None:
    """Parquet has no negative scales; Postgres does: numeric(3, -2)."""
    array, _ = columns.fit(pa.array([Decimal("1200")], pa.decimal128(3, -2)), "NUMERIC")
    assert (array.type, array.to_pylist()) == (pa.decimal128(38, 9), [1200])


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"generation_id": None}, "lacks generation_id"),
        ({"stream": {"json_schema": {}}}, "lacks 'name'"),
        ({"minimum_generation_id": 2}, "hybrid refreshes"),
        ({"destination_sync_mode": "update"}, "'update' is not supported"),
        ({"destination_sync_mode": "append_dedup"}, "has no primary key"),
        ({"destination_sync_mode": "append_dedup", "primary_key": [["nope"]]}, "primary key 'nope'"),
        ({"destination_sync_mode": "append_dedup", "primary_key": [["j"]]}, "of type JSON"),
        ({"destination_sync_mode": "append_dedup", "primary_key": [["i"]], "cursor_field": ["x"]}, "cursor 'x'"),
    ],
)
def test_a_catalog_that_cannot_be_honoured_is_refused(overrides: dict[str, Any], words: str) -> None:
    with pytest.raises(ConnectorError, match=words) as failure:
        stream_of(ALL_TYPES, **overrides)
    assert failure.value.failure_type == "config_error"


def test_a_key_clusters_as_far_as_bigquery_can() -> None:
    key = [["s"], ["t"], ["i"], ["d"], ["n"]]
    stream = stream_of(ALL_TYPES, destination_sync_mode="append_dedup", primary_key=key)
    assert stream.clustering == ["s", "i", "d", "_airbyte_extracted_at"]


def test_two_streams_of_one_table_are_refused() -> None:
    streams = [configured({}), configured({}, stream={"name": "S", "json_schema": {}})]
    with pytest.raises(ConnectorError, match="would all be written to table raw"):
        catalog.parse({"streams": streams}, "raw")


def complete(stream: str = "s") -> bytes:
    return said("COMPLETE", stream)


def said(word: str, stream: str = "s") -> bytes:
    status = {"stream_descriptor": {"name": stream, "namespace": None}, "status": word}
    return json.dumps({"type": "TRACE", "trace": {"type": "STREAM_STATUS", "stream_status": status}}).encode() + b"\n"


def sorted_lines(*lines: bytes, batch_bytes: int = 1 << 20) -> list[batch.Batch]:
    return list(batch.batches(lines, [stream_of({"a": {"type": "integer"}})], batch_bytes))


def test_records_and_states_are_counted_and_kept_in_order() -> None:
    first, last = sorted_lines(*[record('{"a":1}')] * 2, state(1), record('{"a":3}'), state(2), complete())
    assert [count for _, count in first.states] == [2, 1]
    assert [json.loads(line)["state"]["stream"]["stream_state"]["at"] for line, _ in first.states] == [1, 2]
    assert [(chunk.count, len(chunk.rows)) for chunk in first.chunks] == [(3, 3)]
    assert [str(stream) for stream in first.completed] == ["s"]
    assert last == batch.Batch()


def test_records_after_the_end_of_their_stream_are_refused() -> None:
    with pytest.raises(ConnectorError, match="records after its COMPLETE"):
        sorted_lines(complete(), record('{"a":4}'))


def test_a_stream_begins_when_the_source_says_so_or_with_its_first_record() -> None:
    streams = catalog.parse({"streams": [configured({}, stream={"name": n, "json_schema": {}}) for n in "st"]}, "raw")
    begun: list[str] = []
    seen = []

    def lines() -> Iterator[bytes]:
        for line in (said("STARTED"), said("STARTED", "unknown"), record("{}"), record("{}", "t"), complete()):
            yield line
            seen.append(list(begun))

    list(batch.batches(lines(), streams, 1 << 20, lambda stream: begun.append(str(stream))))
    assert seen == [["s"], ["s"], ["s"], ["s", "t"], ["s", "t"]]


def test_a_batch_ends_at_a_state_once_it_is_large() -> None:
    """Rows that no state follows go on their own at the hard limit, and at the end to whoever sends them again."""
    line = record('{"a":1}')
    size = len('"data":{"a":1}}}\n')
    sorted_ = sorted_lines(line, line, state(1), line, state(2), *[line] * 4, state(3), line, batch_bytes=2 * size)
    assert [[(chunk.count, chunk.first, not chunk.closed) for chunk in b.chunks] for b in sorted_] == [
        [(2, 0, False)],
        [(1, 2, False)],
        [(3, 3, True)],
        [(1, 6, False)],
    ]
    assert [len(b.states) for b in sorted_] == [1, 1, 0, 1]


def test_a_state_right_behind_rows_that_went_without_one_is_told() -> None:
    line = record('{"a":1}')
    without, closing = sorted_lines(*[line] * 2, state(1), line, batch_bytes=len('"data":{"a":1}}}\n'))[1:3]
    assert [(chunk.count, not chunk.closed) for chunk in without.chunks] == [(2, True)]
    assert [(chunk.count, not chunk.closed) for chunk in closing.chunks] == [(0, False)]
    assert len(closing.states) == 1


def test_rows_of_another_stream_wait_for_their_own_state() -> None:
    streams = catalog.parse({"streams": [configured({}, stream={"name": n, "json_schema": {}}) for n in "st"]}, "raw")
    lines = [record("{}", "t"), record("{}"), state(1), record("{}", "t"), state(1, "t"), complete("t")]
    first, second = list(batch.batches(lines, streams, 2 * len('"data":{}}}\n')))[:2]
    assert [(str(chunk.stream), chunk.count) for chunk in first.chunks] == [("s", 1)]
    assert [(str(chunk.stream), chunk.count) for chunk in second.chunks] == [("t", 2)]


def test_a_chunks_key_depends_on_records_and_closing_state_alone() -> None:
    def key(*lines: bytes) -> str | None:
        return sorted_lines(*lines)[0].chunks[0].digest

    later = record('{"a":1}').replace(b"1700000000123", b"1800000000000")
    behind = b'{"type":"RECORD","record":{"stream":"s","data":{"a":1},"emitted_at":%d}}\n'
    assert key(record('{"a":1}'), state(1)) == key(later, state(1))
    assert key(behind % 1, state(1)) == key(behind % 22, state(1))
    assert key(record('{"a":1}'), state(1)) != key(record('{"a":1}'), state(2))
    assert key(record('{"a":1}'), state(1)) != key(record('{"a":2}'), state(1))
    assert key(record('{"a":1}'), state(1)) != key(record('{"a":1}'), record('{"a":1}'), state(1))
    assert key(record('{"a":1}'), state(1)) == key(record('{"a":1}'), state(1), record('{"a":1}'))


def test_lines_of_any_layout_are_sorted() -> None:
    """Keys in another order, spaces, a namespace after the data, a stream whose name looks like a key."""
    lines = [
        b'{"record": {"data": {"a": 1}, "emitted_at": 1, "stream": "s"}, "type": "RECORD"}\n',
        b'{"type":"RECORD","record":{"stream":"s","data":{"a":2},"namespace":null,"emitted_at":1}}\n',
        b'\n{"type":"LOG","log":{"level":"INFO","message":"\\"data\\":"}}\n'.lstrip(),
        record('{"a":3}'),
        b'{"type":"STATE","state":{"type":"LEGACY","data":{"x":1}}}\n',
    ]
    (only,) = sorted_lines(*lines)
    assert to_arrow(only.chunks[0]).column("a").to_pylist() == [1, 2, 3]
    assert only.states[0][1] == 3


@pytest.mark.parametrize("value", ["1e400", "NaN", '"\\ud83d"'])
def test_the_first_record_may_hold_what_later_ones_may(value: str) -> None:
    """Only the first is parsed to learn its stream."""
    (only,) = sorted_lines(
        *[record(f'{{"a":{value}}}')] * 2, state(1).replace(b'"at": 1', b'"at": %b' % value.encode())
    )
    first, second = to_arrow(only.chunks[0]).to_pylist()
    assert first == second
    assert json.loads(first["_airbyte_meta"])["changes"][0]["change"] == "NULLED"
    assert [records for _, records in only.states] == [2]


def test_streams_of_one_name_in_two_namespaces_are_told_apart() -> None:
    both = [configured({}, stream={"name": "s", "namespace": namespace, "json_schema": {}}) for namespace in ("x", "y")]
    streams = catalog.parse({"streams": both}, "raw")
    lines = [
        f'{{"type":"RECORD","record":{{"stream":"s","data":{{}},"emitted_at":1,"namespace":"{ns}"}}}}\n'.encode()
        for ns in "xyx"
    ]
    lines.append(b'{"type":"STATE","state":{"type":"LEGACY","data":{}}}\n')
    (only,) = batch.batches(lines, streams, 1 << 20)
    assert {str(chunk.stream): chunk.count for chunk in only.chunks} == {"x.s": 2, "y.s": 1}


def test_a_record_of_an_unknown_stream_is_refused() -> None:
    with pytest.raises(ConnectorError, match="Stream 'other' came in but is not in the configured catalog"):
        sorted_lines(record("{}", stream="other"))


@pytest.mark.parametrize("line", [b"Traceback (most recent call last):\n", b"[" * 100_000], ids=["text", "deep"])
def test_a_line_that_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(ConnectorError, match="not an Airbyte message"):
        sorted_lines(line)
