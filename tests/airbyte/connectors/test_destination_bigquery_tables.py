"""The destination where the final table is there already: somebody else's, or of other columns or layout."""

from __future__ import annotations

from typing import Any

import pytest
from destination_messages import (
    COMPLETE,
    INTEGER,
    MOMENT,
    NUMBER,
    STRING,
    Query,
    catalog,
    messages,
    record,
    state,
)
from google.cloud import bigquery


def test_a_table_that_airbyte_did_not_make_is_left_alone(
    destination: Any, query: Query, bigquery_client: bigquery.Client, dataset: str
) -> None:
    path = f"{bigquery_client.project}.{dataset}.things"
    bigquery_client.create_table(bigquery.Table(path, [bigquery.SchemaField("a", "STRING")]))
    run = destination("write", messages(record(a="x"), state(1), COMPLETE), catalog=catalog({"a": STRING}))
    assert run.status == 1
    assert "was not made by Airbyte" in run.errors[0]["message"]
    assert run.errors[0]["failure_type"] == "config_error"
    assert run.states() == []
    assert query("SELECT COUNT(*) FROM {t}") == [(0,)]


@pytest.mark.parametrize("truncate", [False, True], ids=["append", "overwrite"])
def test_a_view_is_left_alone(
    destination: Any, query: Query, bigquery_client: bigquery.Client, dataset: str, truncate: bool
) -> None:
    """Even one with Airbyte's columns."""
    assert destination("write", messages(record(id=1), COMPLETE), catalog=catalog({"id": INTEGER})).status == 0
    query(f"ALTER TABLE {{t}} RENAME TO others; CREATE VIEW {{t}} AS SELECT * FROM `{dataset}.others`")
    cat = catalog({"id": INTEGER}, "overwrite" if truncate else "append", truncate=truncate)
    run = destination("write", messages(record(id=2), state(1), COMPLETE), catalog=cat)
    assert (run.status, run.states()) == (1, [])
    assert "is no table but of type VIEW" in run.errors[0]["message"]
    assert run.errors[0]["failure_type"] == "config_error"
    assert bigquery_client.get_table(f"{dataset}.things").table_type == "VIEW"


def test_schema_changes_keep_every_row(
    destination: Any, query: Query, bigquery_client: bigquery.Client, dataset: str
) -> None:
    first = catalog({"id": INTEGER, "gone": STRING, "n": INTEGER, "s": STRING, "j": STRING})
    destination("write", messages(record(id=1, gone="x", n=7, s="12", j="q"), COMPLETE), catalog=first)
    changed = {"id": INTEGER, "n": NUMBER, "s": INTEGER, "j": {"type": "object"}, "fresh": MOMENT}
    second = catalog(changed, sync=2)
    lines = messages(record(id=2, n=1.25, s=3, j={"a": 1}, fresh="2024-01-01T00:00:00Z"), COMPLETE)
    run = destination("write", lines, catalog=second)
    assert run.status == 0, run.errors
    rows = query("SELECT id, CAST(n AS STRING), s, TO_JSON_STRING(j), CAST(fresh AS STRING) FROM {t} ORDER BY id")
    assert rows == [(1, "7", 12, '"q"', None), (2, "1.25", 3, '{"a":1}', "2024-01-01 00:00:00+00")]
    columns = {field.name: field.field_type for field in bigquery_client.get_table(f"{dataset}.things").schema[4:]}
    assert columns == {"id": "INTEGER", "n": "NUMERIC", "s": "INTEGER", "j": "JSON", "fresh": "TIMESTAMP"}


def test_times_and_days_keep_their_values_as_another_type(destination: Any, query: Query) -> None:
    day = {"type": "string", "format": "date"}
    wall = {"type": "string", "format": "date-time", "airbyte_type": "timestamp_without_timezone"}
    data = {"a": "2024-02-29T23:30:00Z", "b": "2024-02-29T23:30:00", "c": "2024-02-29", "d": True}
    first = catalog({"a": MOMENT, "b": wall, "c": day, "d": {"type": "boolean"}})
    destination("write", messages(record(**data), COMPLETE), catalog=first)
    run = destination("write", messages(COMPLETE), catalog=catalog({"a": wall, "b": day, "c": MOMENT, "d": INTEGER}))
    assert run.status == 0, run.errors
    rows = query("SELECT CAST(a AS STRING), CAST(b AS STRING), CAST(c AS STRING), d FROM {t}")
    assert rows == [("2024-02-29 23:30:00", "2024-02-29", "2024-02-29 00:00:00+00", 1)]


def test_null_stays_null_as_another_type(destination: Any, query: Query) -> None:
    parts = [record(id=1), record(id=2, a=["x"], b="y"), record(id=3, a="x", b="y"), record(id=4, a=1.5, b="y")]
    first = catalog({"id": INTEGER, "a": {"type": "array"}, "b": STRING})
    destination("write", messages(*parts, COMPLETE), catalog=first)
    second = catalog({"id": INTEGER, "a": STRING, "b": {"type": "array"}}, sync=2)
    assert destination("write", messages(COMPLETE), catalog=second).status == 0
    rows = query("SELECT a, b IS NULL FROM {t} ORDER BY id")
    assert rows == [(None, True), ('["x"]', False), ("x", False), ("1.5", False)]


def test_a_key_column_may_change_its_type(destination: Any, query: Query) -> None:
    properties = {"id": INTEGER}
    destination("write", messages(record(id=1), COMPLETE), catalog=catalog(properties, "append_dedup", key="id"))
    second = catalog({"id": STRING}, "append_dedup", sync=2, key="id")
    run = destination("write", messages(record(id="1"), record(id="b"), COMPLETE), catalog=second)
    assert run.status == 0, run.errors
    assert query("SELECT id FROM {t} ORDER BY id") == [("1",), ("b",)]


@pytest.mark.parametrize("truncate", [False, True], ids=["append", "overwrite"])
def test_a_table_of_another_layout_is_written_anew(
    destination: Any, query: Query, bigquery_client: bigquery.Client, dataset: str, table_names: Any, truncate: bool
) -> None:
    columns = "GENERATE_UUID() AS _airbyte_raw_id, TIMESTAMP '2024-01-01' AS _airbyte_extracted_at, "
    columns += "JSON '{{}}' AS _airbyte_meta, 0 AS _airbyte_generation_id, 1 AS id"
    query(f"CREATE TABLE {{t}} PARTITION BY TIMESTAMP_TRUNC(_airbyte_extracted_at, MONTH) AS SELECT {columns}")
    cat = catalog({"id": INTEGER}, "overwrite" if truncate else "append", truncate=truncate)
    run = destination("write", messages(record(id=2), COMPLETE), catalog=cat)
    assert run.status == 0, run.errors
    assert query("SELECT id FROM {t} ORDER BY id") == ([(2,)] if truncate else [(1,), (2,)])
    table = bigquery_client.get_table(f"{dataset}.things")
    assert (table.time_partitioning.type_, table.clustering_fields) == ("DAY", ["_airbyte_extracted_at"])
    assert table_names() == ["things"]


def test_a_stream_may_begin_and_cease_to_be_deduplicated(destination: Any, query: Query) -> None:
    for number, (mode, count) in enumerate([("append", 1), ("append_dedup", 1), ("append", 2)], 1):
        cat = catalog({"id": INTEGER}, mode, sync=number, key="id" if mode == "append_dedup" else None)
        run = destination("write", messages(record(id=1), state(number), COMPLETE), catalog=cat)
        assert run.status == 0, run.errors
        assert query("SELECT COUNT(*) FROM {t}") == [(count,)]
