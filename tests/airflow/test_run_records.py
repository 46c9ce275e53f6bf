"""What is kept of a run: the row in ops.pipeline_runs, the comparison with earlier ones, the page."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from google.cloud import bigquery
from marketplace_pipeline.alerts.finding import Finding
from marketplace_pipeline.alerts.samples import sample
from marketplace_pipeline.findings import Run, TaskFailure, Warehouse, findings_of, seen_good
from marketplace_pipeline.records import figures, table
from marketplace_pipeline.records.history import quarantine_rise
from marketplace_pipeline.records.run import PipelineRun
from marketplace_pipeline.records.tests import NodeOutcome, outcomes
from marketplace_pipeline.report.page import write_report

START = datetime.now(UTC).replace(microsecond=0)
RUN = PipelineRun(
    run_id="manual__1 <b>",
    started_at=START,
    recorded_at=START + timedelta(seconds=90),
    state="failed",
    job_id=7,
    bytes_synced=1234,
    stream_rows={"orders": 10, "users": 5},
    stage_seconds={"wait_for_sync": 3.25, "marts": 10.0},
    source_hours={"raw.orders": 0.5},
    tests_passed=3,
    tests_failed=1,
    failed_tasks=("dbt.marts.fct_orders.test",),
    quarantined=4,
    orders=100,
)


def test_a_run_has_one_row_however_often_it_is_recorded(bigquery_client: bigquery.Client) -> None:
    empty = PipelineRun("scheduled__0", START - timedelta(days=1), START, "failed")
    bigquery_client.query_and_wait("DROP TABLE IF EXISTS ops.pipeline_runs")
    for run in (RUN, replace(RUN, state="success", failed_tasks=()), empty):
        table.save(bigquery_client, run)
    assert table.recent(bigquery_client) == [empty, replace(RUN, state="success", failed_tasks=())]
    (row,) = bigquery_client.query_and_wait("SELECT rows_synced, tests_passed FROM ops.pipeline_runs WHERE job_id = 7")
    assert tuple(row) == (15, 3)
    assert PipelineRun.from_json(json.loads(json.dumps(RUN.as_json()))) == RUN


def test_every_test_is_passed_warned_failed_or_not_run() -> None:
    def node(name: str, **config: object) -> dict[str, object]:
        return {"name": name, "alias": f"{name}_1a2b", "schema": "test_failures", "config": config}

    def result(unique_id: str, status: str, failures: int | None = None) -> dict[str, object]:
        return {"unique_id": unique_id, "status": status, "failures": failures, "message": f"said {status}"}

    keeps = {"store_failures": True}
    tests = {f"test.m.{name}.1a": node(name, **keeps) for name in ("holds", "warns", "breaks", "left_out", "behind")}
    manifest = {"nodes": {"model.m.a": node("a"), **tests}}
    results = [
        result("model.m.a", "success"),
        result("test.m.holds.1a", "pass", 0),
        result("test.m.warns.1a", "warn", 2),
        result("test.m.breaks.1a", "fail", 3),
        result("test.m.left_out.1a", "skipped"),
    ]
    assert set(outcomes(manifest, results)) == {
        NodeOutcome("a", "passed", "said success", is_test=False),
        NodeOutcome("holds", "passed", "said pass"),
        NodeOutcome("warns", "warned", "said warn", 2, "test_failures.warns_1a2b"),
        NodeOutcome("breaks", "failed", "said fail", 3, "test_failures.breaks_1a2b"),
        NodeOutcome("left_out", "not_run", "said skipped"),
        NodeOutcome("behind", "not_run"),
    }


def test_findings_are_one_an_alert_and_end_when_what_was_bad_is_seen_good(bigquery_client: bigquery.Client) -> None:
    rate, item = "gate_currency__orders_have_usd", "gate_currency__order_items_have_usd"
    failed = tuple(NodeOutcome(name, "failed", "Got 1 result", 1) for name in (rate, item))
    warns = NodeOutcome("orders_add_up", "warned", "", 4)
    failures = [
        TaskFailure("dbt.intermediate.int_orders__usd", "DbtNodeFailed: …", "http://log/1", failed[:1]),
        TaskFailure("dbt.intermediate.int_order_items__usd", "DbtNodeFailed: …", "http://log/2", failed[1:]),
    ]
    states = {failure.task_id: "failed" for failure in failures} | {"check_raw": "success"}
    volume = figures.Volume(date(2026, 7, 1), 0, 50)
    run = Run(RUN, states, failures, [*failed, warns, NodeOutcome("behind", "not_run")], volume)
    warehouse = Warehouse(bigquery_client)
    findings = {finding.alert: finding for finding in findings_of(run, [], warehouse)}
    assert set(findings) == {"MissingExchangeRate", "TestWarnings", "VolumeAnomaly"}
    assert findings["MissingExchangeRate"].subjects == {rate, item}
    assert findings["MissingExchangeRate"].log_url == "http://log/1"
    assert findings["TestWarnings"].details == ("orders_add_up: 4 rows",)
    good = seen_good(run, list(findings.values()), warehouse)
    assert good("check_raw")
    assert not any(good(subject) for subject in (rate, "orders_add_up", "daily orders", "behind", "gone"))
    green = Run(replace(RUN, state="success"), {}, [], [NodeOutcome(rate, "passed")], None)
    good = seen_good(green, [], warehouse)
    assert good(rate) and good("gone") and good("warehouse") and not good("daily orders")

    def away(_: bigquery.Client) -> None:
        raise ConnectionError("nobody there")

    assert warehouse.ask(away, None) is None
    (finding,) = findings_of(Run(RUN, {}, [], [], None), [], warehouse)
    assert (finding.alert, finding.details) == ("WarehouseUnavailable", ("ConnectionError: nobody there",))


def test_personal_data_is_masked_in_samples(bigquery_client: bigquery.Client, dataset: str) -> None:
    rows = ", ".join(["('o1', 'Ann', 'x', 'see ann@example.org', NULL, 'nick')"] * 9)
    bigquery_client.query_and_wait(f"CREATE TABLE {dataset}.failing AS SELECT * FROM UNNEST([STRUCT<order_id STRING,"
        f" first_name STRING, note STRING, value_field STRING, missing STRING, alias STRING> {rows}])")  # fmt: skip
    found = sample(bigquery_client, f"{dataset}.failing", 9, frozenset({"alias"}))
    assert len(found.rows) == 5 and found.total == 9
    assert list(found.rows[0]) == ["o1", "•••", "x", "•••", "NULL", "•••"]


@pytest.mark.parametrize(
    ("orders", "quarantined", "rise"),
    [(100, 4, None), (200, 8, None), (100, 8, None), (101, 9, (4, 9)), (1000, 20, None)],
)
def test_quarantine_rises_when_its_share_does(orders: int, quarantined: int, rise: tuple[int, int] | None) -> None:
    before = [PipelineRun(f"r{i}", START, START, "success", quarantined=4, orders=100) for i in range(3)]
    assert (
        quarantine_rise(PipelineRun("now", START, START, "success", quarantined=quarantined, orders=orders), before)
        == rise
    )
    assert quarantine_rise(RUN, [RUN]) is None, "with nothing to compare"


@pytest.mark.parametrize(
    ("orders", "unusual"), [(30, True), (31, False), (100, False), (300, False), (304, True), (0, True)]
)
def test_a_volume_is_unusual_far_from_the_median(orders: int, unusual: bool) -> None:
    assert figures.Volume(date(2026, 7, 1), orders, 101).is_unusual is unusual
    assert not figures.Volume(date(2026, 7, 1), 0, 5).is_unusual


def test_the_page_shows_the_run_and_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    finding = Finding(
        "SyncFailed", frozenset({"wait_for_sync"}), ("<script>alert(1)</script>",), "http://127.0.0.1/log"
    )
    earlier = [replace(RUN, run_id=f"r{i}", started_at=START - timedelta(days=i)) for i in range(1, 4)]
    page = write_report(RUN, [*reversed(earlier), RUN], [finding], tmp_path)
    text = page.read_text()
    assert "<script" not in text and "<b>" not in text
    assert set(re.findall(r"""(?:href|src|url)\W+(https?:[^"')]+)""", text)) == {"http://127.0.0.1/log"}
    charts = [ElementTree.fromstring(chart) for chart in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]
    assert len(charts) == 5
    bars = [title.text for title in charts[0].iter("title")]
    assert bars.count(f"{START:%m-%d %H:%M} · orders: 10 rows") == 1 and len(bars) == 8
    assert "prefers-color-scheme: dark" in text
    for part in ("SyncFailed", "runbooks/SyncFailed.md", "failed", "dbt.marts.fct_orders.test"):
        assert part in text
    assert f"{page.stem}.html" in (tmp_path / "index.html").read_text()
