"""Each runbook's commands, run as they are written, on a stack that has the fault.

The stack is that of a checkout of its own, so that a bad deploy can be committed there and reverted. The tests of this
file share it, in order. Where several faults are mended together, the runbooks' `make run` is run once for all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import runbook_files
from aiosmtpd.controller import Controller
from dbt_mutations import replace
from real_services import free_port
from runbook_checkout import RUN, Checkout, Mailbox

from local_stack.pipeline import DAG_ID

pytestmark = [pytest.mark.runbooks, pytest.mark.timeout(900)]


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
def first_run(checkout: Checkout) -> None:
    """A run with four weeks of many orders before a last whole day that has few: some are yet to come."""
    checkout.shell("make up")
    checkout.add_orders(29, 2, a_day=20)
    checkout.shell(RUN)


def test_a_green_run_warns_and_what_is_reported_or_built_again(
    checkout: Checkout, first_run: None, mails: Mailbox
) -> None:
    mails.take("TestWarnings", "VolumeAnomaly")
    [(state, synced, passed, failed)] = checkout.stack.rows(
        "SELECT state, rows_synced, tests_passed, tests_failed FROM ops.pipeline_runs"
    )
    assert (state, failed) == ("success", 0) and synced > 0 and passed > 50
    assert list((checkout.stack.home / "airflow" / "reports").glob("2*.html"))
    checkout.follow("TestWarnings", "DuplicateOrdersReported")

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
