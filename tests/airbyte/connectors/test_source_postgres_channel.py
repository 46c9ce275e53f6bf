"""Records on the Arrow channel: the same values, order and counts as in JSON lines."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest

AWKWARD = """
CREATE TABLE t (
  id int PRIMARY KEY, s text, c char(3), n numeric, m numeric(12,2), j jsonb, a text[], f float8, b boolean, d date,
  naive timestamp, at timestamptz, big bigint, u uuid, h time
);
INSERT INTO t VALUES
  (1, '', 'EUR', 99999999999999999999999999999.999999999, -9999999999.99, '{"a": [1, {"b": "\\"é\\""}]}', '{a,NULL,""}',
   0.1, true, '0001-01-01', '2024-10-27 02:30:00.123456', '2024-10-27 02:30:00+02', 9223372036854775807,
   'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '24:00'),
  (2, E'🛍️ “q” \\\\N \\t\\n\\x01', 'US', 'NaN', 0.00, 'null', '{}', 'NaN', false, 'infinity', 'infinity', '2024-01-01Z',
   0, NULL, '10:00'),
  (3, NULL, NULL, 1e29, NULL, NULL, NULL, NULL, NULL, '2024-02-29', NULL, '2024-01-02Z', NULL, NULL, NULL);
CREATE TABLE old (d date, naive timestamp, at timestamptz);
INSERT INTO old VALUES ('0044-03-15 BC', '0044-03-15 BC', '0044-03-15 12:00:00.5Z BC'), ('12024-01-01', '12024-01-01', '2024-01-01Z');
"""  # noqa: E501


def read_frames(connection: socket.socket) -> list[tuple[dict[str, Any], pa.Table]]:
    frames = []
    with connection.makefile("rb") as stream:
        while line := stream.readline():
            header = orjson.loads(line)
            frames.append((header, pa.ipc.open_stream(stream.read(header["bytes"])).read_all()))
    return frames


@pytest.fixture
def read_arrow(source: Any, tmp_path: Path) -> Any:
    """Run ``read`` with a data channel; returns the messages on stdout and the frames."""

    def read(**files: Any) -> tuple[list[dict[str, Any]], list[tuple[dict[str, Any], pa.Table]]]:
        path = str(tmp_path / "channel.sock")
        frames: list[Any] = []
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(1)
            thread = threading.Thread(target=lambda: frames.extend(read_frames(listener.accept()[0])))
            thread.start()
            variables = {
                "DATA_CHANNEL_MEDIUM": "SOCKET",
                "DATA_CHANNEL_FORMAT": "ARROW",
                "DATA_CHANNEL_SOCKET_PATHS": path,
            }
            arguments = source.arguments("read", **files)
            run = subprocess.run(arguments, stdout=subprocess.PIPE, env={**os.environ, **variables}, check=False)
            thread.join(10)
        os.unlink(path)
        return [orjson.loads(line) for line in run.stdout.splitlines()], frames

    return read


def test_spec_offers_the_channel(source: Any) -> None:
    assert source("spec").bodies("SPEC", "spec")[0]["dataChannels"] == [{"medium": "SOCKET", "format": "ARROW"}]


def test_both_channels_carry_the_same_records(source: Any, execute: Any, configured: Any, read_arrow: Any) -> None:
    execute(AWKWARD)
    lines = source("read", catalog=configured())
    messages, frames = read_arrow(catalog=configured())
    assert not any(message["type"] == "RECORD" for message in messages)
    assert [(header["stream"], header["rows"], header["seq"]) for header, _ in frames] == [("old", 2, 1), ("t", 3, 2)]
    records = {r["data"]["id"]: r for r in lines.bodies("RECORD", "record") if r["stream"] == "t"}
    types = {field.name: str(field.type) for field in frames[1][1].schema}
    assert types["m"] == "decimal128(12, 2)"
    assert (types["at"], types["naive"], types["d"]) == ("timestamp[us, tz=UTC]", "timestamp[us]", "date32[day]")
    for row in frames[1][1].to_pylist():
        expected = records[row["id"]]
        changes = row.pop("_airbyte_meta_changes")
        assert (orjson.loads(changes) if changes else None) == expected.get("meta", {}).get("changes")
        for name, value in row.items():
            other = expected["data"][name]
            if value is None or other is None:
                assert value is other, name
            elif name in ("n", "m", "a", "f"):
                assert str(other).replace("'", '"').replace("None", "null").replace(" ", "") == str(value), name
            elif name in ("naive", "at", "d"):
                assert other.startswith(value.isoformat()[:19]), name
            else:
                assert other == value, name
    # Years that the warehouse's types lack travel as in a record.
    assert frames[0][1].to_pylist() == lines.records("old")


def test_a_state_names_the_last_frame_before_it(execute: Any, configured: Any, read_arrow: Any) -> None:
    execute("CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a SELECT generate_series(1, 120000); ANALYZE a")
    execute("CREATE TABLE b (id int); INSERT INTO b VALUES (1); CREATE TABLE c (id int)")
    messages, frames = read_arrow(catalog=configured())
    states = [message["state"] for message in messages if message["type"] == "STATE"]
    assert [header["seq"] for header, _ in frames] == list(range(1, len(frames) + 1))
    before = 0
    counted = dict.fromkeys("abc", 0)
    for state in states:
        last = state["additionalData"]["arrow_seq"]
        stream = state["stream"]["stream_descriptor"]["name"]
        covered = [header for header, _ in frames if before < header["seq"] <= last]
        assert {header["stream"] for header in covered} <= {stream}
        assert sum(header["rows"] for header in covered) == state["sourceStats"]["recordCount"]
        counted[stream] += int(state["sourceStats"]["recordCount"])
        before = last
    assert counted == {"a": 120000, "b": 1, "c": 0}
    assert len(states) >= 5


def test_an_unknown_channel_is_refused(source: Any, execute: Any, configured: Any, monkeypatch: Any) -> None:
    execute("CREATE TABLE t (id int)")
    catalog = configured()
    monkeypatch.setenv("DATA_CHANNEL_MEDIUM", "SOCKET")
    monkeypatch.setenv("DATA_CHANNEL_FORMAT", "PROTOBUF")
    run = source("read", catalog=catalog)
    assert run.status == 1
    assert "SOCKET/PROTOBUF" in run.errors[0]["message"]


def test_changes_from_the_log_travel_on_the_channel(replica: Any, execute: Any, read_arrow: Any) -> None:
    execute(AWKWARD + "TRUNCATE t")
    catalog = replica.catalog("t")
    state = replica.source("read", catalog=catalog).states()
    execute(AWKWARD[AWKWARD.index("INSERT") : AWKWARD.index("CREATE TABLE old")] + "DELETE FROM t WHERE id = 3")
    lines = replica.source("read", catalog=catalog, state=state[-1:])
    messages, frames = read_arrow(catalog=catalog, state=state[-1:])
    assert sum(header["rows"] for header, _ in frames) == len(lines.records("t")) == 4
    table = pa.concat_tables([table for _, table in frames])
    assert str(table.schema.field("_ab_cdc_lsn").type) == "decimal128(38, 9)"
    assert str(table.schema.field("at").type) == "timestamp[us, tz=UTC]"
    for name in ("id", "s", "m", "big", "_ab_cdc_lsn", "_ab_cdc_updated_at", "_ab_cdc_deleted_at"):
        assert table[name].to_pylist() == [record[name] for record in lines.records("t")], name
    final = [message["state"] for message in messages if message["type"] == "STATE"][-1]
    assert final["additionalData"] == {"arrow_seq": len(frames)}
    assert final["sourceStats"] == {"recordCount": 4.0}
