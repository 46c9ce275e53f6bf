"""Gates go red, and hold back what is downstream, when models or seeds are broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dbt_mutations import replace

Row = dict[str, Any]


@pytest.fixture(scope="module")
def loaded(warehouse: Any, raw: dict[str, list[Row]]) -> Any:
    warehouse.load(raw)
    return warehouse


def build(warehouse: Any, project: Path, models: tuple[str, ...], beyond: tuple[str, ...] = ()) -> Any:
    """Build ``models`` and all they depend on with their gates, no other tests, and go on to the models ``beyond``."""
    kinds = ("resource_type:model", "resource_type:seed", "tag:gate")
    select = [f"+{model},{kind}" for model in models for kind in kinds]
    arguments = ("--exclude-resource-type", "unit_test", "--select", *select, *beyond)
    run = warehouse.dbt("build", *arguments, project=project)
    assert run.exit_status == 1, run.output
    return run


def without_rates(project: Path, *line_starts: str) -> None:
    seed = project / "seeds" / "exchange_rates.csv"
    lines = seed.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(line_starts)]
    assert len(kept) < len(lines)
    seed.write_text("".join(kept))


# Payments, seller tiers and currencies do not depend on one another up to here: one run judges a fault in each.


def test_broken_rules_turn_the_gate_of_their_own_branch_red(loaded: Any, project_copy: Path) -> None:
    # no deduplication
    replace(
        project_copy,
        "int_payments__deduplicated.sql",
        "qualify row_number() over",
        "qualify 1 = 1 or row_number() over",
    )
    # the source's own ends are trusted
    replace(
        project_copy,
        "int_seller_tiers__scd2.sql",
        "coalesce(neighbours.next_effective_from, neighbours.effective_to, users.deleted_at)",
        "coalesce(neighbours.effective_to, neighbours.next_effective_from, users.deleted_at)",
    )
    # two months' rates are missing, of a currency in use and of one that is not
    without_rates(project_copy, "EUR,2025-12", "EUR,2026-01")
    seed = project_copy / "seeds" / "exchange_rates.csv"
    seed.write_text(seed.read_text() + "HRK,2022-12-01,0.14\n")

    run = build(
        loaded,
        project_copy,
        ("int_payments__deduplicated", "int_seller_tiers__scd2", "int_currency__daily_rates"),
        beyond=("int_payments__usd", "int_orders__usd"),
    )

    assert run.named("fail") >= {
        "gate_payments__event_id_unique",
        "gate_payments__every_row_kept_or_counted",
        "gate_payments__money_is_whole",
        "gate_seller_tiers__intervals_are_whole",
        "gate_currency__rates_are_fresh",
    }
    assert run.named("skipped") >= {"int_payments__usd", "int_orders__usd"}
    faults = loaded.query("select distinct fault from `{prefix}test_failures`.gate_seller_tiers__intervals_are_whole")
    assert {row["fault"] for row in faults} >= {"overlap", "hole"}
    stale = loaded.query("select distinct currency from `{prefix}test_failures`.gate_currency__rates_are_fresh")
    assert stale == [{"currency": "EUR"}]


def test_lost_sellers_and_unknown_currencies_turn_their_gates_red(loaded: Any, project_copy: Path) -> None:
    replace(
        project_copy,
        "int_seller_tiers__scd2.sql",
        "left join users",
        "inner join (select * from users where user_id <> 'user01') as users",
    )
    without_rates(project_copy, "KRW")

    run = build(loaded, project_copy, ("int_seller_tiers__scd2", "int_orders__usd"), beyond=("int_order_items__usd",))

    # rows still agree, and an unknown currency is no dollars on both sides of the sum: not-null is the one to fail
    assert run.named("fail") == {"gate_seller_tiers__every_seller_is_covered", "gate_currency__orders_have_usd"}
    assert run.status("int_order_items__usd") == "skipped"


def test_the_rate_of_the_next_month_turns_the_currency_gate_red(loaded: Any, project_copy: Path) -> None:
    replace(
        project_copy,
        "int_currency__daily_rates.sql",
        "        usd_rate,\n        valid_from",
        "        lead(usd_rate) over (partition by currency order by valid_from) as usd_rate,\n        valid_from",
    )
    run = build(loaded, project_copy, ("int_orders__usd",))
    assert run.named("fail") == {"gate_currency__orders_usd_agrees"}


def test_doubled_items_and_totals_turn_the_marts_gates_red_and_the_failing_rows_can_be_printed(
    loaded: Any, project_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replace(project_copy, "int_orders__enriched.sql", "sum(gmv_usd) as gmv_usd", "sum(2 * gmv_usd) as gmv_usd")
    total = "    located.total_amount,"
    replace(project_copy, "int_orders__usd.sql", total, "    2 * located.total_amount as total_amount,")
    run = build(loaded, project_copy, ("fct_orders",), beyond=("fct_daily_sales",))
    gate = "gate_marts__order_totals_add_up"
    assert run.named("fail") == {gate, "gate_marts__orders_gmv_agrees_with_items"}
    assert run.status("fct_daily_sales") == "skipped"

    printed = loaded.dbt("run-operation", "print_failures", "--args", f"{{limit: 3, test: {gate}}}")
    assert printed.exit_status == 0, printed.output
    assert f"{gate}: {run.results[gate]['failures']} failing rows, in " in capsys.readouterr().out


def test_shifted_intervals_turn_the_tier_gate_red(loaded: Any, project_copy: Path) -> None:
    replace(
        project_copy,
        "int_seller_tiers__scd2.sql",
        "neighbours.effective_from as valid_from",
        "timestamp_add(neighbours.effective_from, interval 1 day) as valid_from",
    )
    run = build(loaded, project_copy, ("int_seller_tiers__scd2",), beyond=("dim_seller_tiers",))
    assert run.named("fail") == {
        "gate_seller_tiers__intervals_are_whole",
        "gate_seller_tiers__every_seller_is_covered",
    }
    assert run.status("dim_seller_tiers") == "skipped"


def test_a_datetime_that_is_no_instant_and_a_missing_key_break_their_contracts(loaded: Any, project_copy: Path) -> None:
    replace(
        project_copy, "stg_marketplace__orders.sql", "timestamp(confirmed_at, 'UTC') as confirmed_at", "confirmed_at"
    )
    replace(project_copy, "dim_categories.sql", "    category_id,", "    nullif(category_id, 1) as category_id,")
    path = ("stg_marketplace__orders", "int_orders__usd", "int_orders__enriched", "fct_orders")
    categories = ("stg_marketplace__categories", "int_categories__rooted", "dim_categories")
    run = loaded.dbt("run", "--select", *path, *categories, project=project_copy)
    assert run.named("error") == {"fct_orders", "dim_categories"}
    assert "confirmed_at" in run.results["fct_orders"]["message"]
    assert "DATETIME" in run.results["fct_orders"]["message"]
    assert "category_id" in run.results["dim_categories"]["message"]


def test_an_order_that_did_not_come_with_the_next_sync_turns_its_gate_red(loaded: Any, project_copy: Path) -> None:
    loaded.query(
        "update `{prefix}raw`.order_items set created_at = timestamp '2026-06-29 23:59:59.999999+00'"
        " where order_id = 'not_arrived'"
    )
    run = build(loaded, project_copy, ("int_orders__enriched",), beyond=("fct_orders",))
    assert run.named("fail") == {"gate_orders__none_is_missing"}
    assert run.status("fct_orders") == "skipped"
    [missing] = loaded.query("select * from `{prefix}test_failures`.gate_orders__none_is_missing")
    assert (missing["found_in"], missing["order_id"]) == ("stg_marketplace__order_items", "not_arrived")


#: gate → the table it judges, and the columns that it holds
HELD: dict[str, tuple[str, tuple[str, ...]]] = {
    "gate_payments__money_is_whole": (
        "intermediate.int_payments__deduplicated", ("amount", "platform_fee", "seller_payout"),
    ),
    "gate_currency__payments_usd_agrees": (
        "intermediate.int_payments__usd", ("amount_usd", "platform_fee_usd", "seller_payout_usd"),
    ),
    "gate_marts__payments_agree_with_events": (
        "marts.fct_payments", ("amount_usd", "platform_fee_usd", "seller_payout_usd", "duplicate_count"),
    ),
    "gate_marts__reconciliation_agrees_with_payments": (
        "marts.fct_payment_reconciliation",
        ("paid_usd", "refunded_usd", "platform_fee_usd", "seller_payout_usd", "duplicate_events_removed"),
    ),
    "gate_marts__reconciliation_agrees_with_orders": (
        "marts.fct_payment_reconciliation", ("order_total_usd", "paid_usd", "difference_usd"),
    ),
    "gate_marts__orders_agree_with_enriched": ("marts.fct_orders", ("total_usd", "paid_usd")),
    "gate_marts__orders_gmv_agrees_with_items": (
        "marts.fct_orders", ("gmv_usd", "net_gmv_usd", "item_count", "units"),
    ),
    "gate_marts__order_items_agree_with_items": (
        "marts.fct_order_items", ("total_usd", "gmv_usd", "net_gmv_usd", "quantity"),
    ),
    "gate_marts__daily_sales_gmv_agrees_with_orders": ("marts.fct_daily_sales", ("gmv_usd", "net_gmv_usd", "units")),
    "gate_marts__seller_gmv_agrees_with_items": (
        "marts.fct_seller_performance", ("gmv_usd", "net_gmv_usd", "units", "lifetime_gmv_usd"),
    ),
    "gate_marts__cohort_gmv_agrees_with_orders": ("marts.fct_customer_cohorts", ("gmv_usd", "orders")),
}  # fmt: skip


def test_a_wrong_sum_of_any_column_turns_its_gate_red(loaded: Any) -> None:
    """The tables are changed by hand, which builds do not notice: no test may follow in this file."""
    run = loaded.dbt("run")
    assert run.exit_status == 0, run.output
    columns: dict[str, set[str]] = {}
    for table, held in HELD.values():
        columns.setdefault(table, set()).update(held)
    # By another amount in each table, or two that are compared would agree again. But GMV is wrong alike in the items
    # and in the orders made of them, as when an order counts that should not.
    amounts = {table: amount for amount, table in enumerate(columns, start=1)}
    columns["intermediate.int_order_items__usd"] = {"gmv_usd", "net_gmv_usd"}
    amounts["intermediate.int_order_items__usd"] = amounts["marts.fct_orders"]
    for table, changed in columns.items():
        dataset, name = table.split(".")
        sums = ", ".join(f"{column} = coalesce({column}, 0) + {amounts[table]}" for column in sorted(changed))
        loaded.query(f"update `{{prefix}}{dataset}`.{name} set {sums} where true")
    for mart in ("fct_orders", "fct_payment_reconciliation"):
        loaded.query(f"delete from `{{prefix}}marts`.{mart} where order_id = 'order000'")
    # whatever it is worth, a payment must not be lost on its way to its order
    loaded.query("update `{prefix}intermediate`.int_payments__deduplicated set order_id = null where amount < 50")
    loaded.query("update `{prefix}marts`.fct_customer_cohorts set retention_rate = 0.99 where retention_rate = 1")

    run = loaded.dbt("test", "--select", "tag:gate", "cohorts_begin_whole")

    assert run.named("fail") >= HELD.keys() | {"cohorts_begin_whole"}
    rows = ("gate_marts__reconciliation_agrees_with_orders", "gate_marts__orders_agree_with_enriched")
    for gate, (_, held) in HELD.items():
        wanted = (*held, "row_count") if gate in rows else held
        counts = ", ".join(
            f"countif(found_{column} is distinct from expected_{column}) as {column}" for column in wanted
        )
        [wrong] = loaded.query(f"select {counts} from `{{prefix}}test_failures`.{gate}")
        assert all(wrong.values()), (gate, wrong)
    [lost] = loaded.query(
        "select count(*) as n from `{prefix}test_failures`.gate_payments__money_is_whole where order_id is null"
    )
    assert lost["n"]
