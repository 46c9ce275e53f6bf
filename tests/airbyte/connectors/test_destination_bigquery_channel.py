"""The Arrow data channel: the same records by frames and by lines leave the same table."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from google.cloud import bigquery

NUMBER = {"type": "number"}
PROPERTIES = {
    "id": {"type": "number", "airbyte_type": "integer"},
    "n": NUMBER,
    "wide": NUMBER,
    "f": NUMBER,
    "s": {"type": "string"},
    "d": {"type": "string", "format": "date"},
    "dt": {"type": "string", "format": "date-time", "airbyte_type": "timestamp_without_timezone"},
    "j": {"type": "array"},
}
LOST = '[{"field":"f","change":"NULLED","reason":"SOURCE_RETRIEVAL_ERROR"}]'
#: Records as JSON text, and the same as Arrow columns.
RECORDS = [
    '{"id":1,"n":1.5,"wide":12.25,"f":0.1,"s":"é🛍️\\n","d":"0001-01-01","dt":"2024-10-27T02:30:00.123456","j":["a",null]}',
    '{"id":2,"n":-0.000000001,"wide":1e40,"f":null,"s":"","d":"0044-03-15 BC","dt":"9999-12-31T23:59:59.9999","j":[]}',
    '{"id":null,"n":null,"wide":0.12345678915,"f":-1e300,"s":null,"d":"2024-02-29","dt":null,"j":null}',
]
COLUMNS = pa.table(
    {
        "id": pa.array([1, 2, None], pa.int32()),
        "n": pa.array(["1.5", "-0.000000001", None]).cast(pa.decimal128(12, 9)),
        "wide": ["12.25", "1e40", "0.12345678915"],
        "f": pa.array([0.1, None, -1e300], pa.float64()),
        "s": pa.array(["é🛍️\n", "", None], pa.large_string()),
        "d": ["0001-01-01", "0044-03-15 BC", "2024-02-29"],
        "dt": pa.array(["2024-10-27T02:30:00.123456", "9999-12-31T23:59:59.999900", None]).cast(pa.timestamp("us")),
        "j": ['["a", null]', "[]", None],
        "_airbyte_meta_changes": [None, LOST, None],
    }
)


def frame(seq: int, table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    body = sink.getvalue().to_pybytes()
    header = {"stream": "t", "namespace": None, "emitted_at": 1_700_000_000_000, "rows": table.num_rows, "seq": seq}
    return json.dumps({**header, "bytes": len(body)}).encode() + b"\n" + body


def line(record: str, row: int) -> bytes:
    meta = f',"meta":{{"changes":{LOST}}}' if row == 1 else ""
    head = '{"type":"RECORD","record":{"stream":"t","emitted_at":1700000000000,"data":'
    return f"{head}{record}{meta}}}}}\n".encode()


def state(position: int, watermark: int) -> bytes:
    stream = {"stream_descriptor": {"name": "t"}, "stream_state": {"position": position}}
    body = {"type": "STREAM", "stream": stream, "additionalData": {"arrow_seq": watermark}}
    return json.dumps({"type": "STATE", "state": body}).encode() + b"\n"


COMPLETE = (
    b'{"type":"TRACE","trace":{"type":"STREAM_STATUS","stream_status":'
    b'{"stream_descriptor":{"name":"t"},"status":"COMPLETE"}}}\n'
)
CATALOG = {
    "streams": [
        {
            "stream": {"name": "t", "json_schema": {"properties": PROPERTIES}},
            "destination_sync_mode": "overwrite",
            "generation_id": 1,
            "minimum_generation_id": 1,
            "sync_id": 1,
        }
    ]
}


@pytest.fixture
def write(destination: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes, bytes], Any]:
    """Run ``write`` with these lines on stdin and these bytes on the socket."""

    def run(lines: bytes, frames: bytes) -> Any:
        path = tmp_path / "c.sock"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(frames)

        server = threading.Thread(target=serve)
        server.start()
        for name, value in (("MEDIUM", "SOCKET"), ("FORMAT", "ARROW"), ("SOCKET_PATHS", str(path))):
            monkeypatch.setenv(f"DATA_CHANNEL_{name}", value)
        try:
            return destination("write", lines, catalog=CATALOG)
        finally:
            server.join()
            listener.close()
            path.unlink()
            monkeypatch.undo()

    return run


def test_frames_and_lines_leave_the_same_table(
    destination: Any, write: Any, bigquery_client: bigquery.Client, dataset: str
) -> None:
    def rows() -> list[tuple[Any, ...]]:
        statement = f"SELECT * EXCEPT (_airbyte_raw_id) FROM `{dataset}.t` ORDER BY id NULLS LAST"
        return [tuple(row.values()) for row in bigquery_client.query(statement).result()]

    lines = b"".join(line(record, row) for row, record in enumerate(RECORDS))
    by_lines = destination("write", lines + state(1, 0) + COMPLETE, catalog=CATALOG)
    assert by_lines.status == 0, by_lines.errors
    expected = rows()
    frames = frame(1, COLUMNS.slice(0, 2)) + frame(2, COLUMNS.slice(2))
    by_frames = write(state(0, 1) + state(1, 2) + COMPLETE, frames)
    assert by_frames.status == 0, by_frames.errors
    assert rows() == expected
    assert len(expected) == 3
    assert [s["destinationStats"]["recordCount"] for s in by_frames.states()] == [2, 1]


def test_a_state_whose_frames_never_came_is_not_given_back(write: Any) -> None:
    run = write(state(1, 2) + COMPLETE, frame(1, COLUMNS))
    assert (run.status, run.states()) == (1, [])
    assert "behind frame 2, but the data channel ended with frame 1" in run.errors[0]["message"]


def test_a_frame_cut_short_is_refused(write: Any) -> None:
    run = write(state(1, 1) + COMPLETE, frame(1, COLUMNS)[:-5])
    assert (run.status, run.states()) == (1, [])
    assert "ended 5 bytes before the end of frame 1" in run.errors[0]["message"]
