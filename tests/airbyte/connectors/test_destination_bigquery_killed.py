"""A destination that dies before any of its calls to BigQuery: what was there stays readable, and the next attempt ends
with exactly the rows that were sent."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from destination_bigquery import config
from destination_bigquery.rest import Api
from google.api_core.exceptions import NotFound
from google.cloud import bigquery

INTEGER, STRING = {"type": "integer"}, {"type": "string"}
Rows = list[tuple[Any, ...]]


class Killed(Exception):
    """Stands for SIGKILL: nothing after it reaches BigQuery."""


class Deadly:
    """Api's calls, up to the end. Between two calls that only ask, with nothing printed, a death leaves what it leaves
    before the first: these count once."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._left = float("inf")
        self._changes = 0
        self._before: tuple[int, int] | None = None
        for name in ("call", "upload"):
            patch.setattr(Api, name, self._limited(getattr(Api, name)))

    def die_after(self, calls: float) -> None:
        self._left = calls
        self._before = None

    def _limited(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(api: Api, *arguments: Any, **named: Any) -> Any:
            now = self._changes, len(sys.stdout.buffer.getvalue())  # type: ignore[attr-defined]
            self._left -= now != self._before
            self._before = now
            if self._left < 0:
                raise Killed
            self._changes += arguments[0] != "GET"
            return real(api, *arguments, **named)

        return call


def records(sync: int, first: int, last: int) -> list[dict[str, Any]]:
    return [
        {"type": "RECORD", "record": {"stream": "t", "emitted_at": sync * 1000, "data": {"id": row, "v": sync}}}
        for row in range(first, last)
    ]


def state(position: int) -> dict[str, Any]:
    stream = {"stream_descriptor": {"name": "t"}, "stream_state": {"position": position}}
    return {"type": "STATE", "state": {"type": "STREAM", "stream": stream}}


COMPLETE = {
    "type": "TRACE",
    "trace": {
        "type": "STREAM_STATUS",
        "emitted_at": 1.0,
        "stream_status": {"stream_descriptor": {"name": "t"}, "status": "COMPLETE"},
    },
}


def sent(sync: int, after: int = 0) -> bytes:
    """Six rows with two states; what lies past the state ``after``."""
    parts = [[*records(sync, 3 * n, 3 * n + 3), state(n + 1)] for n in range(after, 2)]
    return b"".join(json.dumps(message).encode() + b"\n" for message in [*itertools.chain(*parts), COMPLETE])


class Case:
    """How the stream is configured for each sync, and what its table holds after it."""

    mode = "overwrite"
    truncates = True

    def properties(self, sync: int) -> dict[str, Any]:
        return {"id": INTEGER, "v": INTEGER}

    def before(self, query: Callable[[str], Rows], sync: int) -> None:
        """What somebody does to the table between two syncs."""

    def catalog(self, sync: int) -> dict[str, Any]:
        stream = {
            "name": "t",
            "json_schema": {"properties": self.properties(sync)},
            "is_resumable": True,
            "source_defined_primary_key": [["id"]],
        }
        return {
            "streams": [
                {
                    "stream": stream,
                    "destination_sync_mode": self.mode,
                    "primary_key": [["id"]] if self.mode == "append_dedup" else [],
                    "sync_id": sync,
                    "generation_id": sync if self.truncates else 0,
                    "minimum_generation_id": sync if self.truncates else 0,
                }
            ]
        }

    def expected(self, sync: int) -> Rows:
        return [(row, str(sync)) for row in range(6)]

    def may_be_seen(self, seen: Rows | None, sync: int) -> bool:
        """Whether the table may hold this after the sync was interrupted; None where there is no table."""
        return seen in (self.expected(sync - 1), self.expected(sync))


class Overwrite(Case):
    """A truncating refresh whose source goes on where it was."""


class OverwriteOfAnotherLayout(Case):
    """The table's partitioning is not the destination's."""

    def before(self, query: Callable[[str], Rows], sync: int) -> None:
        monthly = "PARTITION BY TIMESTAMP_TRUNC(_airbyte_extracted_at, MONTH)"
        query(f"CREATE TABLE {{t}}_ {monthly} AS SELECT * FROM {{t}}")
        query("DROP TABLE {t}")
        query("ALTER TABLE {t}_ RENAME TO t")

    def may_be_seen(self, seen: Rows | None, sync: int) -> bool:
        """BigQuery does not replace such a table at once: it is dropped, and the new one copied to its place."""
        return seen is None or super().may_be_seen(seen, sync)


class DedupOfAnotherShape(OverwriteOfAnotherLayout):
    """With each sync a column has changed its type, one has come and one has gone: the table is written anew with all
    its rows, and then merged into."""

    mode = "append_dedup"
    truncates = False

    def properties(self, sync: int) -> dict[str, Any]:
        return {"id": INTEGER, "v": STRING if sync % 2 else INTEGER, f"only_in_{sync}": STRING}

    def may_be_seen(self, seen: Rows | None, sync: int) -> bool:
        return seen is None or [row[0] for row in seen] == list(range(6))


class Append(Case):
    mode = "append"
    truncates = False

    def expected(self, sync: int) -> Rows:
        return sorted((row, str(number)) for number in range(1, sync + 1) for row in range(6))

    def may_be_seen(self, seen: Rows | None, sync: int) -> bool:
        return set(self.expected(sync - 1)) <= set(seen or ())


CASES = [Overwrite(), OverwriteOfAnotherLayout(), DedupOfAnotherShape(), Append()]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: type(case).__name__)
def test_killed_before_each_call(
    destination: Any, bigquery_client: bigquery.Client, dataset: str, monkeypatch: pytest.MonkeyPatch, case: Case
) -> None:
    monkeypatch.setattr(config, "_batch_bytes", lambda raw: 50)  # each state ends a batch
    deadly = Deadly(monkeypatch)

    def query(statement: str) -> Rows:
        return [tuple(row.values()) for row in bigquery_client.query(statement.format(t=f"{dataset}.t")).result()]

    def rows() -> Rows | None:
        try:
            return query("SELECT id, CAST(v AS STRING) FROM {t} ORDER BY 1, 2")
        except NotFound:
            return None

    deadly.die_after(float("inf"))
    assert destination("write", sent(1), catalog=case.catalog(1)).status == 0
    for sync in itertools.count(2):
        case.before(query, sync)
        deadly.die_after(sync - 2)
        first = destination("write", sent(sync), catalog=case.catalog(sync))
        finished = first.status == 0
        echoed = len(first.states())
        assert case.may_be_seen(rows(), sync), f"killed at call {sync - 1} of those that count"
        deadly.die_after(float("inf"))
        again = destination("write", sent(sync, echoed), catalog=case.catalog(sync))
        assert again.status == 0, again.errors
        assert rows() == case.expected(sync), f"killed at call {sync - 1} of those that count"
        if finished:
            break
    assert sync >= 7
    left_over = [table.table_id for table in bigquery_client.list_tables(dataset) if "_stage_" not in table.table_id]
    assert left_over == ["t"]


@pytest.mark.parametrize("case", [Append(), DedupOfAnotherShape()], ids=lambda case: type(case).__name__)
def test_other_rows_before_an_equal_state_are_written(
    destination: Any, bigquery_client: bigquery.Client, dataset: str, monkeypatch: pytest.MonkeyPatch, case: Case
) -> None:
    """A source that is asked again may have more to tell up to a state that reads the same."""
    monkeypatch.setattr(config, "_batch_bytes", lambda raw: 1)  # each record goes ahead of the state behind it
    for row in (0, 1, 1):
        lines = b"".join(
            json.dumps(message).encode() + b"\n" for message in [*records(1, row, row + 1), state(1), COMPLETE]
        )
        assert destination("write", lines, catalog=case.catalog(1)).status == 0
    rows = bigquery_client.query(f"SELECT id FROM `{dataset}.t` ORDER BY id").result()
    # What is sent again with an equal state is no other row, and is not appended twice.
    assert [row["id"] for row in rows] == [0, 1]
