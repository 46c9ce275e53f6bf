"""The rules of the models in plain Python: what they must make of raw rows."""

from __future__ import annotations

import csv
from collections import defaultdict
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Raw = dict[str, list[Row]]

SEEDS = Path(__file__).resolve().parents[2] / "dbt" / "seeds"
GMV = {"confirmed", "processing", "shipped", "delivered", "refunded"}
CENT = Decimal("0.01")
EARLIEST = datetime.min.replace(tzinfo=UTC)


def seed_rows(name: str) -> list[dict[str, str]]:
    with (SEEDS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


RATES = sorted((row["currency"], row["valid_from"], Decimal(row["usd_rate"])) for row in seed_rows("exchange_rates"))
REGIONS = {row["country_code"]: row["region"] for row in seed_rows("country_regions")}


def text(value: str | None) -> str | None:
    return (value or "").strip() or None


def usd(amount: Decimal | None, currency: str, day: str) -> Decimal | None:
    rate = [rate for code, valid_from, rate in RATES if code == currency and valid_from <= day][-1]
    return None if amount is None else (amount * rate).quantize(CENT, ROUND_HALF_UP)


def expected_payments(raw: Raw) -> dict[str, Row]:
    """Kept payment row of each event → duplicate_count, first_event_at, has_conflicting_duplicates."""
    events: dict[Any, list[Row]] = defaultdict(list)
    for payment in raw["payments"]:
        events[text(payment["event_id"]) or ("no event", payment["id"])].append(payment)
    kept = {}
    for rows in events.values():
        rows.sort(key=lambda row: (row["event_timestamp"], row["processed_at"] or EARLIEST, row["id"]))
        kept[rows[-1]["id"]] = rows[-1] | {
            "duplicate_count": len(rows) - 1,
            "first_event_at": rows[0]["event_timestamp"],
            "has_conflicting_duplicates": len({(r["amount"], r["currency"], r["order_id"]) for r in rows}) > 1,
        }
    return kept


def expected_tiers(raw: Raw) -> set[tuple[Any, ...]]:
    """(seller, tier, valid_from, valid_to, gap filled, overlap trimmed, previous tier) of each interval."""
    deleted_at = {user["id"]: user["deleted_at"] for user in raw["users"]}
    histories: dict[str, dict[datetime, Row]] = defaultdict(dict)
    for row in sorted(raw["seller_tier_history"], key=lambda row: row["id"]):
        histories[row["user_id"]][row["effective_from"]] = row
    intervals = set()
    for seller, by_start in histories.items():
        rows = [by_start[start] for start in sorted(by_start)]
        for index, row in enumerate(rows):
            start, own_end = row["effective_from"], row["effective_to"]
            is_last = index == len(rows) - 1
            end = (own_end or deleted_at[seller]) if is_last else rows[index + 1]["effective_from"]
            if end is not None and end <= start:
                continue
            gap = not is_last and own_end is not None and own_end < end
            overlap = not is_last and (own_end is None or own_end > end)
            previous = rows[index - 1]["tier"] if index else None
            intervals.add((seller, row["tier"], start, end, gap, overlap, previous))
    return intervals


def expected_orders(raw: Raw) -> dict[str, Row]:
    """The columns of fct_orders that rules decide, by order_id."""
    country = {user["id"]: text(user["country_code"]) for user in raw["users"]}
    orders: dict[str, Row] = {}
    previous_orders: dict[str, int] = defaultdict(int)
    for order in sorted(raw["orders"], key=lambda order: (order["created_at"], order["id"])):
        code = text(order["shipping_country"]) or country.get(order["buyer_id"])
        previous_orders[order["buyer_id"]] += 1
        orders[order["id"]] = {
            "order_number": order["order_number"],
            "status": order["status"],
            "is_gmv": order["status"] in GMV,
            "ordered_at": order["created_at"],
            "order_date": order["created_at"].date(),
            "confirmed_at": order["confirmed_at"].replace(tzinfo=UTC),
            "region": REGIONS.get(code, "Other") if code else "Unknown",
            "total_usd": usd(order["total_amount"], order["currency"], str(order["created_at"].date())),
            "gmv_usd": Decimal(0),
            "net_gmv_usd": Decimal(0),
            "paid_usd": Decimal(0),
            "payment_status": "none",
            "item_count": 0,
            "units": 0,
            "seller_count": 0,
            "buyer_order_number": previous_orders[order["buyer_id"]],
        }
    sellers = defaultdict(set)
    for item in raw["order_items"]:
        if (order := orders.get(item["order_id"])) is None:
            continue
        amount = usd(item["total_price"], item["currency"], str(order["order_date"]))
        order["gmv_usd"] += amount if order["is_gmv"] else 0
        order["net_gmv_usd"] += amount if order["is_gmv"] and order["status"] != "refunded" else 0
        order["item_count"] += 1
        order["units"] += item["quantity"]
        sellers[item["order_id"]].add(item["seller_id"])
        order["seller_count"] = len(sellers[item["order_id"]])
    latest_first = sorted(
        expected_payments(raw).values(),
        key=lambda row: (row["event_timestamp"], row["processed_at"] or EARLIEST, row["id"]),
        reverse=True,
    )
    for payment in latest_first:
        if (order := orders.get(payment["order_id"])) is None:
            continue
        if order["payment_status"] == "none":
            order["payment_status"] = payment["status"]
        if payment["status"] == "completed":
            order["paid_usd"] += usd(payment["amount"], payment["currency"], str(order["order_date"]))
    return orders


def expected_daily_sales(raw: Raw) -> dict[tuple[Any, ...], Row]:
    """(order_date, region, category) → the measures of fct_daily_sales."""
    roots = {1: "Home", 2: "Home", 3: "Home", 4: "Books", 5: "Hen", 6: "Egg", None: "Uncategorized"}
    category = {product["id"]: roots[product["category_id"]] for product in raw["products"]}
    buyer = {order["id"]: order["buyer_id"] for order in raw["orders"]}
    orders = expected_orders(raw)
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for item in raw["order_items"]:
        order = orders.get(item["order_id"])
        if order and order["is_gmv"]:
            groups[order["order_date"], order["region"], category[item["product_id"]]].append(item)
    sales = {}
    for key, items in groups.items():
        order_ids = {item["order_id"] for item in items}
        amounts = [(item["order_id"], usd(item["total_price"], item["currency"], str(key[0]))) for item in items]
        gmv = sum(amount for _, amount in amounts)
        sales[key] = {
            "orders": len(order_ids),
            "units": sum(item["quantity"] for item in items),
            "buyers": len({buyer[order_id] for order_id in order_ids}),
            "gmv_usd": gmv,
            "net_gmv_usd": sum(amount for order_id, amount in amounts if orders[order_id]["status"] != "refunded"),
            "aov_usd": (gmv / len(order_ids)).quantize(Decimal("1e-9"), ROUND_HALF_UP),
        }
    return sales
