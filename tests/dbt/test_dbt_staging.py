"""Every staging column against the source's of that name, through the connectors: nothing swapped, lost or shifted,
texts trimmed, empty ones NULL."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from real_services import Database
from marketplace_replication import Replication

from source_db.database import TABLES, run_script

pytestmark = pytest.mark.slow

#: The staged name of each table's key.
KEYS = {
    "user_id": "users", "category_id": "categories", "product_id": "products", "order_id": "orders",
    "order_item_id": "order_items", "payment_id": "payments", "review_id": "reviews",
    "seller_tier_history_id": "seller_tier_history", "event_log_id": "event_log",
}  # fmt: skip
RENAMED = {("categories", "parent_category_id"): "parent_id", ("products", "source_updated_at"): "updated_at"}
EXTRACTED_AT = "_airbyte_extracted_at"

_COLUMNS = """
SELECT column_name, data_type, character_maximum_length, is_nullable = 'YES'
FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s ORDER BY ordinal_position
"""


def value(kind: str, length: int | None, number: int, row: int) -> Any:
    """Another one for each ``number``, and for each ``row``: a plain one; nothing but blanks; blanks around a text."""
    number = 10 * number + row
    if kind in ("character", "character varying", "text"):
        if row == 1:
            return "  " if length is None or length > 3 else ""
        text = f"aB{number:03}"[:length]
        return text if row == 0 or (length or 9) <= 3 else f" \t{text}\u00a0 "
    at = datetime(2026, 1, 1, 23, 30, tzinfo=UTC) + timedelta(days=number, seconds=1)
    return {
        "uuid": UUID(int=number),
        "integer": number,
        "bigint": number,
        "numeric": Decimal(number) / 100,
        "boolean": row == 0,
        "timestamp with time zone": at,
        "timestamp without time zone": at.replace(tzinfo=None),
        "ARRAY": [f"{number}", None],
        "jsonb": Jsonb({"number": number}),
    }[kind]


def fill(database: Database) -> None:
    """Three rows in each table, of which one has nothing but what it must."""
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        run_script(connection, "schema.sql")
    with psycopg.connect(database.superuser_conninfo) as connection:
        # The values refer to nothing.
        connection.execute("SET session_replication_role = replica")
        for table in TABLES:
            columns = connection.execute(_COLUMNS, [table]).fetchall()
            insert = sql.SQL("INSERT INTO {} VALUES ({})").format(
                sql.Identifier(table), sql.SQL(", ").join([sql.Placeholder()] * len(columns))
            )
            for row in range(3):
                values = [
                    None if row == 1 and nullable and "char" not in kind else value(kind, length, number, row)
                    for number, (_, kind, length, nullable) in enumerate(columns)
                ]
                connection.execute(insert, values)
        connection.execute("UPDATE products SET updated_at = '2099-01-01' WHERE published_at IS NULL")


def plain(value: Any) -> Any:
    """Of Postgres and BigQuery the same: texts of what has no type there, instants with their zone."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value


def expected(table: str, staged: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    """The staged row that ``source`` makes."""
    names = {name: "id" if KEYS.get(name) == table else RENAMED.get((table, name), name) for name in staged}
    made = {EXTRACTED_AT: staged[EXTRACTED_AT]}
    if table == "products":
        made["is_updated_at_in_future"] = source["updated_at"] > staged[EXTRACTED_AT]
        made["updated_at"] = min(source["updated_at"], staged[EXTRACTED_AT])
    assert source.keys() <= {*names.values()}, "a column is not staged"
    return {name: made[name] if name in made else plain(source[column]) for name, column in names.items()}


def test_every_staging_column_is_the_sources(
    new_database: Callable[[], Database], warehouse: Any, bigquery_endpoint: str, tmp_path: Path
) -> None:
    database = new_database()
    fill(database)
    Replication(database, bigquery_endpoint, f"{warehouse.prefix}raw", tmp_path).sync()
    run = warehouse.dbt("run", "--select", "staging")
    assert run.exit_status == 0, run.output
    for table in TABLES:
        staged = warehouse.query(f"select * from `{{prefix}}staging`.stg_marketplace__{table}")
        with psycopg.connect(database.conninfo, row_factory=dict_row) as connection:
            source = {str(row["id"]): row for row in connection.execute(f"SELECT * FROM {table}".encode())}
        assert len(staged) == len(source) == 3
        key = next(name for name, of in KEYS.items() if of == table)
        for row in staged:
            for name in ("attributes", "event_data", "product_snapshot"):
                if row.get(name):
                    row[name] = json.loads(row[name])
            assert row == expected(table, row, source[str(row[key])]), table
