"""Records by the Arrow data channel and by JSON lines, through the server and both real connectors: all the same."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import psutil
import psycopg
import pytest
from airbyte_server.replication.data_channel import DataChannel
from airbyte_server.replication.mapping import NameMapping
from airbyte_server.replication.progress import StreamProgress
from airbyte_server.replication.watchdog import Watchdog
from airbyte_server.settings import Timeouts
from airbyte_services import LINES_ONLY_SOURCE, AirbyteServer
from google.cloud import bigquery
from real_services import PROJECT, Database

AWKWARD = """
CREATE TYPE mood AS ENUM ('ok', 'bad');
CREATE DOMAIN price AS numeric(8,2) CHECK (VALUE >= 0);
CREATE TYPE pair AS (x int, y text);
CREATE TABLE everything (
  id int PRIMARY KEY, small smallint, big bigint, r real, f float8, n numeric, m numeric(12,2), wide numeric(30,0),
  money money, b boolean, s text, v varchar(5), c char(3), u uuid, j json, jb jsonb, bytes bytea, mood mood, p price,
  pair pair, d date, naive timestamp, at timestamptz NOT NULL, h time, hz timetz, i interval, ip inet, range int4range,
  point point, bits bit(3), words text[], grid int[][], moments timestamptz[], "Sélect `x`" text
);
INSERT INTO everything VALUES
  (1, -32768, -9223372036854775808, '-Infinity', 'NaN', 'NaN', 'NaN', 123456789012345678901234567890, '$1,234.56',
   true, '', '', '', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', E'{"z":1,\\n "z":2}', '{"b": [1.10, null], "a": "\\""}',
   '\\x00ff', 'ok', 1.5, ROW(1,'a b'), '0001-01-01', '0001-01-01 00:00:00', '2024-10-27 02:30:00 Europe/Berlin',
   '24:00:00', '10:00:00+05:30', '1 year 2 days 03:04:05.6', '10.0.0.1/8', '[1,5)', '(1,2)', '101',
   '{a,NULL,"","NULL","b c"}', '{{1,2},{3,NULL}}', '{"2024-01-01 00:00:00Z",infinity}', 'x'),
  (2, 32767, 9223372036854775807, 1e20, 0.1, 99999999999999999999999999999.999999999, -9999999999.99,
   99999999999999999999999999999, '-$0.01', false, E'🛍️ “q” ÿ \\u2028 \\\\N \\t\\r\\n\\x01', E'\\\\N', 'EU', NULL, 'null', 'null',
   '', 'bad', 0, ROW(NULL,''), '9999-12-31', '9999-12-31 23:59:59.999999', '2024-01-01 00:00:00.000001Z',
   '23:59:59.999999', '00:00:00-08', '-1 day', '::1', 'empty', '(1e300,-0)', '000', '{}', '{}', '{}', NULL),
  (3, 0, 0, 'NaN', 'Infinity', 1e29, 0.00, 0, '0', NULL, 'NULL', '"a"', 'EUR', NULL, '"s"', '"s"', NULL, NULL, NULL, NULL,
   'infinity', '-infinity', '2024-01-02Z', '00:00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[0:1]={5,6}', NULL, ''),
  (4, NULL, NULL, NULL, -0.0, 0.1234567891, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
   '0044-03-15 BC', '0044-03-15 00:00:00 BC', '2024-01-03Z', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (5, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
   '12024-01-01', '12024-01-01 00:00:00', '0044-03-15 12:00:00.5Z BC', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
   NULL, NULL);
CREATE TABLE many (id bigint PRIMARY KEY, at timestamptz NOT NULL, tags text[], doc jsonb, n numeric);
INSERT INTO many SELECT i, '2024-01-01Z'::timestamptz + i * interval '1 s', ARRAY['t' || i, NULL], jsonb_build_object('i', i),
  CASE WHEN i % 1000 = 0 THEN 'NaN' ELSE i / 7.0 END FROM generate_series(1, 9000) i;
CREATE TABLE plain (line text, number int);
INSERT INTO plain SELECT 'l' || i, i FROM generate_series(1, 2500) i;
CREATE TABLE nothing (id int PRIMARY KEY);
ANALYZE;
"""  # noqa: E501
STREAMS = [
    {"name": "everything", "syncMode": "incremental_deduped_history", "cursorField": ["at"], "primaryKey": [["id"]]},
    {"name": "many", "syncMode": "incremental_append", "cursorField": ["at"]},
    {"name": "plain", "syncMode": "full_refresh_overwrite"},
    {"name": "nothing", "syncMode": "full_refresh_overwrite"},
]
CHANGES = """
UPDATE everything SET at = '2025-01-01Z', s = 'changed', n = 'Infinity' WHERE id = 2;
INSERT INTO many SELECT i, '2025-01-01Z', NULL, NULL, NULL FROM generate_series(9001, 9100) i;
DELETE FROM plain WHERE number > 100;
"""


def connect(
    airbyte: AirbyteServer, database: Database, endpoint: str, dataset: str, streams: Any, **source: Any
) -> str:
    workspace = airbyte.workspace()
    configuration = database.source_configuration
    if not source:
        configuration["sourceType"] = "postgres"
    body = {"name": "pg", "workspaceId": workspace, "configuration": configuration, **source}
    target = {
        "destinationType": "bigquery",
        "project_id": PROJECT,
        "dataset_id": dataset,
        "dataset_location": "US",
        "loading_method": {"method": "Standard"},
        "raw_data_dataset": f"{dataset}_internal",
        "api_endpoint": endpoint,
    }
    request = {
        "name": "c",
        "sourceId": airbyte.call("POST", "/sources", json=body)["sourceId"],
        "destinationId": airbyte.call(
            "POST", "/destinations", json={"name": "bq", "workspaceId": workspace, "configuration": target}
        )["destinationId"],
        "prefix": "p_",
        "configurations": {"streams": streams},
    }
    return airbyte.call("POST", "/connections", json=request)["connectionId"]


def table(client: bigquery.Client, dataset: str, stream: str, job: int) -> list[str]:
    """Every row as JSON, without what differs from sync to sync."""
    statement = (
        "SELECT TO_JSON_STRING(t), TO_JSON_STRING(_airbyte_meta) "
        f"FROM (SELECT * EXCEPT (_airbyte_raw_id, _airbyte_extracted_at) FROM `{dataset}.p_{stream}`) AS t"
    )
    rows = [tuple(row.values()) for row in client.query_and_wait(statement)]
    assert all(json.loads(meta)["sync_id"] <= job for _, meta in rows)
    return sorted(row.replace(f'"sync_id":{json.loads(meta)["sync_id"]}', "") for row, meta in rows)


@pytest.mark.slow
def test_both_channels_leave_the_same_tables_counts_and_states(
    airbyte: AirbyteServer, database: Database, bigquery_endpoint: str, bigquery_client: bigquery.Client, dataset: str
) -> None:
    with psycopg.connect(database.conninfo) as connection:
        connection.execute(AWKWARD.encode())
    found: list[list[Any]] = []
    connections = {
        "records by the Arrow data channel": connect(airbyte, database, bigquery_endpoint, dataset, STREAMS),
        "records by JSON lines": connect(
            airbyte, database, bigquery_endpoint, f"{dataset}_lines", STREAMS, definitionId=LINES_ONLY_SOURCE
        ),
    }
    for statements in ("", CHANGES):
        if statements:
            with psycopg.connect(database.conninfo) as connection:
                connection.execute(statements.encode())
        for (channel, connection_id), name in zip(connections.items(), (dataset, f"{dataset}_lines"), strict=True):
            job = airbyte.sync(connection_id)
            details = airbyte.details(job["jobId"])
            log = airbyte.explain(job["jobId"])
            assert job["status"] == "succeeded", log
            assert channel in log
            assert "record count of a state differs" not in log
            stats = details["job"]["streamAggregatedStats"]
            found.append(
                [
                    {s["streamName"]: (s["recordsEmitted"], s["recordsCommitted"], s["status"]) for s in stats},
                    [s["stats"]["stateMessagesEmitted"] for s in details["attempts"][0]["attempt"]["streamStats"]],
                    airbyte.state(connection_id),
                    *(table(bigquery_client, name, stream["name"], job["jobId"]) for stream in STREAMS),
                ]
            )
    for by_arrow, by_lines in (found[:2], found[2:]):
        for one, other in zip(by_arrow, by_lines, strict=True):
            assert one == other
    assert [len(rows) for rows in found[0][3:]] == [5, 9000, 2500, 0]
    assert [len(rows) for rows in found[2][3:]] == [5, 9100, 100, 0]
    assert found[0][0]["many"] == (9000, 9000, "COMPLETE")
    bigquery_client.delete_dataset(f"{dataset}_lines", delete_contents=True)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["source", "destination", "fork-server"])
def test_a_connector_killed_midway_costs_an_attempt_and_no_row(
    airbyte: AirbyteServer,
    database: Database,
    bigquery_endpoint: str,
    bigquery_client: bigquery.Client,
    dataset: str,
    victim: str,
) -> None:
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, s text); CREATE TABLE z (id int PRIMARY KEY)")
        connection.execute("INSERT INTO t SELECT i, repeat(i::text, 40) FROM generate_series(1, 20000) i; ANALYZE t")
        streams = [{"name": name, "syncMode": "full_refresh_append"} for name in "tz"]
        connection_id = connect(airbyte, database, bigquery_endpoint, dataset, streams)
        with connection.transaction():
            # The source waits here once it has sent the first stream.
            connection.execute("LOCK TABLE z IN ACCESS EXCLUSIVE MODE")
            job_id = airbyte.trigger(connection_id)
            airbyte.wait_until(job_id, lambda job: job["job"]["aggregatedStats"]["recordsCommitted"] == 20000)
            assert airbyte.process is not None
            children = psutil.Process(airbyte.process.pid).children(recursive=True)
            (process,) = [child for child in children if Path(child.cwd()).name == victim]
            process.kill()
            airbyte.wait_until(job_id, lambda job: len(job["attempts"]) == 2)
    job = airbyte.wait(job_id, timeout=60)
    log = airbyte.explain(job_id)
    assert job["status"] == "succeeded", log
    attempts = [entry["attempt"] for entry in airbyte.details(job_id)["attempts"]]
    assert [attempt["status"] for attempt in attempts] == ["failed", "succeeded"], log
    origins = {failure["failureOrigin"] for failure in attempts[0]["failureSummary"]["failures"]}
    # A fork server takes both along, and whichever is seen to be gone first is blamed.
    assert origins & ({victim} if victim != "fork-server" else {"source", "destination"}), log
    statement = f"SELECT COUNT(*), COUNT(DISTINCT id), SUM(id) FROM `{dataset}.p_t`"
    (row,) = bigquery_client.query_and_wait(statement)
    assert tuple(row.values()) == (20000, 20000, 20000 * 20001 // 2)


class Ends:
    """A data channel with this test at both ends."""

    def __init__(self) -> None:
        self.progress = StreamProgress(("public", "t"), resumed=False)
        self.failures: list[tuple[str, str]] = []
        self.warnings: list[str] = []
        self.destination_gone = threading.Event()
        self.channel = DataChannel(
            {self.progress.key: self.progress},
            NameMapping("custom_format", "raw_${SOURCE_NAMESPACE}", "x_"),
            lambda role, message: self.failures.append((role, message)),
            self.destination_gone.set,
            lambda level, message: self.warnings.append(message) if level == "WARN" else None,
            Watchdog(Timeouts(), lambda *told: None),
        )
        self.channel.open()
        paths = [self.channel.environment(role)["DATA_CHANNEL_SOCKET_PATHS"] for role in ("source", "destination")]
        self.folder = Path(paths[0]).parent
        assert self.folder.stat().st_mode & 0o777 == 0o700
        self.source, self.destination = (socket.socket(socket.AF_UNIX) for _ in paths)
        for end, path in zip((self.source, self.destination), paths, strict=True):
            end.settimeout(10)
            end.connect(path)

    def send(self, seq: int, *, stream: str = "t", rows: int = 10, body: bytes = b"arrow") -> None:
        header = {
            "stream": stream,
            "namespace": "public",
            "emitted_at": 1,
            "rows": rows,
            "seq": seq,
            "bytes": len(body),
        }
        self.source.sendall(orjson.dumps(header) + b"\n" + body)

    def received(self) -> list[tuple[dict[str, Any], bytes]]:
        frames = []
        with self.destination.makefile("rb") as stream:
            while line := stream.readline():
                header = orjson.loads(line)
                frames.append((header, stream.read(header["bytes"])))
        return frames


@pytest.fixture
def ends() -> Iterator[Ends]:
    ends = Ends()
    yield ends
    ends.source.close()
    ends.destination.close()
    ends.channel.close()
    assert not ends.folder.exists()


def test_frames_arrive_unchanged_under_the_destinations_names(ends: Ends) -> None:
    body = bytes(range(256)) * 5000
    ends.send(1, body=body)
    ends.send(2)
    ends.source.close()
    (first, content), (second, _) = ends.received()
    assert content == body
    assert (first["stream"], first["namespace"], first["rows"], first["seq"]) == ("x_t", "raw_public", 10, 1)
    assert second["seq"] == 2
    ends.channel.finish()
    assert (ends.progress.emitted, ends.progress.ahead) == (20, 0)
    assert not ends.folder.exists(), "the sockets go as soon as both ends are connected"


def test_a_state_counts_the_frames_before_it_and_no_later_ones(ends: Ends) -> None:
    ends.send(1)
    ends.send(2)
    ends.send(3, rows=5)
    assert ends.channel.settle(2) == 2
    assert ends.progress.emitted == 20
    assert ends.channel.settle(3) == 3
    assert (ends.progress.emitted, ends.progress.as_dict()["stats"]["recordsEmitted"]) == (25, 25)


def test_frames_of_a_stream_that_is_not_selected_are_left_out(ends: Ends) -> None:
    ends.send(1)
    ends.send(2, stream="other")
    assert ends.channel.settle(2) == 1, "the destination must not wait for a frame that it never gets"
    ends.source.close()
    assert [header["seq"] for header, _ in ends.received()] == [1]
    assert ends.channel.unexpected == {"public.other": 10}


def test_a_frame_cut_short_is_left_out(ends: Ends) -> None:
    ends.send(1)
    ends.source.sendall(b'{"stream":"t","namespace":"public","rows":1,"seq":2,"bytes":100}\nhalf')
    ends.source.close()
    assert [header["seq"] for header, _ in ends.received()] == [1]
    assert ends.channel.settle(2) is None
    assert "within frame 2" in ends.warnings[0]
    assert not ends.failures


def test_a_destination_that_hangs_up_frees_the_source(ends: Ends) -> None:
    ends.destination.close()
    with pytest.raises(BrokenPipeError):
        for seq in range(1, 100):
            ends.send(seq, body=bytes(100_000))
    assert ends.destination_gone.wait(10)
    assert ends.channel.settle(1000) is None


def test_what_is_no_frame_is_the_sources_fault(ends: Ends) -> None:
    ends.source.sendall(b'{"type":"RECORD"}\n')
    assert ends.received() == []
    ends.channel.finish()
    assert ends.failures[0][0] == "source"
    assert "no frame's header" in ends.failures[0][1]
