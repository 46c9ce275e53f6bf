"""The whole path at a small scale: Postgres → Airbyte → BigQuery → dbt, run by Airflow, by the commands people type.

One stack of its own serves all tests of this file, in order: each leaves it up for the next.
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
import pytest
from real_services import BIN, ROOT
from stack_driver import Stack, new_stack

from local_stack.airflow_api import AirflowApi
from local_stack.processes import marked, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

STREAMS = (
    "users", "categories", "products", "orders", "order_items", "payments", "reviews", "seller_tier_history",
    "event_log",
)  # fmt: skip
GMV_STATUSES = {"confirmed", "processing", "shipped", "delivered", "refunded"}


@pytest.fixture(scope="module")
def stack(service_dir: Path) -> Iterator[Stack]:
    stack = new_stack(service_dir / "stack", SOURCE_DB_SCALE="0.05")
    yield stack
    stack("down")


@pytest.fixture(scope="module")
def first_run(stack: Stack) -> str:
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


def test_days_go_by_with_money_that_cannot_be_converted_and_its_repair(stack: Stack, first_run: str) -> None:
    services = {process.pid for process in marked(stack.home) if process.pid == os.getsid(process.pid)}
    before = stack.rows("SELECT COUNT(*), SUM(gmv_usd) FROM marts.fct_orders")
    subprocess.run([BIN / "source-db", "simulate", "--days=2"], env=stack.environment, check=True, capture_output=True)
    with stack.source() as source:
        (users,) = source.execute("SELECT count(*) FROM users").fetchone()  # type: ignore[misc]
        (item, currency) = source.execute(
            "UPDATE order_items i SET currency = 'XXX' WHERE id = (SELECT id FROM order_items ORDER BY id LIMIT 1) "
            "RETURNING id, (SELECT o.currency FROM order_items o WHERE o.id = i.id)"
        ).fetchone()  # type: ignore[misc]

    red = stack("run")
    assert red.returncode == 1
    assert "Failed task: " in red.stdout and "int_order_items__usd" in red.stdout
    assert "What to do: " in red.stdout
    assert stack.rows("SELECT COUNT(*), SUM(gmv_usd) FROM marts.fct_orders") == before, "built behind a red gate"
    loaded = int(re.findall(r"Sync: users ([\d,]+) rows loaded", red.stdout)[-1].replace(",", ""))
    assert 0 < loaded < users, "the second sync is incremental"

    with stack.source() as source:
        source.execute("UPDATE order_items SET currency = %s WHERE id = %s", [currency, item])
    # As people do in Airflow: the first task of what must be done again, with downstream ticked.
    run_id = re.findall(r"The run (\S+) ended as failed", red.stdout)[-1]
    airflow = AirflowApi(f"http://127.0.0.1:{stack.environment['AIRFLOW__API__PORT']}", "admin", "admin")
    airflow.clear("marketplace_elt_pipeline", run_id, "trigger_sync")
    assert run_id in stack.run(), "it followed another run than the one that was cleared"
    assert stack.rows("SELECT COUNT(*) FROM marts.fct_orders")[0][0] > before[0][0]
    compare_with_source(stack)
    assert all(psutil.pid_exists(pid) for pid in services), "a service was restarted"


def test_models_and_days_are_built_again_by_a_command_and_the_hourly_look_is_green(
    stack: Stack, first_run: str
) -> None:
    refused = stack("rebuild")
    assert refused.returncode == 1 and "Failed task: plan_rebuild" in refused.stdout
    assert "Give models (select), days" in refused.stdout

    # A run by itself leaves rows alone whose input has not changed.
    stack.rows("UPDATE marts.fct_orders SET order_number = 'wrong' WHERE TRUE")
    [(last,)] = stack.rows("SELECT MAX(order_date) FROM marts.fct_orders")
    rebuilt = stack("rebuild", "--select=fct_orders", f"--from={last}", f"--to={last}")
    assert rebuilt.returncode == 0, rebuilt.stdout[-3000:]
    by_day = f"SELECT order_date = '{last}', LOGICAL_AND(order_number = 'wrong') FROM marts.fct_orders GROUP BY 1"
    assert sorted(stack.rows(by_day)) == [(False, True), (True, False)]
    rebuilt = stack("rebuild", "--select=fct_orders", "--full-refresh")
    assert rebuilt.returncode == 0, rebuilt.stdout[-3000:]
    assert stack.rows("SELECT COUNTIF(order_number = 'wrong') FROM marts.fct_orders") == [(0,)]

    airflow = AirflowApi(f"http://127.0.0.1:{stack.environment['AIRFLOW__API__PORT']}", "admin", "admin")
    airflow.unpause("marketplace_watch")
    run_id = airflow.trigger("marketplace_watch")
    assert wait_until(lambda: airflow.run_state("marketplace_watch", run_id) in ("success", "failed"), 200)
    assert {task.state for task in airflow.tasks("marketplace_watch", run_id)} == {"success"}


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
