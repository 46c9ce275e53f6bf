"""Every mart against figures computed from the source database, and against itself built in other orders of arrival."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest
import source_figures
from real_services import Database
from marketplace_replication import Replication
from source_figures import FIGURES

from local_stack.postgres import EmbeddedPostgres
from source_db import cdc
from source_db.database import run_script
from source_db.faults import count_faults
from source_db.seed import seed_database
from source_db.simulate import simulate_day

# Under load the whole file takes longer than the five minutes that a test may.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

INCREMENTAL = ("fct_orders", "fct_order_items", "fct_payments", "fct_daily_sales", "fct_payment_reconciliation")
TABLES = (
    "users", "categories", "products", "orders", "order_items", "payments", "reviews", "seller_tier_history",
    "event_log",
)  # fmt: skip

#: Planted fault → what the models found of it. {p} is the datasets' prefix.
FOUND = {
    "payment_replays": "sum(duplicate_count) from `{p}marts`.fct_payments",
    "payments_without_event_id": "countif(event_id is null) from `{p}marts`.fct_payments",
    "orders_without_any_country": "countif(region = 'Unknown') from `{p}marts`.fct_orders",
    "orders_to_unlisted_country": "countif(region = 'Other') from `{p}marts`.fct_orders",
    "orders_total_does_not_add_up": "count(*) from `{p}intermediate`.int_orders__quarantined",
    "orders_without_items": "countif(item_count = 0) from `{p}marts`.fct_orders",
    "orders_confirmed_near_midnight": (
        "countif(time(confirmed_at) < '00:30:00' or time(confirmed_at) >= '23:30:00') from `{p}marts`.fct_orders"
    ),
    "items_in_another_currency_than_their_order": (
        "countif(i.currency <> o.currency) from `{p}marts`.fct_order_items i join `{p}marts`.fct_orders o"
        " on i.order_id = o.order_id"
    ),
    "items_sold_by_since_deleted_sellers": (
        "countif(is_deleted) from `{p}marts`.fct_order_items join `{p}marts`.dim_users on seller_id = user_id"
    ),
    "users_soft_deleted": "countif(is_deleted) from `{p}marts`.dim_users",
    "users_without_country": "countif(region = 'Unknown') from `{p}marts`.dim_users",
    "products_updated_in_future": "countif(is_updated_at_in_future) from `{p}marts`.dim_products",
    "products_without_category": "countif(category = 'Uncategorized') from `{p}marts`.dim_products",
    "products_at_numeric_limit": "countif(price_amount = 9999999999.99) from `{p}marts`.dim_products",
    "products_with_null_in_tags": (
        "countif(exists(select 1 from unnest(json_query_array(tags)) as tag where to_json_string(tag) = 'null'))"
        " from `{p}marts`.dim_products"
    ),
    "events_out_of_order": "countif(arrived_late) from `{p}intermediate`.int_order_events__sequenced",
}


@dataclass
class Market:
    """A small marketplace database, its replication, and the warehouse it goes to."""

    database: Database
    replication: Replication
    warehouse: Any

    def live(self, days: int, seed: int) -> None:
        with psycopg.connect(self.database.conninfo, autocommit=True) as connection:
            for _ in range(days):
                simulate_day(connection, seed=seed)

    def faults(self) -> dict[str, int]:
        with psycopg.connect(self.database.conninfo, autocommit=True) as connection:
            return count_faults(connection)

    def keep_raw(self, version: str) -> None:
        """Copy raw to the dataset ``version``."""
        self.warehouse.client.create_dataset(f"{self.warehouse.prefix}{version}")
        for table in TABLES:
            self.warehouse.query(f"create table `{{prefix}}{version}`.{table} clone `{{prefix}}raw`.{table}")

    def arrive(self, salt: str) -> None:
        """Let raw be as if each row had come as it is in ``last``, come as it was in ``first``, or not come yet."""
        for table in TABLES:
            chance = f"mod(abs(farm_fingerprint(concat('{salt}', cast(id as string)))), 5)"
            self.replace_raw(
                table,
                f"select * from `{{prefix}}last`.{table} where {chance} < 2"
                f" union all select * from `{{prefix}}first`.{table} where {chance} in (2, 3)",
            )

    def arrive_wholly(self) -> None:
        for table in TABLES:
            self.replace_raw(table, f"select * from `{{prefix}}last`.{table}")

    def replace_raw(self, table: str, rows: str) -> None:
        self.warehouse.query(f"truncate table `{{prefix}}raw`.{table}")
        self.warehouse.query(f"insert into `{{prefix}}raw`.{table} {rows}")

    def run(self, *options: str) -> Any:
        run = self.warehouse.dbt("run", *options, "--select", "intermediate", *INCREMENTAL)
        assert run.exit_status == 0, run.output
        return run


@pytest.fixture(scope="module")
def market(
    postgres_server: EmbeddedPostgres, warehouse: Any, bigquery_endpoint: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Market]:
    postgres_server.ensure_role("market", "market", replication=True)
    postgres_server.ensure_database("market", "market")
    server = postgres_server
    database = Database(server.host, server.port, "market", "market", "market", server.conninfo("market"))
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        seed_database(connection, scale=0.02, seed=6, until=date(2026, 6, 30))
    folder: Path = tmp_path_factory.mktemp("replication")
    replication = Replication(database, bigquery_endpoint, f"{warehouse.prefix}raw", folder)
    replication.sync()
    yield Market(database, replication, warehouse)
    for version in ("first", "last"):
        warehouse.client.delete_dataset(f"{warehouse.prefix}{version}", delete_contents=True, not_found_ok=True)


@pytest.fixture(scope="module")
def built(market: Market) -> Any:
    """All models. (Their gates and tests see such data in the run of the whole path.)"""
    run = market.warehouse.dbt("build", "--resource-type", "model", "--resource-type", "seed")
    assert run.exit_status == 0, run.output
    return run


def differences(market: Market, marts: Iterable[str] = FIGURES) -> dict[str, Any]:
    return source_figures.differences(
        market.database.conninfo, market.warehouse.client, prefix=market.warehouse.prefix, marts=marts
    )


def test_every_mart_agrees_with_the_source_to_the_cent_and_the_row(market: Market, built: Any) -> None:
    assert differences(market) == {}


def test_the_models_found_what_was_planted(market: Market, built: Any) -> None:
    planted = market.faults()
    selects = ", ".join(f"(select {query}) as {fault}" for fault, query in FOUND.items())
    [found] = market.warehouse.query(f"select {selects}".replace("{p}", "{prefix}"))
    assert found == {fault: planted[fault] for fault in FOUND}
    assert all(planted[fault] for fault in FOUND)
    [conflicts] = market.warehouse.query(
        "select countif(has_conflicting_duplicates) as n from `{prefix}marts`.fct_payments"
    )
    assert conflicts["n"] == sum(
        planted[f"payment_events_with_conflicting_{what}"] for what in ("amount", "currency", "order")
    )


def test_incremental_builds_equal_a_full_refresh_in_any_order_of_arrival(market: Market, built: Any) -> None:
    market.keep_raw("first")
    market.live(days=3, seed=1)
    market.live(days=2, seed=7)
    market.replication.sync()
    market.keep_raw("last")
    written = []
    for salt in ("one", "two"):
        market.arrive(salt)
        written.append(market.run().results["fct_order_items"]["adapter_response"]["rows_affected"])
    assert all(written), "these arrivals changed nothing"
    market.arrive_wholly()
    market.run()
    assert differences(market, INCREMENTAL) == {}

    marts = f"{market.warehouse.prefix}marts"
    for mart in INCREMENTAL:
        market.warehouse.query(f"create table `{{prefix}}last`.{mart} clone `{marts}`.{mart}")
    market.run("--full-refresh")
    for mart in INCREMENTAL:
        for left, right in (("last", "marts"), ("marts", "last")):
            only = f"select * from `{{prefix}}{left}`.{mart} except distinct select * from `{{prefix}}{right}`.{mart}"
            assert market.warehouse.query(only) == [], f"{mart}: only in {left}"


def test_change_data_capture_brings_the_same_marts(
    market: Market, bigquery_client: Any, bigquery_endpoint: str, tmp_path: Path
) -> None:
    warehouse = type(market.warehouse)(bigquery_client, bigquery_endpoint, tmp_path)
    replication = Replication(market.database, bigquery_endpoint, f"{warehouse.prefix}raw", tmp_path, cdc=True)
    captured = Market(market.database, replication, warehouse)
    with psycopg.connect(market.database.conninfo, autocommit=True) as source:
        cdc.enable(source)
        try:
            replication.sync()
            captured.live(days=2, seed=3)
            replication.sync()
        finally:
            cdc.disable(source)
    try:
        [deleted] = warehouse.query(
            "select (select countif(_ab_cdc_deleted_at is not null) from `{prefix}raw`.reviews) as reviews,"
            " (select countif(_ab_cdc_deleted_at is not null) from `{prefix}raw`.products) as products"
        )
        assert all(deleted.values()), deleted
        run = warehouse.dbt("build", "--resource-type", "model", "--resource-type", "seed")
        assert run.exit_status == 0, run.output
        assert differences(captured) == {}
    finally:
        warehouse.drop()


def test_new_and_widened_columns_flow_and_lost_ones_fail_by_name(market: Market, built: Any) -> None:
    with psycopg.connect(market.database.conninfo, autocommit=True) as source:
        run_script(source, "drift.sql")
        source.execute("UPDATE products SET weight_grams = 7, title = repeat('x', 800)")
    market.replication.sync()
    [raw] = market.warehouse.query(
        "select min(weight_grams) as weight, min(length(title)) as title from `{prefix}raw`.products"
    )
    assert raw == {"weight": 7, "title": 800}
    run = market.warehouse.dbt("build", "--select", "+dim_products,resource_type:model", "test_type:data,dim_products")
    assert run.exit_status == 0, run.output
    [built_products] = market.warehouse.query("select min(length(title)) as title from `{prefix}marts`.dim_products")
    assert built_products == {"title": 800}

    with psycopg.connect(market.database.conninfo, autocommit=True) as source:
        source.execute("ALTER TABLE products RENAME COLUMN price_amount TO price")
    market.replication.sync()
    run = market.warehouse.dbt("run", "--select", "stg_marketplace__products+")
    assert run.named("error") == {"stg_marketplace__products"}
    assert "price_amount" in run.results["stg_marketplace__products"]["message"]
    assert run.named("success") == set()
