"""The whole path at a small scale: Postgres → Airbyte → BigQuery → dbt, run by Airflow, by the commands people type.
And each runbook's commands, run as they are written, on a stack that has the fault.

One stack serves all tests of this file, in order: that of a checkout of its own, so that a bad deploy can be committed
there and reverted. Runs are dear: where runbooks end with `make run`, it is run once for all of them, at the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import runbook_files
import source_figures
from aiosmtpd.controller import Controller
from dbt_mutations import replace
from real_services import free_port
from runbook_checkout import RUN, Checkout, Mailbox
from stack_driver import Stack

from local_stack.pipeline import DAG_ID
from local_stack.processes import marked

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STREAMS = (
    "users", "categories", "products", "orders", "order_items", "payments", "reviews", "seller_tier_history",
    "event_log",
)  # fmt: skip
WATCH_DAG_ID = "marketplace_watch"
BY_THE_HOUR = ("DagLate", "StaleData", "ReplicationSlotLost")
AT_THE_GATES = ("DuplicatePayments", "TierOverlap", "MissingExchangeRate", "MartsDoNotReconcile", "ModelFailed")


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
    """What the first whole run on the empty machine printed; two that were interrupted came before.

    Four weeks have many orders before a last whole day that has few: some are yet to come.
    """
    # While the demo data is made and Airflow's database is migrated, and while Airflow starts.
    assert stack.interrupt_run("logs/airflow-database.log") == 130
    assert stack.interrupt_run("run/airflow-scheduler.json") == 130
    checkout.shell("make up")
    checkout.add_orders(29, 2, a_day=20)
    return stack.run()


def test_the_first_run_replicates_every_table_whole(stack: Stack, first_run: str) -> None:
    with stack.source() as source:
        for stream in STREAMS:
            (expected,) = source.execute(f"SELECT count(*) FROM {stream}").fetchone()  # type: ignore[misc]
            assert expected > 0
            assert stack.rows(f"SELECT COUNT(*) FROM raw.{stream}") == [(expected,)], stream


def test_the_marts_agree_with_figures_computed_from_the_source(stack: Stack, first_run: str) -> None:
    assert source_figures.differences(stack.environment["SOURCE_DB_DSN"], stack.client) == {}


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


def test_a_green_run_warns_and_what_is_reported_or_built_again(
    checkout: Checkout, stack: Stack, first_run: str, mails: Mailbox
) -> None:
    mails.take("TestWarnings", "VolumeAnomaly")
    [(state, synced, passed, failed)] = stack.rows(
        "SELECT state, rows_synced, tests_passed, tests_failed FROM ops.pipeline_runs"
    )
    assert (state, failed) == ("success", 0) and synced > 0 and passed > 50
    assert list((stack.home / "airflow" / "reports").glob("2*.html"))
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
    assert stack.rows(f"{extent} FROM marts.fct_orders WHERE {still_wrong}") == [(True, True)]
    checkout.in_warehouse(f"UPDATE marts.fct_orders SET order_number = SUBSTR(order_number, 7) WHERE {still_wrong}")
    assert checkout.marts() == good


def test_what_is_seen_from_outside_and_by_the_hour(
    checkout: Checkout, stack: Stack, first_run: str, mails: Mailbox
) -> None:
    # Before anything is stamped with the present: days go on from the latest change.
    simulated = stack("exec", "source-db", "simulate", "--days=2")
    assert simulated.returncode == 0, simulated.stdout

    checkout.in_warehouse("DELETE FROM raw.products WHERE TRUE")
    checkout.clear_raw_gate()
    mails.take("RawCountsDisagree")

    checkout.kill("bigquery")
    assert "WarehouseUnavailable" in checkout.shell("make watch", ok=False)
    mails.take("WarehouseUnavailable")
    checkout.mend("WarehouseUnavailable")

    checkout.kill("airflow-api-server", "airflow-scheduler")
    assert "AirflowDown" in checkout.shell("make watch", ok=False)
    mails.take("AirflowDown")
    checkout.mend("AirflowDown")

    checkout.in_warehouse(
        "UPDATE ops.pipeline_runs SET started_at = TIMESTAMP_SUB(started_at, INTERVAL 3 DAY) WHERE TRUE"
    )
    aged = "_airbyte_extracted_at = TIMESTAMP_SUB(_airbyte_extracted_at, INTERVAL 3 DAY)"
    checkout.in_warehouse(f"UPDATE raw.event_log SET {aged} WHERE TRUE")
    checkout.grow_slot()
    checkout.wait_for(checkout.trigger(WATCH_DAG_ID), "failed", WATCH_DAG_ID)
    checkout.shell("make watch", ok=False)
    mails.take(*BY_THE_HOUR, *BY_THE_HOUR)  # each has a list of its own
    columns = "event_type, entity_type, entity_id, event_data"
    checkout.in_source(
        f"INSERT INTO event_log ({columns}, event_timestamp) SELECT {columns}, now() FROM event_log LIMIT 1"
    )
    [(user,)] = stack.rows("SELECT buyer_id FROM marts.fct_orders GROUP BY 1 ORDER BY COUNT(*) DESC, 1 LIMIT 1")
    checkout.variables["USER_ID"] = user
    checkout.mend("RawCountsDisagree", *BY_THE_HOUR, "EraseUser")
    checkout.look("ReplicationSlotLost")  # now: the slot keeps growing


def test_what_keeps_the_sync_from_its_end(checkout: Checkout, first_run: str, mails: Mailbox) -> None:
    # Its parameters and its connection are looked at side by side.
    checkout.change_the_connection_by_hand()
    checkout.red(rebuild_from="2026-06-30", rebuild_to="2026-06-01")
    mails.take("TaskFailed", "ConnectionDrift")
    checkout.mend("TaskFailed", "ConnectionDrift")

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


def test_what_turns_gates_red_and_all_is_well_in_the_end(
    checkout: Checkout, stack: Stack, first_run: str, mails: Mailbox
) -> None:
    services = checkout.pids()
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
    before = stack.rows(figures)
    with checkout.lock_on("orders") as session:
        checkout.trigger()
        checkout.wait_for_blocked()
        assert "SyncStuck" in checkout.shell("make watch", ok=False, ALERT_SYNC_MINUTES="0.001")
        mails.take("SyncStuck")
        checkout.mend("SyncStuck")
        with pytest.raises(psycopg.errors.AdminShutdown):
            session.execute("SELECT 1")

    red = checkout.shell(RUN, ok=False)
    assert set(re.findall(r"What to do: runbooks/(\w+)\.md", red)) == set(AT_THE_GATES)
    assert stack.rows(figures) == before, "built behind a red gate"
    mails.take(*AT_THE_GATES, "QuarantineRising")
    checkout.mend("RestoreAfterBadDeploy", *AT_THE_GATES, "QuarantineRising")

    # As people do in Airflow: the first task of what must be done again, with downstream ticked. `make run` follows it.
    [run_id] = re.findall(r"The run (\S+) ended as failed", red)
    checkout.airflow().clear(DAG_ID, run_id, "trigger_sync")
    green = checkout.verify(*sorted(checkout.followed - checkout.verified))
    assert run_id in green, "it followed another run than the one that was cleared"
    [(orders, loaded)] = stack.rows(
        "SELECT (SELECT COUNT(*) FROM raw.orders), row_count FROM ops.pipeline_runs, UNNEST(stream_rows) "
        "WHERE stream = 'orders' ORDER BY started_at DESC LIMIT 1"
    )
    assert 0 < loaded < orders, "the sync is incremental"
    checkout.wait_for(checkout.trigger(WATCH_DAG_ID), "success", WATCH_DAG_ID)
    mails.take_recoveries(
        "WarehouseUnavailable", "AirflowDown", *BY_THE_HOUR, *BY_THE_HOUR, "RawCountsDisagree", "TaskFailed",
        "ConnectionDrift", "SourceUnreachable", "SchemaChanged", "SyncFailed", "VolumeAnomaly", "SyncStuck",
        *AT_THE_GATES, "QuarantineRising",
    )  # fmt: skip
    assert len(services) == 6 and checkout.pids() == services, "a service was restarted"

    assert stack.rows(figures)[0][0] > before[0][0]
    seeds = checkout.folder / "dbt" / "seeds"
    assert source_figures.differences(stack.environment["SOURCE_DB_DSN"], stack.client, seeds) == {}
    built = checkout.marts()
    checkout.follow("FullRebuild")
    assert checkout.marts() == built, "what runs left differs from a rebuild"
    assert checkout.followed == checkout.verified == runbook_files.names(), "a runbook's commands were not run"


def test_down_leaves_nothing_running(stack: Stack, first_run: str) -> None:
    assert stack("down").returncode == 0
    assert marked(stack.home) == []
    assert stack("status").stdout.count("stopped") == 7
