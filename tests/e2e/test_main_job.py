"""The whole path at a small scale: Postgres → Airbyte → BigQuery → dbt, run by Airflow, by the commands people type.
And each runbook's commands, run as they are written, on a stack that has the fault.

One stack serves all tests of this file, in order: that of a checkout of its own, so that a bad deploy can be committed
there and reverted. Where several faults are mended together, the runbooks' `make run` is run once for all of them.
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import psutil
import psycopg
import pytest
import runbook_files
from aiosmtpd.controller import Controller
from dbt_mutations import replace
from real_services import BIN, ROOT, free_port
from runbook_checkout import RUN, Checkout, Mailbox
from stack_driver import Stack

from local_stack.pipeline import DAG_ID
from local_stack.processes import marked

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STREAMS = (
    "users", "categories", "products", "orders", "order_items", "payments", "reviews", "seller_tier_history",
    "event_log",
)  # fmt: skip
GMV_STATUSES = {"confirmed", "processing", "shipped", "delivered", "refunded"}


@pytest.fixture(scope="module")
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    box = Mailbox()
    server = Controller(box, hostname="127.0.0.1", port=free_port())
    server.start()
    yield box, server.port
    server.stop()


@pytest.fixture(scope="module")
def checkout(service_dir: Path, mailbox: tuple[Mailbox, int]) -> Iterator[Checkout]:
    checkout = Checkout(service_dir / "checkout", mailbox[1])
    try:
        yield checkout
    finally:
        checkout.stack("down")


@pytest.fixture
def mails(mailbox: tuple[Mailbox, int]) -> Mailbox:
    return mailbox[0]


@pytest.fixture(scope="module")
def stack(checkout: Checkout) -> Stack:
    return checkout.stack


@pytest.fixture(scope="module")
def first_run(checkout: Checkout, stack: Stack) -> str:
    """What the first whole run on the empty machine printed; two that were interrupted came before."""
    # While the demo data is made and Airflow's database is migrated, and while Airflow starts.
    assert stack.interrupt_run("logs/airflow-database.log") == 130
    assert stack.interrupt_run("run/airflow-scheduler.json") == 130
    return stack.run()


def test_the_first_run_replicates_every_table_whole(stack: Stack, first_run: str) -> None:
    with stack.source() as source:
        for stream in STREAMS:
            (expected,) = source.execute(f"SELECT count(*) FROM {stream}").fetchone()  # type: ignore[misc]
            assert expected > 0
            assert stack.rows(f"SELECT COUNT(*) FROM raw.{stream}") == [(expected,)], stream


def test_the_marts_agree_with_figures_computed_from_the_source(stack: Stack, first_run: str) -> None:
    compare_with_source(stack)


def test_the_run_ends_with_headline_numbers_and_addresses(stack: Stack, first_run: str) -> None:
    with stack.source() as source:
        (orders,) = source.execute("SELECT count(*) FROM orders").fetchone()  # type: ignore[misc]
    assert re.search(rf"Orders +{orders:,} by", first_run)
    assert re.search(r"GMV +\$[\d,]+\.\d\d", first_run)
    assert re.search(r"Payments +[\d,]+ events; [1-9][\d,]* duplicates removed", first_run)
    assert re.search(r"Sellers by tier +.*bronze \d+", first_run)
    assert f"http://127.0.0.1:{stack.environment['AIRFLOW__API__PORT']}/dags/marketplace_elt_pipeline" in first_run
    assert re.search(r"Sync: users", first_run)
    for secret in (stack.home / "secrets.json").read_text().split('"')[3::4]:
        assert secret not in first_run


def test_status_shows_every_service_running(stack: Stack, first_run: str) -> None:
    shown = stack("status").stdout
    assert shown.count("running") == 7, shown
    assert "stopped" not in shown


def test_a_second_stack_does_not_start_on_taken_ports(stack: Stack, first_run: str, service_dir: Path) -> None:
    other = service_dir / "other-stack"
    done = stack("run", LOCAL_STACK_DIR=str(other))
    assert done.returncode == 1
    assert f"port {stack.environment['SOURCE_POSTGRES_PORT']}" in done.stdout
    assert "SOURCE_POSTGRES_PORT=" in done.stdout
    assert marked(other) == []


def test_days_go_by_and_only_what_changed_is_read(checkout: Checkout, stack: Stack, first_run: str) -> None:
    services = {process.pid for process in marked(stack.home) if process.pid == os.getsid(process.pid)}
    [(before,)] = stack.rows("SELECT COUNT(*) FROM marts.fct_orders")
    subprocess.run([BIN / "source-db", "simulate", "--days=2"], env=stack.environment, check=True, capture_output=True)
    # Four weeks of many orders before a last whole day that has few: some of its are yet to come.
    checkout.add_orders(29, 2, a_day=20)
    with stack.source() as source:
        (users,) = source.execute("SELECT count(*) FROM users").fetchone()  # type: ignore[misc]
    loaded = int(re.findall(r"Sync: users ([\d,]+) rows loaded", stack.run())[-1].replace(",", ""))
    assert 0 < loaded < users, "the sync is incremental"
    assert stack.rows("SELECT COUNT(*) FROM marts.fct_orders")[0][0] > before
    compare_with_source(stack)
    assert all(psutil.pid_exists(pid) for pid in services), "a service was restarted"


def test_a_green_run_warns_and_what_is_reported_or_built_again(
    checkout: Checkout, first_run: None, mails: Mailbox
) -> None:
    mails.take("TestWarnings", "VolumeAnomaly")
    [(state, synced, passed, failed)] = checkout.stack.rows(
        "SELECT state, rows_synced, tests_passed, tests_failed FROM ops.pipeline_runs ORDER BY started_at DESC LIMIT 1"
    )
    assert (state, failed) == ("success", 0) and synced > 0 and passed > 50
    assert list((checkout.stack.home / "airflow" / "reports").glob("2*.html"))
    checkout.follow("TestWarnings", "DuplicateOrdersReported")

    refused = checkout.shell("make rebuild", ok=False)
    assert "Failed task: plan_rebuild" in refused and "Give models (select), days" in refused
    good = checkout.marts()
    assert all(good.values())
    # The runbook's window is June; a run by itself leaves rows alone whose input has not changed.
    since_may = "order_date BETWEEN '2026-05-15' AND '2026-06-30'"
    checkout.in_warehouse(
        f"UPDATE marts.fct_orders SET order_number = CONCAT('wrong ', order_number) WHERE {since_may}"
    )
    checkout.follow("Backfill")
    still_wrong = "STARTS_WITH(order_number, 'wrong ')"
    extent = "SELECT MIN(order_date) >= '2026-05-15', MAX(order_date) < '2026-06-01'"
    assert checkout.stack.rows(f"{extent} FROM marts.fct_orders WHERE {still_wrong}") == [(True, True)]
    checkout.in_warehouse(f"UPDATE marts.fct_orders SET order_number = SUBSTR(order_number, 7) WHERE {still_wrong}")
    assert checkout.marts() == good


def test_what_keeps_the_sync_from_its_end(checkout: Checkout, first_run: None, mails: Mailbox) -> None:
    checkout.grow_slot()
    assert "ReplicationSlotLost" in checkout.shell("make watch", ok=False)
    mails.take("ReplicationSlotLost")
    checkout.mend("ReplicationSlotLost")

    checkout.change_the_connection_by_hand()
    checkout.red()
    mails.take("ConnectionDrift")
    checkout.mend("ConnectionDrift")

    checkout.as_superuser("ALTER ROLE airbyte PASSWORD 'nobody knows'")
    checkout.red()
    mails.take("SourceUnreachable")
    checkout.mend("SourceUnreachable", "RotateCredentials")

    # Airbyte has looked at the schema already today: the sync meets the change, and no model after it.
    checkout.shell('make octavia ARGS="discover marketplace_postgres_to_bigquery"')
    checkout.in_source("ALTER TABLE reviews RENAME COLUMN title TO headline")
    checkout.red()
    mails.take("SchemaChanged")
    checkout.mend("SchemaChanged")

    with checkout.lock_on("orders"):
        run_id = checkout.trigger()
        checkout.cancel_job()
        checkout.wait_for(run_id, "failed")
    mails.take("SyncFailed")
    checkout.mend("SyncFailed", "VolumeAnomaly")
    checkout.add_orders(1, 1, a_day=20)

    with checkout.lock_on("orders") as session:
        checkout.trigger()
        checkout.wait_for_blocked()
        assert "SyncStuck" in checkout.shell("make watch", ok=False, ALERT_SYNC_MINUTES="0.001")
        mails.take("SyncStuck")
        checkout.mend("SyncStuck")
        with pytest.raises(psycopg.errors.AdminShutdown):
            session.execute("SELECT 1")
    repaired = ("ConnectionDrift", "SourceUnreachable", "SchemaChanged", "SyncFailed", "VolumeAnomaly")
    # The slot first: it keeps growing.
    checkout.verify("ReplicationSlotLost", *repaired, "RotateCredentials", "SyncStuck")
    mails.take_recoveries(*repaired, "SyncStuck", "ReplicationSlotLost")


def test_what_turns_gates_red(checkout: Checkout, first_run: None, mails: Mailbox) -> None:
    rules = {
        "int_payments__deduplicated.sql": (
            "qualify row_number() over",
            "qualify payment_provider = 'stripe' or row_number() over",
        ),
        "int_seller_tiers__scd2.sql": (
            "coalesce(neighbours.next_effective_from,",
            "coalesce(if(change_reason <> '', neighbours.effective_to, null), neighbours.next_effective_from,",
        ),
        "int_orders__usd.sql": ("as total_usd", "+ if(located.order_number like '%7', 1, 0) as total_usd"),
        "dim_categories.sql": ("select", "selekt"),
    }
    for file, (rule, broken) in rules.items():
        replace(checkout.folder / "dbt" / "models", file, rule, broken)
    checkout.commit("Deploy what breaks four rules")
    newest = "id IN (SELECT id FROM orders ORDER BY created_at DESC LIMIT {})"
    checkout.in_source(f"UPDATE orders SET currency = 'XXX', updated_at = now() WHERE {newest.format(1)}")
    checkout.in_source(
        f"UPDATE orders SET total_amount = total_amount + 1, updated_at = now() WHERE {newest.format(80)}"
    )

    figures = "SELECT COUNT(*), SUM(gmv_usd) FROM marts.fct_orders"
    before = checkout.stack.rows(figures)
    failures = ("DuplicatePayments", "TierOverlap", "MissingExchangeRate", "MartsDoNotReconcile", "ModelFailed")
    red = checkout.shell(RUN, ok=False)
    assert set(re.findall(r"What to do: runbooks/(\w+)\.md", red)) == set(failures)
    assert checkout.stack.rows(figures) == before, "built behind a red gate"
    repaired = (*failures, "QuarantineRising")
    mails.take(*repaired)
    checkout.mend("RestoreAfterBadDeploy", *repaired)
    # As people do in Airflow: the first task of what must be done again, with downstream ticked. `make run` follows it.
    [run_id] = re.findall(r"The run (\S+) ended as failed", red)
    checkout.airflow().clear(DAG_ID, run_id, "trigger_sync")
    assert run_id in checkout.verify("RestoreAfterBadDeploy", *repaired)
    mails.take_recoveries(*repaired)


def test_what_is_seen_from_outside_and_the_rest(checkout: Checkout, first_run: None, mails: Mailbox) -> None:
    checkout.kill("bigquery")
    assert "WarehouseUnavailable" in checkout.shell("make watch", ok=False)
    mails.take("WarehouseUnavailable")
    checkout.mend("WarehouseUnavailable")

    checkout.kill("airflow-api-server", "airflow-scheduler")
    assert "AirflowDown" in checkout.shell("make watch", ok=False)
    mails.take("AirflowDown")
    checkout.mend("AirflowDown")

    checkout.in_warehouse("DELETE FROM raw.products WHERE TRUE")
    checkout.clear_raw_gate()
    mails.take("RawCountsDisagree")

    checkout.red(rebuild_from="2026-06-30", rebuild_to="2026-06-01")
    mails.take("TaskFailed")

    checkout.in_warehouse(
        "UPDATE ops.pipeline_runs SET started_at = TIMESTAMP_SUB(started_at, INTERVAL 3 DAY) WHERE TRUE"
    )
    aged = "_airbyte_extracted_at = TIMESTAMP_SUB(_airbyte_extracted_at, INTERVAL 3 DAY)"
    checkout.in_warehouse(f"UPDATE raw.event_log SET {aged} WHERE TRUE")
    checkout.grow_slot()
    by_the_hour = ("DagLate", "StaleData", "ReplicationSlotLost")
    checkout.wait_for(checkout.trigger("marketplace_watch"), "failed", "marketplace_watch")
    checkout.shell("make watch", ok=False)
    mails.take(*by_the_hour, *by_the_hour)  # each has a list of its own
    checkout.shell(".venv/bin/local-stack exec source-db cdc --off")
    columns = "event_type, entity_type, entity_id, event_data"
    checkout.in_source(
        f"INSERT INTO event_log ({columns}, event_timestamp) SELECT {columns}, now() FROM event_log LIMIT 1"
    )
    [(user,)] = checkout.stack.rows(
        "SELECT buyer_id FROM marts.fct_orders GROUP BY 1 ORDER BY COUNT(*) DESC, 1 LIMIT 1"
    )
    checkout.mend("TaskFailed", "RawCountsDisagree", "DagLate", "StaleData", "EraseUser", USER_ID=user)
    checkout.verify(
        "TaskFailed", "RawCountsDisagree", "DagLate", "StaleData", "WarehouseUnavailable", "AirflowDown", "EraseUser",
        USER_ID=user,
    )  # fmt: skip
    checkout.wait_for(checkout.trigger("marketplace_watch"), "success", "marketplace_watch")
    mails.take_recoveries("TaskFailed", "RawCountsDisagree", *by_the_hour, *by_the_hour)

    built = checkout.marts()
    checkout.follow("FullRebuild")
    assert checkout.marts() == built, "what runs left differs from a rebuild"
    assert checkout.followed == runbook_files.names(), "a runbook's commands were not run"


def test_down_leaves_nothing_running(stack: Stack, first_run: str) -> None:
    assert stack("down").returncode == 0
    assert marked(stack.home) == []
    assert stack("status").stdout.count("stopped") == 7


def compare_with_source(stack: Stack) -> None:
    """Orders, GMV, duplicates and current tiers of the marts against plain Python over the source, to the cent."""
    with stack.source() as source:
        orders = source.execute("SELECT id::text, status, created_at FROM orders").fetchall()
        items = source.execute("SELECT order_id::text, total_price, currency FROM order_items").fetchall()
        payments = source.execute("SELECT id, event_id FROM payments").fetchall()
        sellers = source.execute("SELECT count(DISTINCT user_id) FROM seller_tier_history").fetchone()
    rates = exchange_rates()
    days = {order: created.astimezone(UTC).date() for order, _, created in orders}
    gmv: dict[str, Decimal] = {order: Decimal(0) for order, status, _ in orders if status in GMV_STATUSES}
    for order, price, currency in items:
        if order in gmv:
            rate = rate_on(rates[currency], days[order])
            gmv[order] += (price * rate).quantize(Decimal("0.01"), ROUND_HALF_UP)
    found = stack.rows("SELECT order_id, order_date, gmv_usd FROM marts.fct_orders")
    assert {(order, day) for order, day, _ in found} == set(days.items())
    assert {order: amount for order, _, amount in found if amount} == {k: v for k, v in gmv.items() if v}
    assert stack.rows("SELECT SUM(gmv_usd) FROM marts.fct_daily_sales") == [(sum(gmv.values()),)]

    events = [event for _, event in payments if event is not None]
    duplicates = len(events) - len(set(events))
    assert duplicates > 0
    assert stack.rows("SELECT COUNT(*), SUM(duplicate_count) FROM intermediate.int_payments__deduplicated") == [
        (len(payments) - duplicates, duplicates)
    ]
    assert stack.rows("SELECT COUNT(DISTINCT seller_id) FROM intermediate.int_seller_tiers__scd2") == [sellers]


def exchange_rates() -> dict[str, list[tuple[date, Decimal]]]:
    """Per currency, (valid_from, rate) in ascending order, from the seed file."""
    rates: dict[str, list[tuple[date, Decimal]]] = defaultdict(list)
    with (ROOT / "dbt" / "seeds" / "exchange_rates.csv").open() as file:
        for row in csv.DictReader(file):
            day = datetime.strptime(row["valid_from"], "%Y-%m-%d").date()
            rates[row["currency"]].append((day, Decimal(row["usd_rate"])))
    return {currency: sorted(known) for currency, known in rates.items()}


def rate_on(rates: list[tuple[date, Decimal]], day: date) -> Decimal:
    return [rate for valid_from, rate in rates if valid_from <= day][-1]
