"""The Storage Read API through the real clients."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import grpc
import pyarrow as pa
import pytest
from google.api_core.exceptions import InvalidArgument, MethodNotImplemented, NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryReadClient, types
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport
from real_services import BIN, free_port, wait_for_http

PROJECT = "storage-test"
VALUES = """SELECT x AS i, NUMERIC '1.5' AS n, JSON '{{"a": 1}}' AS j, TIMESTAMP '2024-01-01 00:00:00+00' AS ts,
  [STRUCT(x AS k, JSON '[1]' AS j)] AS r, IF(MOD(x, 2) = 0, 'even', NULL) AS s FROM UNNEST(GENERATE_ARRAY(1, {n})) AS x
  ORDER BY x"""


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[bigquery.Client, BigQueryReadClient]]:
    folder: Path = tmp_path_factory.mktemp("storage")
    port, grpc_port = free_port(), free_port()
    command = [BIN / "bq-emulator", "--port", str(port), "--grpc-port", str(grpc_port), "--project", PROJECT]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--data-dir", folder / "data"], stdout=log, stderr=log)
    wait_for_http(f"http://127.0.0.1:{port}/healthz", process, folder / "log")
    channel = grpc.insecure_channel(f"127.0.0.1:{grpc_port}", options=[("grpc.max_receive_message_length", -1)])
    client = bigquery.Client(
        PROJECT,
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": f"http://127.0.0.1:{port}"},
        location="US",
    )
    client.create_dataset("d")
    yield client, BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))
    channel.close()
    process.terminate()
    assert process.wait(20) == 0


def create(read: BigQueryReadClient, table: str, **options: object) -> types.ReadSession:
    session = types.ReadSession(
        table=f"projects/{PROJECT}/datasets/d/tables/{table}",
        data_format=types.DataFormat.ARROW,
        read_options=types.ReadSession.TableReadOptions(**options),
    )
    return read.create_read_session(parent=f"projects/{PROJECT}", read_session=session, max_stream_count=4)


def test_results_and_tables_come_as_arrow(clients: tuple[bigquery.Client, BigQueryReadClient]) -> None:
    client, read = clients
    job = client.query(VALUES.format(n=30_000))
    by_storage = job.to_arrow(bqstorage_client=read)
    assert by_storage.schema.field("n").type == pa.decimal128(38, 9)
    assert by_storage.column("i").to_pylist() == list(range(1, 30_001))
    assert by_storage.slice(1, 1).to_pylist() == [
        {
            "i": 2,
            "n": Decimal("1.5"),
            "j": '{"a":1}',
            "ts": datetime(2024, 1, 1, tzinfo=UTC),
            "r": [{"k": 2, "j": "[1]"}],
            "s": "even",
        }
    ]
    client.query(f"CREATE OR REPLACE TABLE d.t AS {VALUES.format(n=10)}").result()
    frame = client.list_rows("d.t", selected_fields=[bigquery.SchemaField("s", "STRING")]).to_dataframe(
        bqstorage_client=read
    )
    assert (list(frame.columns), len(frame), frame.s.count()) == (["s"], 10, 5)


def test_bignumeric_and_interval_come_as_arrows_own(clients: tuple[bigquery.Client, BigQueryReadClient]) -> None:
    client, read = clients
    client.query(
        "CREATE OR REPLACE TABLE d.big AS SELECT BIGNUMERIC '-1.00000000000000000000000000000000000001' AS b, "
        "[STRUCT(BIGNUMERIC '2.5' AS b)] AS r, INTERVAL '1-2 3 4:5:6.5' YEAR TO SECOND AS i "
        "UNION ALL SELECT NULL, [], NULL"
    ).result()
    session = create(read, "big")
    rows = read.read_rows(session.streams[0].name).rows(session).to_arrow()
    assert sorted(rows.to_pylist(), key=str) == [
        {"b": Decimal("-1.00000000000000000000000000000000000001"), "r": [{"b": Decimal("2.5")}],
         "i": pa.MonthDayNano([14, 3, 14_706_500_000_000])},
        {"b": None, "r": [], "i": None},
    ]  # fmt: skip


def test_a_session_reads_what_the_table_held_when_it_was_created(
    clients: tuple[bigquery.Client, BigQueryReadClient],
) -> None:
    client, read = clients
    client.query("CREATE OR REPLACE TABLE d.moment AS SELECT x FROM UNNEST([1, 2, 3]) AS x").result()
    session = create(read, "moment")
    client.query("DELETE FROM d.moment WHERE x > 1").result()
    client.query("CREATE OR REPLACE TABLE d.moment AS SELECT 'other' AS y").result()
    stream = session.streams[0].name
    assert read.read_rows(stream).to_arrow(session).to_pylist() == [{"x": 1}, {"x": 2}, {"x": 3}]
    assert read.read_rows(stream, offset=2).to_arrow(session).to_pylist() == [{"x": 3}]
    with pytest.raises(InvalidArgument, match="out of range"):
        next(iter(read.read_rows(stream, offset=4)))


def test_restrictions_are_googlesql_conditions(clients: tuple[bigquery.Client, BigQueryReadClient]) -> None:
    client, read = clients
    client.query(f"CREATE OR REPLACE TABLE d.r AS {VALUES.format(n=10)}").result()
    session = create(read, "r", selected_fields=["i"], row_restriction="MOD(i, 2) = 0 AND s LIKE 'e%' -- even")
    assert session.estimated_row_count == 5
    rows = read.read_rows(session.streams[0].name).to_arrow(session)
    assert rows.to_pydict() == {"i": [2, 4, 6, 8, 10]}
    with pytest.raises(InvalidArgument, match="Unrecognized name: nope"):
        create(read, "r", row_restriction="nope = 1")


def test_what_cannot_be_read_is_refused(clients: tuple[bigquery.Client, BigQueryReadClient]) -> None:
    client, read = clients
    client.query("CREATE OR REPLACE VIEW d.v AS SELECT 1 AS a").result()
    with pytest.raises(InvalidArgument, match="non-table entities"):
        create(read, "v")
    with pytest.raises(NotFound, match="Not found: Table"):
        create(read, "missing")
    with pytest.raises(InvalidArgument, match="do not exist"):
        client.query("CREATE OR REPLACE TABLE d.u AS SELECT 1 AS a").result()
        create(read, "u", selected_fields=["b"])
    with pytest.raises(MethodNotImplemented, match="Arrow only"):
        session = types.ReadSession(table=f"projects/{PROJECT}/datasets/d/tables/u", data_format=types.DataFormat.AVRO)
        read.create_read_session(parent=f"projects/{PROJECT}", read_session=session)
    with pytest.raises(NotFound, match="read stream"):
        next(iter(read.read_rows("projects/x/locations/us/sessions/none/streams/0")))
