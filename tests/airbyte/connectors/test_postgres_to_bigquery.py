"""Both connectors joined by a pipe, as the platform joins them: what is in Postgres is in BigQuery."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from google.cloud import bigquery

AWKWARD = """
CREATE TABLE t (
  id int PRIMARY KEY, s text, c char(3), n numeric, m numeric(12,2), j jsonb, a text[], b boolean, d date,
  naive timestamp, at timestamptz NOT NULL, big bigint, u uuid
);
INSERT INTO t VALUES
  (1, '', 'EUR', 99999999999999999999999999999.999999999, -9999999999.99, '{"a": [1, {"b": "\\"é\\""}]}', '{a,NULL,""}',
   true, '0001-01-01', '2024-10-27 02:30:00.123456', '2024-10-27 02:30:00+02', 9223372036854775807,
   'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'),
  (2, E'🛍️ “q” \\\\N \\t\\n', 'US', 'NaN', 0.00, 'null', '{}', false, 'infinity', 'infinity', '2024-01-01Z', 0, NULL),
  (3, NULL, NULL, 1e29, NULL, NULL, NULL, NULL, '0044-03-15 BC', NULL, '2024-01-02Z', NULL, NULL);
"""


@pytest.fixture
def sync(source: Any, destination: Any, configured: Any) -> Any:
    """Run one sync; returns the states to go on from. ``generation`` is also the sync's number."""

    def run(generation: int, state: list[Any] | None = None, **stream: Any) -> list[Any]:
        catalog = configured(t=stream)
        for configured_stream in catalog["streams"]:
            configured_stream["sync_id"] = configured_stream["generation_id"] = generation
            if configured_stream["minimum_generation_id"]:
                configured_stream["minimum_generation_id"] = generation
        read = source("read", catalog=catalog, state=state)
        assert read.status == 0, read.errors
        for configured_stream in catalog["streams"]:
            configured_stream["stream"]["namespace"] = None
        # The platform takes the namespace off for a connection whose namespace is the destination's.
        lines = b"".join(read.lines).replace(b'"namespace":"public"', b'"namespace":null')
        written = destination("write", lines, catalog=catalog)
        assert written.status == 0, written.errors
        assert [s["sourceStats"]["recordCount"] for s in read.states()] == [
            s["destinationStats"]["recordCount"] for s in written.states()
        ]
        return read.states()

    return run


@pytest.fixture
def rows(bigquery_client: bigquery.Client, dataset: str) -> Any:
    def query(columns: str, order: str = "id") -> list[tuple[Any, ...]]:
        result = bigquery_client.query(f"SELECT {columns} FROM `{dataset}.t` ORDER BY {order}").result()
        return [tuple(row.values()) for row in result]

    return query


DEDUP = {"cursor_field": ["at"], "destination_sync_mode": "append_dedup", "primary_key": [["id"]]}


@pytest.mark.parametrize("stream", [{}, DEDUP], ids=["overwrite", "dedup"])
def test_awkward_values_arrive_as_they_left(execute: Any, sync: Any, rows: Any, stream: dict[str, Any]) -> None:
    execute(AWKWARD)
    sync(1, **stream)
    assert rows("s, c, j, b") == [
        ("", "EUR", '{"a": [1, {"b": "\\"é\\""}]}', True),
        ("🛍️ “q” \\N \t\n", "US ", "null", False),
        (None, None, None, None),
    ]
    greatest = Decimal("99999999999999999999999999999.999999999")
    assert rows("n, m, big") == [
        (greatest, Decimal("-9999999999.99"), 2**63 - 1),
        (None, Decimal(0), 0),
        (None, None, None),
    ]
    assert rows("CAST(d AS STRING), CAST(naive AS STRING), CAST(`at` AS STRING)") == [
        ("0001-01-01", "2024-10-27 02:30:00.123456", "2024-10-27 00:30:00+00"),
        (None, None, "2024-01-01 00:00:00+00"),
        (None, None, "2024-01-02 00:00:00+00"),
    ]
    assert rows("IF(a IS NULL, NULL, TO_JSON_STRING(a)), u") == [
        ('["a",null,""]', "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("[]", None),
        (None, None),
    ]


def test_lost_values_are_named(execute: Any, sync: Any, rows: Any) -> None:
    execute(AWKWARD)
    sync(1)
    metas = rows("TO_JSON_STRING(_airbyte_meta)")
    assert '"changes":[]' in metas[0][0]
    for field in ("n", "d", "naive"):
        assert f'"field":"{field}"' in metas[1][0]
    assert "SOURCE_RETRIEVAL_ERROR" in metas[1][0]
    assert "DESTINATION_FIELD_SIZE_LIMITATION" in metas[2][0]


def test_increments_keep_one_row_per_key(execute: Any, sync: Any, rows: Any) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY, at timestamptz, v text)")
    execute("INSERT INTO t VALUES (1, '2024-01-01Z', 'a'), (2, '2024-01-02Z', 'a')")
    state = sync(1, **DEDUP)
    execute("UPDATE t SET at = '2024-01-03Z', v = 'b' WHERE id = 1")
    execute("INSERT INTO t VALUES (3, '2024-01-03Z', 'a')")
    sync(2, state[-1:], **DEDUP)
    assert rows("id, v") == [(1, "b"), (2, "a"), (3, "a")]


def test_an_appended_stream_repeats_no_row(execute: Any, sync: Any, rows: Any) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 10)")
    state = sync(1, cursor_field=["id"])
    execute("INSERT INTO t VALUES (11), (12)")
    state = sync(2, state[-1:], cursor_field=["id"])
    sync(3, state[-1:], cursor_field=["id"])
    assert [row[0] for row in rows("id")] == [*range(1, 13)]


def test_an_overwritten_stream_follows_hard_deletes(execute: Any, sync: Any, rows: Any) -> None:
    execute("CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 5)")
    sync(1)
    execute("DELETE FROM t WHERE id < 4")
    sync(2)
    assert rows("id") == [(4,), (5,)]
