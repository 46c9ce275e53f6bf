"""The look from outside: a dead Airflow, a sync that hangs, a late run, an old source, a slot that grows."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import psycopg
import pytest
from google.cloud import bigquery
from marketplace_pipeline import watch
from marketplace_pipeline.records import table
from marketplace_pipeline.records.figures import source_tables
from marketplace_pipeline.records.run import PipelineRun
from marketplace_pipeline.slots import Slot, troubled_slots
from real_services import Database, free_port

NOW = datetime.now(UTC)


@contextmanager
def answering(answers: dict[str, Any]) -> Iterator[str]:
    """The address of a server that gives these JSON answers by path, to GET and POST alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answers[self.path.split("?")[0]]).encode())

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_airflow_is_down_when_it_does_not_answer_or_a_component_does_not_report() -> None:
    health = {name: {"status": "healthy"} for name in ("metadatabase", "scheduler", "triggerer", "dag_processor")}
    with answering({"/api/v2/monitor/health": health}) as url:
        assert watch.airflow_down(url) is None
        health["scheduler"] = {"status": "unhealthy"}
        found = watch.airflow_down(url)
        assert found is not None and found.alert == "AirflowDown" and "scheduler" in found.details[0]
    gone = watch.airflow_down(f"http://127.0.0.1:{free_port()}")
    assert gone is not None and "does not answer" in gone.details[0]


def test_a_sync_is_stuck_after_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    began = (NOW - timedelta(minutes=30)).isoformat()
    answers = {"/applications/token": {"access_token": "t"}, "/jobs": {"data": [{"jobId": 7, "startTime": began}]}}
    with answering(answers) as url:
        assert watch.stuck_sync(url, "id", "secret", NOW) is None
        monkeypatch.setenv("ALERT_SYNC_MINUTES", "29.5")
        found = watch.stuck_sync(url, "id", "secret", NOW)
    assert (
        found is not None and found.alert == "SyncStuck" and "job 7 has been running for 30 minutes" in found.details[0]
    )
    assert watch.stuck_sync(f"http://127.0.0.1:{free_port()}", "id", "secret", NOW) is None


def test_a_run_is_late_and_a_source_stale_by_their_limits(
    bigquery_client: bigquery.Client, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = NOW - timedelta(hours=2)
    table.save(bigquery_client, PipelineRun("watched", began, NOW, "success"))
    bigquery_client.query_and_wait("DELETE FROM ops.pipeline_runs WHERE run_id <> 'watched'")
    assert watch.late_run(bigquery_client, NOW) is None
    monkeypatch.setenv("ALERT_LATE_HOURS", "1.5")
    late = watch.late_run(bigquery_client, NOW)
    assert late is not None and late.alert == "DagLate" and f"{began:%Y-%m-%d %H:%M} UTC; 1.5 hours" in late.details[0]

    for name, hours in {"young": 1, "old": 5}.items():
        extracted = f"TIMESTAMP '{NOW - timedelta(hours=hours)}'"
        bigquery_client.query_and_wait(f"CREATE TABLE {dataset}.{name} AS SELECT {extracted} AS extracted_at")
    limit = {"warn_after": {"count": 240, "period": "minute"}, "error_after": {"count": None, "period": None}}
    common = {"schema": dataset, "loaded_at_field": "extracted_at", "freshness": limit}
    sources = {name: {**common, "identifier": name} for name in ("young", "old", "missing")}
    sources["unwatched"] = {**common, "identifier": "unwatched", "freshness": None}
    stale = watch.stale_sources(bigquery_client, {"sources": sources}, NOW)
    assert stale is not None and stale.alert == "StaleData"
    assert stale.subjects == {f"{dataset}.old", f"{dataset}.missing"}
    assert any("5.0 hours old (warn)" in detail for detail in stale.details)


def test_a_limit_that_only_dbt_would_understand_is_refused() -> None:
    limit = {"warn_after": {"count": 1, "period": "day"}, "filter": "id > 7"}
    node = {"schema": "raw", "identifier": "t", "unique_id": "source.t", "loaded_at_field": "at", "freshness": limit}
    with pytest.raises(ValueError, match=r"source\.t has a freshness limit"):
        source_tables({"sources": {"t": node}})


def test_a_slot_is_in_trouble_when_it_keeps_more_than_its_limit_or_was_invalidated(
    new_database: Callable[[], Database],
) -> None:
    database = new_database()
    source = {"HOST": database.host, "PORT": str(database.port), "DATABASE": database.name, "USER": database.user}
    environment = {f"SOURCE_POSTGRES_{name}": value for name, value in source.items()}
    environment["SOURCE_POSTGRES_PASSWORD"] = database.password
    slot = f"watched_{database.name}"
    conninfo = psycopg.conninfo.make_conninfo(database.superuser_conninfo, dbname=database.name)
    with psycopg.connect(conninfo, autocommit=True) as owner:
        owner.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [slot])
        try:
            assert troubled_slots(environment) is None
            owner.execute("SELECT pg_logical_emit_message(false, 'fill', repeat('x', 2200000))")
            found = troubled_slots({**environment, "ALERT_SLOT_MEGABYTES": "1"})
        finally:
            owner.execute("SELECT pg_drop_replication_slot(%s)", [slot])
    assert found is not None and found.alert == "ReplicationSlotLost"
    (detail,) = found.details
    assert f"Replication slot {slot} keeps 2 MB" in detail and "1 MB are allowed" in detail
    assert troubled_slots({**environment, "ALERT_SLOT_MEGABYTES": "1"}) is None, "it was dropped"
    assert "has removed log" in (Slot(slot, "lost", 0).trouble(1) or "")
    assert troubled_slots({}) is None, "no source is named"
    with pytest.raises(psycopg.OperationalError):
        troubled_slots({**environment, "SOURCE_POSTGRES_PORT": str(free_port())})
