"""Every model against the same rules written in plain Python, over raw data full of planted faults, built twice."""

from __future__ import annotations

import calendar
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from dbt_mutations import ROUNDS, replace
from expected_marts import (
    CENT, Raw, Row, expected_daily_sales, expected_orders, expected_payments, expected_tiers, text,
)  # fmt: skip
from sqlfluff.cli.commands import cli as sqlfluff

DBT_PROJECT = Path(__file__).resolve().parents[2] / "dbt"
EXPOSURES = {"daily_gmv", "seller_performance", "payment_reconciliation", "customer_cohorts"}
INCREMENTAL = {
    "int_orders__enriched", "fct_orders", "fct_order_items", "fct_payments", "fct_daily_sales",
    "fct_payment_reconciliation",
}  # fmt: skip
STAGING = {path.stem for path in (DBT_PROJECT / "models" / "staging").rglob("*.sql")}


def built_orders(warehouse: Any) -> dict[str, Row]:
    return {row["order_id"]: row for row in warehouse.query("select * from `{prefix}marts`.fct_orders")}


def assert_marts_are_as_expected(warehouse: Any, raw: Raw) -> None:
    expected = expected_orders(raw)
    built = built_orders(warehouse)
    columns = next(iter(expected.values())).keys()
    assert {order_id: {name: row[name] for name in columns} for order_id, row in built.items()} == expected

    sales = warehouse.query("select * from `{prefix}marts`.fct_daily_sales")
    keys, measures = (
        ("order_date", "region", "category"),
        ("orders", "units", "buyers", "gmv_usd", "net_gmv_usd", "aov_usd"),
    )
    assert len(sales) == len({row["daily_sales_key"] for row in sales})
    assert {
        tuple(row[key] for key in keys): {measure: row[measure] for measure in measures} for row in sales
    } == expected_daily_sales(raw)


@pytest.fixture(scope="module")
def build(warehouse: Any, raw: Raw) -> Any:
    """The whole project, built once with all its tests."""
    warehouse.load(raw)
    return warehouse.dbt("build")


def test_the_project_builds_and_every_test_passes(build: Any) -> None:
    assert build.exit_status == 0, build.output
    # both faults are planted: an order that does not add up, a cycle of categories
    assert build.named("warn") == {"orders_add_up", "categories_form_trees"}
    done = build.named("pass") | build.named("success") | build.named("warn")
    assert set(build.results) - done == EXPOSURES


def test_every_statement_ran_and_every_column_is_described(warehouse: Any, build: Any) -> None:
    manifest = json.loads((warehouse.folder / "target" / "manifest.json").read_text())
    assert {result["unique_id"] for result in build.results.values()} == {
        *manifest["nodes"], *manifest["unit_tests"], *manifest["exposures"]
    }  # fmt: skip
    described = {
        (node["name"], column["name"])
        for node in manifest["nodes"].values()
        for column in node.get("columns", {}).values()
        if node["resource_type"] != "test" and column["description"]
    }
    datasets = ("staging", "intermediate", "marts", "seeds", "snapshots")
    columns = " union all ".join(
        f"select table_name, column_name from `{{prefix}}{dataset}`.INFORMATION_SCHEMA.COLUMNS"
        " where not ends_with(table_name, '__days')"  # described by the macro that makes them
        for dataset in datasets
    )
    assert {tuple(row.values()) for row in warehouse.query(columns)} == described


