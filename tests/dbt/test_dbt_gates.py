"""Gates go red, and hold back what is downstream, when a model or a seed is broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

Row = dict[str, Any]


def replace(project: Path, file: str, old: str, new: str) -> None:
    path = next(project.rglob(file))
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{file} no longer holds {old!r}: adapt this mutation"
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture(scope="module")
def loaded(warehouse: Any, raw: dict[str, list[Row]]) -> Any:
    warehouse.load(raw)
    return warehouse


def build(warehouse: Any, project: Path, model: str, *beyond: str) -> Any:
    """Build ``model`` and all it depends on with their gates, no other tests, and go on to the models ``beyond``."""
    select = [f"+{model},{kind}" for kind in ("resource_type:model", "resource_type:seed", "tag:gate")]
    arguments = ("--exclude-resource-type", "unit_test", "--select", *select, *beyond)
    run = warehouse.dbt("build", *arguments, project=project)
    assert run.exit_status == 1, run.output
    return run


def test_dropping_the_deduplication_turns_the_payment_gate_red(loaded: Any, project_copy: Path) -> None:
    replace(
        project_copy,
        "int_payments__deduplicated.sql",
        "qualify row_number() over",
        "qualify 1 = 1 or row_number() over",
    )
    run = build(loaded, project_copy, "int_payments__deduplicated", "int_payments__usd")
    assert run.named("fail") == {
        "gate_payments__event_id_unique",
        "gate_payments__every_row_kept_or_counted",
        "gate_payments__completed_money_is_whole",
    }
    assert run.status("int_payments__usd") == "skipped"


def test_trusting_the_sources_own_ends_turns_the_seller_tier_gate_red(loaded: Any, project_copy: Path) -> None:
    replace(
        project_copy,
        "int_seller_tiers__scd2.sql",
        "coalesce(next_effective_from, effective_to, users.deleted_at)",
        "coalesce(effective_to, next_effective_from, users.deleted_at)",
    )
    run = build(loaded, project_copy, "int_seller_tiers__scd2")
    assert "gate_seller_tiers__intervals_are_whole" in run.named("fail")
    faults = loaded.query("select distinct fault from `{prefix}test_failures`.gate_seller_tiers__intervals_are_whole")
    assert {row["fault"] for row in faults} >= {"overlap", "hole"}


def test_losing_a_seller_turns_the_seller_tier_gate_red(loaded: Any, project_copy: Path) -> None:
    replace(
        project_copy,
        "int_seller_tiers__scd2.sql",
        "left join users",
        "inner join (select * from users where user_id <> 'user01') as users",
    )
    run = build(loaded, project_copy, "int_seller_tiers__scd2")
    assert run.named("fail") == {"gate_seller_tiers__every_seller_is_covered"}


def test_a_missing_month_of_rates_turns_the_currency_gate_red(loaded: Any, project_copy: Path) -> None:
    seed = project_copy / "seeds" / "exchange_rates.csv"
    lines = seed.read_text().splitlines(keepends=True)
    seed.write_text("".join(line for line in lines if not line.startswith(("EUR,2025-12", "EUR,2026-01"))))
    run = build(loaded, project_copy, "int_currency__daily_rates", "int_orders__usd")
    assert run.named("fail") == {"gate_currency__rates_are_fresh"}
    assert run.status("int_orders__usd") == "skipped"


def test_a_currency_without_rates_turns_the_currency_gate_red(loaded: Any, project_copy: Path) -> None:
    seed = project_copy / "seeds" / "exchange_rates.csv"
    lines = seed.read_text().splitlines(keepends=True)
    seed.write_text("".join(line for line in lines if not line.startswith("KRW")))
    run = build(loaded, project_copy, "int_orders__usd", "int_order_items__usd")
    # the row counts still agree and an unknown currency is no dollars on both sides: the not-null gate is the one
    assert run.named("fail") == {"gate_currency__orders_have_usd"}
    assert run.status("int_order_items__usd") == "skipped"


def test_the_rate_of_the_next_month_turns_the_currency_gate_red(loaded: Any, project_copy: Path) -> None:
    replace(
        project_copy,
        "int_currency__daily_rates.sql",
        "        usd_rate,\n        valid_from",
        "        lead(usd_rate) over (partition by currency order by valid_from) as usd_rate,\n        valid_from",
    )
    run = build(loaded, project_copy, "int_orders__usd")
    assert run.named("fail") == {"gate_currency__orders_usd_agrees"}


def test_doubled_items_turn_the_marts_gate_red(loaded: Any, project_copy: Path) -> None:
    replace(project_copy, "int_orders__enriched.sql", "sum(gmv_usd) as gmv_usd", "sum(2 * gmv_usd) as gmv_usd")
    run = build(loaded, project_copy, "fct_orders", "fct_daily_sales")
    assert run.named("fail") == {"gate_marts__orders_gmv_agrees_with_items"}
    assert run.status("fct_daily_sales") == "skipped"
