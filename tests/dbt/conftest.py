"""A raw dataset full of planted faults, and the dbt command line run against the emulator on it."""

from __future__ import annotations

import json
import random
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from dbt_cli import dbt
from google.cloud import bigquery

DBT_PROJECT = Path(__file__).resolve().parents[2] / "dbt"
DATASETS = ("raw", "staging", "intermediate", "marts", "seeds", "snapshots", "test_failures")

Row = dict[str, Any]
Raw = dict[str, list[Row]]

AIRBYTE_COLUMNS = (
    "_airbyte_raw_id STRING, _airbyte_extracted_at TIMESTAMP, _airbyte_meta JSON, _airbyte_generation_id INT64,"
    " _ab_cdc_deleted_at STRING"
)
#: As change data capture brings them, with deletions marked. (Without: test_dbt_against_source.py.)
RAW_COLUMNS = {
    "users": "id STRING, email STRING, username STRING, user_type STRING, first_name STRING, last_name STRING,"
    " country_code STRING, seller_tier STRING, seller_rating NUMERIC, created_at TIMESTAMP, updated_at TIMESTAMP,"
    " deleted_at TIMESTAMP, is_active BOOL",
    "categories": "id INT64, name STRING, slug STRING, parent_id INT64, level INT64, is_active BOOL,"
    " created_at TIMESTAMP",
    "products": "id STRING, seller_id STRING, category_id INT64, title STRING, description STRING,"
    " price_amount NUMERIC, price_currency STRING, quantity_available INT64, status STRING, tags JSON,"
    " attributes STRING, created_at TIMESTAMP, updated_at TIMESTAMP, published_at TIMESTAMP",
    "orders": "id STRING, order_number STRING, buyer_id STRING, status STRING, subtotal_amount NUMERIC,"
    " shipping_amount NUMERIC, tax_amount NUMERIC, discount_amount NUMERIC, total_amount NUMERIC, currency STRING,"
    " shipping_country STRING, shipping_city STRING, shipping_postal_code STRING, created_at TIMESTAMP,"
    " updated_at TIMESTAMP, confirmed_at DATETIME, shipped_at TIMESTAMP, delivered_at TIMESTAMP",
    "order_items": "id STRING, order_id STRING, product_id STRING, seller_id STRING, quantity INT64,"
    " unit_price NUMERIC, total_price NUMERIC, currency STRING, product_title STRING, product_snapshot STRING,"
    " created_at TIMESTAMP",
    "payments": "id STRING, order_id STRING, payment_provider STRING, payment_provider_id STRING, amount NUMERIC,"
    " currency STRING, platform_fee NUMERIC, seller_payout NUMERIC, status STRING, created_at TIMESTAMP,"
    " processed_at TIMESTAMP, event_id STRING, event_timestamp TIMESTAMP",
    "reviews": "id STRING, product_id STRING, order_item_id STRING, reviewer_id STRING, rating INT64, title STRING,"
    " body STRING, is_verified_purchase BOOL, helpful_votes INT64, status STRING, moderated_at TIMESTAMP,"
    " created_at TIMESTAMP, updated_at TIMESTAMP",
    "seller_tier_history": "id INT64, user_id STRING, tier STRING, effective_from TIMESTAMP, effective_to TIMESTAMP,"
    " is_current BOOL, change_reason STRING, created_at TIMESTAMP",
    "event_log": "id INT64, event_type STRING, entity_type STRING, entity_id STRING, event_data STRING,"
    " event_timestamp TIMESTAMP, received_at TIMESTAMP, processed BOOL",
}
CURRENCIES = ("USD", "EUR", "GBP", "JPY", "KRW")
STATUSES = ("pending", "confirmed", "processing", "shipped", "delivered", "cancelled", "refunded")
EXTRACTED_AT = datetime(2026, 6, 30, 3, tzinfo=UTC)


def instant(day: int, hour: int = 0, minute: int = 0) -> datetime:
    """That time of the ``day``-th day from 2026-01-01."""
    return datetime(2026, 1, 1, hour, minute, tzinfo=UTC) + timedelta(days=day)


def money(rng: random.Random) -> Decimal:
    return Decimal(rng.randint(1, 50000)) / 100


