"""The marts' headline numbers, asked of the warehouse itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from google.auth.credentials import AnonymousCredentials, Credentials
from google.cloud import bigquery
from google.oauth2 import service_account

from local_stack.settings import Settings

_ORDERS = """
SELECT COUNT(*) AS orders, MIN(order_date) AS first_date, MAX(order_date) AS last_date,
       COUNT(DISTINCT buyer_id) AS buyers, SUM(gmv_usd) AS gmv_usd, SUM(net_gmv_usd) AS net_gmv_usd
FROM marts.fct_orders
"""
_REGIONS = "SELECT region, SUM(gmv_usd) AS gmv_usd FROM marts.fct_daily_sales GROUP BY region ORDER BY gmv_usd DESC"
_PAYMENTS = """
SELECT COUNT(*) AS events, SUM(duplicate_count) AS removed, COUNTIF(has_conflicting_duplicates) AS conflicting
FROM intermediate.int_payments__deduplicated
"""
_TIERS = """
SELECT tier, COUNT(*) AS sellers FROM intermediate.int_seller_tiers__scd2 WHERE is_current
GROUP BY tier ORDER BY sellers DESC
"""


def client(settings: Settings) -> bigquery.Client:
    """A client of the warehouse: the emulator, or Google with a key or the default credentials."""
    endpoint = settings.bigquery.url
    credentials: Credentials | None = None
    if endpoint:
        credentials = AnonymousCredentials()
    elif key := settings.get("BIGQUERY_CREDENTIALS_JSON"):
        credentials = service_account.Credentials.from_service_account_info(json.loads(key))
    return bigquery.Client(
        settings.bigquery_project,
        credentials=credentials,
        location=settings.bigquery_location,
        client_options={"api_endpoint": endpoint} if endpoint else None,
    )


def headlines(warehouse: bigquery.Client) -> Iterator[tuple[str, str]]:
    """Label and value of each headline number, as a person reads them."""
    (orders,) = _rows(warehouse, _ORDERS)
    if not orders.orders:
        yield "Orders", "none yet"
        return
    yield "Orders", f"{orders.orders:,} by {orders.buyers:,} buyers, {orders.first_date} to {orders.last_date}"
    yield "GMV", f"{_usd(orders.gmv_usd)} ({_usd(orders.net_gmv_usd)} without refunded orders)"
    yield "GMV by region", " · ".join(f"{row.region} {_usd(row.gmv_usd)}" for row in _rows(warehouse, _REGIONS))
    (payments,) = _rows(warehouse, _PAYMENTS)
    yield (
        "Payments",
        f"{payments.events:,} events; {payments.removed or 0:,} duplicates removed, "
        f"{payments.conflicting:,} events with conflicting duplicates",
    )
    yield "Sellers by tier", " · ".join(f"{row.tier} {row.sellers:,}" for row in _rows(warehouse, _TIERS))


def _rows(warehouse: bigquery.Client, query: str) -> list[Any]:
    return list(warehouse.query_and_wait(query))


def _usd(amount: Decimal | None) -> str:
    return f"${amount or 0:,.2f}"