def test_the_sql_is_written_in_one_style(warehouse: Any, build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # In this process, which has dbt in memory; its manifest is its own, for sqlfluff parses with other arguments.
    for name, value in {**warehouse.environment, "DBT_TARGET_PATH": str(warehouse.folder / "sqlfluff")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(DBT_PROJECT)
    done = CliRunner().invoke(sqlfluff, ["lint", "models", "snapshots", "--disable-progress-bar"])
    assert done.exit_code == 0, done.output


def test_orders_that_do_not_add_up_are_quarantined_and_stay_in_the_marts(warehouse: Any, build: Any, raw: Raw) -> None:
    [quarantined] = warehouse.query("select * from `{prefix}intermediate`.int_orders__quarantined")
    order = raw["orders"][3]
    assert quarantined == {
        **{name: order[name] for name in ("order_number", "currency", "total_amount")},
        "order_id": "order003",
        "expected_total_amount": order["total_amount"] - CENT,
        "difference_amount": CENT,
        "ordered_at": order["created_at"],
    }
    assert "order003" in built_orders(warehouse)


def test_the_calendar_is_that_of_python(warehouse: Any, build: Any) -> None:
    built = warehouse.query("select * from `{prefix}marts`.dim_dates order by date_day")
    until = date(datetime.now(UTC).year + 1, 12, 31)
    days = [date(2020, 1, 1) + timedelta(days=day) for day in range((until - date(2020, 1, 1)).days + 1)]
    assert built == [
        {
            "date_day": day,
            "year": day.year,
            "quarter": (day.month + 2) // 3,
            "month": day.month,
            "iso_year": day.isocalendar().year,
            "iso_week": day.isocalendar().week,
            "day_of_month": day.day,
            "day_of_year": day.timetuple().tm_yday,
            "day_of_week": day.isoweekday(),
            "day_name": calendar.day_name[day.weekday()],
            "month_name": calendar.month_name[day.month],
            "first_day_of_month": day.replace(day=1),
            "last_day_of_month": day.replace(day=calendar.monthrange(day.year, day.month)[1]),
            "is_weekend": day.isoweekday() >= 6,
        }
        for day in days
    ]


def test_raw_holds_the_faults_that_the_rules_are_about(raw: Raw) -> None:
    payments = expected_payments(raw).values()
    tiers = expected_tiers(raw)
    orders = expected_orders(raw).values()
    assert {row["duplicate_count"] > 0 for row in payments} == {True, False}
    assert {row["has_conflicting_duplicates"] for row in payments if row["duplicate_count"]} == {True, False}
    assert {(gap, overlap) for *_, gap, overlap, _previous in tiers} == {(False, False), (True, False), (False, True)}
    assert len({(r["user_id"], r["effective_from"]) for r in raw["seller_tier_history"]}) < 60
    assert {row["region"] for row in orders} >= {"Europe", "Latin America", "Africa", "Other", "Unknown"}
    assert {row["item_count"] > 0 for row in orders} == {True, False}
    assert len({(order["buyer_id"], order["created_at"]) for order in raw["orders"]}) < 120


def test_staging_keeps_the_latest_version_of_each_row_not_deleted_at_the_source(
    warehouse: Any, build: Any, raw: Raw
) -> None:
    for table, rows in raw.items():
        latest = {row["id"]: row for row in rows}
        [counted] = warehouse.query(f"select count(*) as n from `{{prefix}}staging`.stg_marketplace__{table}")
        assert counted["n"] == sum(not row.get("_ab_cdc_deleted_at") for row in latest.values()), table
    events = warehouse.query("select event_log_id, processed from `{prefix}staging`.stg_marketplace__event_log")
    assert {row["event_log_id"]: row["processed"] for row in events} == {
        **dict.fromkeys((0, 1, 2), True), **dict.fromkeys((4, 5, 6, 7), False)
    }  # fmt: skip


def test_staging_clamps_products_updated_in_the_future(warehouse: Any, build: Any) -> None:
    products = warehouse.query("select * from `{prefix}staging`.stg_marketplace__products")
    assert sum(row["is_updated_at_in_future"] for row in products) == 3
    assert all(row["updated_at"] <= row["_airbyte_extracted_at"] for row in products)
    assert products[0]["title"] == 'a "quoted" 🍳 title'


def test_payments_are_deduplicated_by_event(warehouse: Any, build: Any, raw: Raw) -> None:
    built = warehouse.query("select * from `{prefix}intermediate`.int_payments__deduplicated")
    columns = ("order_id", "status", "amount", "duplicate_count", "first_event_at", "has_conflicting_duplicates")
    assert {row["payment_id"]: [row[name] for name in columns] for row in built} == {
        payment_id: [row[name] for name in columns] for payment_id, row in expected_payments(raw).items()
    }


def test_seller_tiers_are_repaired_intervals(warehouse: Any, build: Any, raw: Raw) -> None:
    built = warehouse.query("select * from `{prefix}intermediate`.int_seller_tiers__scd2")
    columns = ("seller_id", "tier", "valid_from", "valid_to", "is_gap_filled", "is_overlap_trimmed", "previous_tier")
    assert len(built) == len(expected_tiers(raw))
    assert {tuple(row[name] for name in columns) for row in built} == expected_tiers(raw)
    assert all(row["is_current"] == (row["valid_to"] is None) for row in built)


def test_marts_agree_with_plain_python(warehouse: Any, build: Any, raw: Raw) -> None:
    assert_marts_are_as_expected(warehouse, raw)


def rows_written(run: Any) -> dict[str, int]:
    """Rows written by model, of those that read or wrote any. Left out: staging, and what is another after midnight."""
    assert run.exit_status == 0, run.output
    answers = {name: result["adapter_response"] for name, result in run.results.items()}
    built = {name: answer.get("rows_affected") for name, answer in answers.items() if answer["code"] != "UNCHANGED"}
    return {name: rows for name, rows in built.items() if name not in STAGING | {"dim_dates", "dim_products"}}


def test_a_run_with_nothing_new_rewrites_nothing(warehouse: Any, build: Any) -> None:
    # a change that the fingerprint does not know of would be undone if the row were written again
    warehouse.query("update `{prefix}marts`.fct_orders set order_number = 'untouched' where order_id = 'order000'")
    tables = ("--select", "config.materialized:table", "config.materialized:incremental")
    assert rows_written(warehouse.dbt("run", *tables)) == {}
    # raw tables that are replaced by the same rows
    for table in ("orders", "order_items", "payments", "seller_tier_history"):
        warehouse.query(f"update `{{prefix}}raw`.{table} set id = id where true")
    written = rows_written(warehouse.dbt("run", *tables))
    assert {"int_orders__usd", "int_order_items__tiered", "int_payments__usd"} <= written.keys()
    assert not written.keys() & INCREMENTAL
    order = built_orders(warehouse)["order000"]
    assert order["order_number"] == "untouched"
    # the days of a rebuild are written in any case
    days = json.dumps(dict.fromkeys(("rebuild_from", "rebuild_to"), str(order["order_date"])))
    orders_of_the_day = sum(other["order_date"] == order["order_date"] for other in built_orders(warehouse).values())
    rebuilt = warehouse.dbt("run", "--select", "fct_orders", "--vars", days)
    assert rows_written(rebuilt) == {"fct_orders": orders_of_the_day}
    assert built_orders(warehouse)["order000"]["order_number"] == "ORD-order000"


FOLLOWED = INCREMENTAL | {"int_orders__usd", "int_order_items__usd", "int_order_items__tiered", "int_payments__usd"}


def test_changed_days_are_found_in_the_days_beside_the_tables(warehouse: Any, build: Any) -> None:
    def assert_days_are_those_of_the_tables() -> None:
        for name in FOLLOWED:
            table = f"`{{prefix}}{'marts' if name.startswith('fct_') else 'intermediate'}`.{name}"
            assert warehouse.query(f"select row_fingerprint from {table}__days where row_fingerprint <> 0"), name
            both = f"select * from (select order_date, row_fingerprint from {table}"
            both += f" union all select order_date, row_fingerprint from {table}__days)"
            differing = f"select order_date from ({both}) group by order_date having bit_xor(row_fingerprint) <> 0"
            assert warehouse.query(differing) == [], name

    def read_to_find_days(since: datetime) -> set[str]:
        """The tables whose rows models were looked for in, before they were built."""
        found = warehouse.query(
            "select distinct table.table_id as name from `region-us`.INFORMATION_SCHEMA.JOBS_BY_PROJECT,"
            " unnest(referenced_tables) as table where statement_type = 'SELECT' and total_bytes_processed > 0"
            f" and creation_time >= timestamp '{since.isoformat()}'"
            r" and regexp_contains(query, r'\"node_id\": \"model\.marketplace\.(fct|int_orders__enriched)')"
        )
        return {row["name"] for row in found}

    assert_days_are_those_of_the_tables()
    add = "update `{prefix}raw`.orders set total_amount = total_amount + (%s) where id = 'order000'"
    warehouse.query(add % 1)
    since = datetime.now(UTC)
    written = rows_written(warehouse.dbt("run"))
    assert (written["int_orders__enriched"], written["fct_orders"]) == (1, 1)
    assert read_to_find_days(since) == {f"{name}__days" for name in FOLLOWED}
    assert_days_are_those_of_the_tables()
    # What else is written to tables is found in their rows: the days beside them no longer count.
    before = built_orders(warehouse)
    warehouse.query("delete from `{prefix}marts`.fct_orders where order_id = 'order001'")
    warehouse.query(add % -1)
    since = datetime.now(UTC)
    rows_written(warehouse.dbt("run"))
    assert read_to_find_days(since) == {f"{name}__days" for name in FOLLOWED} - {"fct_orders__days"} | {"fct_orders"}
    assert built_orders(warehouse).keys() == before.keys()
    assert_days_are_those_of_the_tables()


def test_marts_built_from_tables_out_of_step_are_set_right_by_the_next_run(warehouse: Any, build: Any) -> None:
    marts = ("fct_payment_reconciliation", "fct_order_items")

    def totals() -> list[Row]:
        return warehouse.query(
            "select (select sum(paid_usd) from `{prefix}marts`.fct_payment_reconciliation) as paid,"
            " (select sum(total_usd) from `{prefix}marts`.fct_order_items) as sold"
        )

    def add(amount: int) -> None:
        warehouse.query(f"update `{{prefix}}raw`.payments set amount = amount + {amount} where true")
        warehouse.query(f"update `{{prefix}}raw`.order_items set total_price = total_price + {amount} where true")

    before = totals()
    add(1)
    rows_written(
        warehouse.dbt("run", "--select", "int_payments__deduplicated", "int_payments__usd", "int_order_items__usd")
    )
    # not what else these are made of, the enriched orders and the tiered items
    days = json.dumps({"rebuild_from": "2026-01-01", "rebuild_to": "2026-12-31"})
    assert rows_written(warehouse.dbt("run", "--select", *marts, "--vars", days)).keys() == set(marts)
    assert totals() != before
    add(-1)
    rows_written(warehouse.dbt("run"))
    assert totals() == before


def test_what_changed_is_built_again_and_what_is_behind_it(warehouse: Any, build: Any, project_copy: Path) -> None:
    models = ("int_categories__rooted", "dim_categories", "int_currency__daily_rates", "dim_seller_tiers")
    select = ("run", "--select", "staging", *models)
    # a raw table that was written to, and rows of a seed
    warehouse.query("update `{prefix}raw`.categories set slug = 'homes' where id = 1")
    warehouse.query("update `{prefix}seeds`.exchange_rates set usd_rate = 2 * usd_rate where currency = 'CHF'")
    data = {"int_categories__rooted", "dim_categories", "int_currency__daily_rates"}
    assert rows_written(warehouse.dbt(*select)).keys() == data
    warehouse.query("update `{prefix}seeds`.exchange_rates set usd_rate = usd_rate / 2 where currency = 'CHF'")
    # a macro behind a view, and a model's own code
    replace(project_copy, "clean_text.sql", "nullif(trim({{ column }}), '')", "nullif(rtrim({{ column }}), '')")
    replace(project_copy, "dim_seller_tiers.sql", "    tier,", "    upper(tier) as tier,")
    changed = rows_written(warehouse.dbt(*select, project=project_copy)).keys()
    assert changed == data | {"dim_seller_tiers"}
    assert rows_written(warehouse.dbt("run", "--full-refresh", "--select", "dim_seller_tiers"))
    # an incremental model's code: all of its rows are new
    replace(project_copy, "fct_orders.sql", "    order_number,", "    lower(order_number) as order_number,")
    changed = rows_written(warehouse.dbt("run", "--select", "fct_orders", project=project_copy))
    assert changed == {"fct_orders": len(built_orders(warehouse))}
    assert built_orders(warehouse)["order000"]["order_number"] == "ord-order000"
    assert rows_written(warehouse.dbt("run", "--select", "fct_orders")) == changed
    # its contract
    processed_at = "name: processed_at, data_type: "
    replace(project_copy, "_finance__models.yml", f"{processed_at}timestamp", f"{processed_at}date")
    run = warehouse.dbt("run", "--select", "fct_payments", project=project_copy)
    assert run.named("error") == {"fct_payments"}


def test_each_unit_test_goes_red_on_the_naive_query(warehouse: Any, build: Any, project_copy: Path) -> None:
    unit_tests = {name: result["unique_id"] for name, result in build.results.items()}
    unit_tests = {name: unique_id for name, unique_id in unit_tests.items() if unique_id.startswith("unit_test.")}
    assert {name for cases in ROUNDS for name, *_ in cases} == unit_tests.keys()
    for cases in ROUNDS:
        before = {path: path.read_text() for _, file, *_ in cases for path in project_copy.rglob(file)}
        for _, file, rule, naive in cases:
            replace(project_copy, file, rule, naive)
        models = {unit_tests[name].split(".")[2] for name, *_ in cases}
        run = warehouse.dbt("test", "--select", *(f"{model},test_type:unit" for model in models), project=project_copy)
        assert run.named("error") == set(), run.output
        assert {name for name, *_ in cases} <= run.named("fail"), run.output
        for path, text in before.items():
            path.write_text(text)


def late_payment(raw: Raw) -> None:
    raw["payments"].append(raw["payments"][5] | {"id": "late", "event_id": "late", "status": "completed"})


def corrected_payment(raw: Raw) -> None:
    replayed = next(row for row in raw["payments"] if row["status"] == "completed" and row["order_id"] != "not_arrived")
    raw["payments"].append(replayed | {"id": "replay", "status": "refunded", "event_timestamp": EXTRACTED})


def changed_item(raw: Raw) -> None:
    raw["order_items"][7]["total_price"] += 5


def late_order(raw: Raw) -> None:
    raw["orders"].append(raw["orders"][0] | {"id": "late", "order_number": "ORD-late", "created_at": BEFORE_ALL})


def changed_status(raw: Raw) -> None:
    order = next(order for order in raw["orders"] if order["status"] == "shipped")
    order["status"] = "refunded"


def country_filled_in(raw: Raw) -> None:
    for user in raw["users"]:
        user["country_code"] = text(user["country_code"]) or "AU"


def vanished_order(raw: Raw) -> None:
    gone = raw["orders"].pop(40)["id"]
    raw["order_items"] = [item for item in raw["order_items"] if item["order_id"] != gone]


EXTRACTED = datetime(2026, 6, 30, 3, tzinfo=UTC)
BEFORE_ALL = datetime(2025, 12, 31, 23, 59, tzinfo=UTC)
CHANGES: list[Callable[[Raw], None]] = [
    late_payment, corrected_payment, changed_item, late_order, changed_status, country_filled_in, vanished_order,
]  # fmt: skip


def test_late_and_changed_rows_update_their_orders_and_no_others(warehouse: Any, build: Any, raw: Raw) -> None:
    before = expected_orders(raw)
    for change in CHANGES:
        earlier = expected_orders(raw)
        change(raw)
        assert expected_orders(raw) != earlier, f"{change.__name__} changed nothing"
    after = expected_orders(raw)
    warehouse.load(raw, ("users", "orders", "order_items", "payments"))

    run = warehouse.dbt("run")

    assert run.exit_status == 0, run.output
    assert_marts_are_as_expected(warehouse, raw)
    differing = {order_id for order_id in before | after if before.get(order_id) != after.get(order_id)}
    assert run.results["fct_orders"]["adapter_response"]["rows_affected"] == len(differing)