def make_raw(seed: int) -> Raw:
    """The nine raw tables, without Airbyte's columns. Values come from so few that ties and collisions are common."""
    rng = random.Random(seed)
    raw: Raw = {table: [] for table in RAW_COLUMNS}
    raw["categories"] = [
        {"id": number, "name": name, "slug": name.lower(), "parent_id": parent}
        for number, name, parent in [
            (1, "Home", None), (2, "Kitchen", 1), (3, "Pans", 2), (4, "Books", None), (5, "Hen", 6), (6, "Egg", 5),
        ]
    ]  # fmt: skip
    raw["users"] = [
        {
            "id": f"user{number:02}",
            "email": f" u{number}@example.org",
            "user_type": "both",
            "country_code": rng.choice(["DE", "JP", "US", "NA", "XX", "", None]),
            "created_at": instant(0),
            "updated_at": instant(0),
            "deleted_at": instant(rng.randint(5, 60)) if number % 4 == 0 else None,
            "is_active": number % 4 != 0,
        }
        for number in range(24)
    ]
    raw["products"] = [
        {
            "id": f"product{number:02}",
            "seller_id": f"user{rng.randrange(24):02}",
            "category_id": rng.choice([1, 2, 3, 4, 5, None]),
            "title": 'a "quoted" 🍳 title',
            "tags": json.dumps(["a", None]),
            "created_at": instant(0),
            "updated_at": datetime(2099, 1, 1, tzinfo=UTC) if number % 5 == 0 else instant(3),
        }
        for number in range(15)
    ]
    for number in range(120):
        raw["orders"].append(make_order(rng, f"order{number:03}"))
    raw["orders"][3]["total_amount"] += Decimal("0.01")
    for number in range(240):
        raw["order_items"].append(
            {
                "id": f"item{number:03}",
                "order_id": f"order{rng.randrange(110):03}" if number else "not_arrived",
                "product_id": f"product{rng.randrange(15):02}",
                "seller_id": f"user{rng.randrange(24):02}",
                "quantity": rng.randint(1, 4),
                "total_price": money(rng),
                "currency": rng.choice(CURRENCIES),
                "created_at": instant(60) if number else EXTRACTED_AT,
            }
        )
    for number in range(200):
        event = rng.randrange(60)
        raw["payments"].append(
            {
                "id": f"payment{number:03}",
                "order_id": f"order{event:03}" if number else "not_arrived",
                "event_id": rng.choice([None, "", *[f"event{event:02}"] * 8]),
                "amount": Decimal(rng.choice(["10.05", "10.05", "10.05", "99.99"])),
                "currency": CURRENCIES[event % 5] if rng.random() < 0.9 else "USD",
                "platform_fee": rng.choice([None, Decimal("0.35")]),
                "seller_payout": Decimal("9.70"),
                "status": rng.choice(["completed", "completed", "failed", "refunded"]),
                "event_timestamp": instant(rng.randint(0, 2)),
                "processed_at": rng.choice([None, instant(5), instant(6)]),
                "created_at": instant(60) if number else EXTRACTED_AT,
            }
        )
    for number in range(60):
        raw["seller_tier_history"].append(
            {
                "id": number,
                "user_id": f"user{rng.randrange(20):02}",
                "tier": rng.choice(["bronze", "silver", "gold", "platinum"]),
                "effective_from": instant(10 * rng.randint(0, 6)),
                "effective_to": rng.choice([None, instant(25), instant(70)]),
                "is_current": rng.choice([True, False]),
            }
        )
    raw["reviews"] = [
        {"id": f"review{number}", "rating": 5, "_ab_cdc_deleted_at": "2026-06-01T00:00:00Z" if number == 2 else None}
        for number in range(4)
    ]
    # ids 0 to 3 arrive twice, the second time processed; the second version of 3 is its deletion
    raw["event_log"] = [
        {
            "id": number % 8,
            "event_type": "order",
            "event_timestamp": instant(1),
            "processed": number >= 8,
            "_ab_cdc_deleted_at": "2026-06-01T00:00:00Z" if number == 11 else None,
        }
        for number in range(12)
    ]
    return raw


def make_order(rng: random.Random, order_id: str) -> Row:
    subtotal, shipping, tax, discount = (money(rng) for _ in range(4))
    return {
        "id": order_id,
        "order_number": f"ORD-{order_id}",
        "buyer_id": f"user{rng.randrange(24):02}",
        "status": rng.choice(STATUSES),
        "subtotal_amount": subtotal,
        "shipping_amount": shipping,
        "tax_amount": tax,
        "discount_amount": discount,
        "total_amount": subtotal + shipping + tax - discount,
        "currency": rng.choice(CURRENCIES),
        "shipping_country": rng.choice(["GB", "BR", "ZZ", " ", None]),
        # few instants, on both sides of midnight and of a month's end, so that buyers' orders tie
        "created_at": instant(rng.choice([29, 30, 58]), *rng.choice([(0, 0), (23, 59)])),
        "updated_at": instant(59),
        "confirmed_at": datetime(2026, 2, 1, 0, 30),
    }


class Warehouse:
    """One test's own set of datasets in the emulator, and the dbt project pointed at them."""

    def __init__(self, client: bigquery.Client, endpoint: str, folder: Path) -> None:
        self.client = client
        self.prefix = f"dbt_{uuid.uuid4().hex[:8]}_"
        self.folder = folder
        self.environment = {
            "BIGQUERY_API_ENDPOINT": endpoint,
            "BIGQUERY_PROJECT": client.project,
            "DBT_DATASET_PREFIX": self.prefix,
            "DBT_TARGET": "local",
        }
        client.create_dataset(f"{self.prefix}raw")

    def load(self, raw: Raw, tables: tuple[str, ...] = tuple(RAW_COLUMNS)) -> None:
        """Replace the raw tables by these rows, as a full refresh would."""
        for table in tables:
            fields = [column.split() for column in f"{AIRBYTE_COLUMNS}, {RAW_COLUMNS[table]}".split(",")]
            # in every table a row that was deleted at the source: no model may know of it
            key = "deleted" if isinstance(raw[table][0]["id"], str) else 1_000_000
            deleted = {**raw[table][0], "id": key, "_ab_cdc_deleted_at": "2026-06-01T00:00:00Z"}
            rows = [
                {"_airbyte_raw_id": f"{table}-{index:04}", "_airbyte_extracted_at": EXTRACTED_AT, **row}
                for index, row in enumerate([*raw[table], deleted])
            ]
            self.client.load_table_from_json(
                json.loads(json.dumps(rows, default=str)),
                f"{self.client.project}.{self.prefix}raw.{table}",
                job_config=bigquery.LoadJobConfig(
                    schema=[bigquery.SchemaField(name, kind) for name, kind in fields],
                    write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
                ),
            ).result()

    def query(self, sql: str) -> list[Row]:
        """Rows of a query in which ``{prefix}`` stands for the datasets' prefix."""
        return [dict(row) for row in self.client.query_and_wait(sql.replace("{prefix}", self.prefix))]

    def dbt(self, *arguments: str, project: Path = DBT_PROJECT) -> DbtRun:
        """Run a dbt command; its outcome is in the result, whether it succeeded or not."""
        target = self.folder / "target"
        (target / "run_results.json").unlink(missing_ok=True)
        exit_status, output = dbt(
            *arguments,
            *("--project-dir", project, "--profiles-dir", project, "--target-path", target),
            environment=self.environment,
            folder=self.folder,
        )
        results_file = target / "run_results.json"
        results = json.loads(results_file.read_text())["results"] if results_file.exists() else []
        return DbtRun(exit_status, output, {_name(result["unique_id"]): result for result in results})

    def drop(self) -> None:
        for dataset in DATASETS:
            self.client.delete_dataset(f"{self.prefix}{dataset}", delete_contents=True, not_found_ok=True)


def _name(unique_id: str) -> str:
    """``gate_x`` of ``test.marketplace.gate_x.0a1b2c``; unit tests end with their own name."""
    kind, _project, *rest = unique_id.split(".")
    return rest[-1] if kind == "unit_test" else rest[0]


@dataclass(frozen=True)
class DbtRun:
    exit_status: int
    output: str
    #: run_results.json's results by node name
    results: dict[str, Row]

    def status(self, node: str) -> str:
        return str(self.results[node]["status"])

    def named(self, status: str) -> set[str]:
        return {name for name, result in self.results.items() if result["status"] == status}


@pytest.fixture(scope="module")
def warehouse(
    bigquery_client: bigquery.Client, bigquery_endpoint: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Warehouse]:
    """Datasets of the module's own, dropped at its end."""
    warehouse = Warehouse(bigquery_client, bigquery_endpoint, tmp_path_factory.mktemp("dbt"))
    yield warehouse
    warehouse.drop()


@pytest.fixture(scope="module")
def pristine_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ignore = shutil.ignore_patterns("target", "logs")
    return Path(shutil.copytree(DBT_PROJECT, tmp_path_factory.mktemp("broken") / "project", ignore=ignore))


@pytest.fixture
def project_copy(pristine_copy: Path) -> Iterator[Path]:
    """A copy of the dbt project that a test may break; repaired in place, so that dbt parses changed files only."""
    before = {path: path.read_bytes() for path in pristine_copy.rglob("*") if path.is_file()}
    yield pristine_copy
    for path, content in before.items():
        if path.read_bytes() != content:
            path.write_bytes(content)


@pytest.fixture(scope="module")
def raw() -> Raw:
    """The module's raw rows; tests that change them run in order."""
    return make_raw(20260630)
