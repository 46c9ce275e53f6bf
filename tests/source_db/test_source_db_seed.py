"""The generator: what it fills a database with, and that it fills all of it or nothing."""

from __future__ import annotations

import hashlib
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import date
from itertools import pairwise

import psycopg
import pytest

import source_db.seed as generator
from source_db.database import TABLES, Connection, connect, run_script
from source_db.faults import FAULTS, count_faults
from source_db.pools import EMOJI_TITLES, NESTED_ATTRIBUTES, ODD_TITLES, QUOTED_TITLES
from source_db.seed import AlreadyFilled, seed_database

UNTIL = date(2026, 6, 30)
SCALE = 0.05


def seeded(
    new_database: Callable, scale: float = SCALE, seed: int = 1
) -> tuple[Connection, Counter[str], Counter[str]]:
    connection = connect(new_database().url)
    rows, faults = seed_database(connection, scale=scale, seed=seed, until=UNTIL)
    return connection, rows, faults


def checksum(connection: Connection) -> dict[str, str]:
    """A digest of each table's rows, as Postgres writes them."""
    digests = {}
    for table in TABLES:
        lines = connection.execute(f"SELECT t::text FROM {table} AS t ORDER BY id").fetchall()
        digests[table] = hashlib.sha256(repr(lines).encode()).hexdigest()
    return digests


def test_equal_seeds_give_equal_rows_and_others_do_not(new_database) -> None:
    first, second, other = (checksum(seeded(new_database, 0.02, seed)[0]) for seed in (5, 5, 6))
    assert first == second
    # The categories are the same in every marketplace.
    assert [table for table in TABLES if first[table] == other[table]] == ["categories"]


@pytest.mark.parametrize("scale", [0.02, 0.3])
def test_rows_grow_with_the_scale(new_database, scale: float) -> None:
    connection, rows, _ = seeded(new_database, scale)
    stored = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}
    assert stored == rows
    assert (rows["users"], rows["products"], rows["orders"]) == (2_000 * scale, 5_000 * scale, 20_000 * scale)
    about = {"order_items": 45_000, "payments": 24_000, "reviews": 8_000, "event_log": 60_000}
    assert {table: rows[table] / scale for table in about} == pytest.approx(about, rel=0.2)


@pytest.mark.parametrize(("scale", "seed"), [(0.02, 1), (0.02, 11), (0.1, 3)])
def test_every_fault_occurs_as_often_as_it_was_planted(new_database, scale: float, seed: int) -> None:
    connection, _, planted = seeded(new_database, scale, seed)
    found = count_faults(connection)
    assert found == {fault.name: planted[fault.name] for fault in FAULTS}
    assert set(planted) == set(found)
    assert [name for name, count in found.items() if count == 0] == []


def test_payment_faults_by_plain_python(new_database) -> None:
    connection, _, planted = seeded(new_database)
    events = defaultdict(list)
    for event_id, *rest in connection.execute(
        "SELECT event_id, amount, status, event_timestamp, created_at, id FROM payments WHERE event_id IS NOT NULL"
    ):
        events[event_id].append(rest)
    assert sum(len(rows) - 1 for rows in events.values()) == planted["payment_replays"]
    assert (
        sum(len({row[0] for row in rows}) > 1 for rows in events.values())
        == (planted["payment_events_with_conflicting_amount"])
    )
    assert (
        sum(len({row[1] for row in rows}) > 1 for rows in events.values())
        == (planted["payment_events_with_conflicting_status"])
    )
    for rows in events.values():
        told = sorted(rows, key=lambda row: row[3])
        # A replay comes after what it repeats, and never tells of an earlier time.
        assert [row[2] for row in told] == sorted(row[2] for row in rows)
    assert max(len(rows) for rows in events.values()) > 2


def test_tier_faults_by_plain_python(new_database) -> None:
    connection, _, planted = seeded(new_database, 0.3)
    histories = defaultdict(list)
    for user_id, start, end, current in connection.execute(
        "SELECT user_id, effective_from, effective_to, is_current FROM seller_tier_history ORDER BY effective_from, id"
    ):
        histories[user_id].append((start, end, current))
    pairs = [pair for rows in histories.values() for pair in pairwise(rows)]
    assert sum(a[1] is not None and a[1] > b[0] for a, b in pairs) == planted["tier_overlaps"]
    assert sum(a[1] is not None and a[1] < b[0] for a, b in pairs) == planted["tier_gaps"]
    assert sum(a[0] == b[0] for a, b in pairs) == planted["tier_same_instant_changes"]
    assert sum(sum(row[2] for row in rows) > 1 for rows in histories.values()) == planted["tier_two_current_rows"]


def test_money_adds_up_where_no_fault_was_planted(new_database) -> None:
    connection, _, _ = seeded(new_database)
    wrong = connection.execute(
        """
        SELECT count(*) FROM orders JOIN (
            SELECT order_id, sum(total_price) AS items, bool_and(order_items.currency = orders.currency) AS same
            FROM order_items JOIN orders ON orders.id = order_id GROUP BY order_id
        ) AS sums ON order_id = orders.id WHERE same AND items <> subtotal_amount
        """
    ).fetchone()
    assert wrong == (0,)
    assert connection.execute(
        "SELECT count(*) FROM order_items WHERE total_price <> unit_price * quantity"
    ).fetchone() == (0,)
    sold_yen = connection.execute(
        "SELECT count(*), count(*) FILTER (WHERE unit_price % 1 <> 0) FROM order_items WHERE currency IN ('JPY', 'KRW')"
    ).fetchone()
    assert sold_yen is not None and sold_yen[0] > 0 and sold_yen[1] == 0
    greatest = connection.execute(
        "SELECT count(*) FROM order_items JOIN products ON products.id = product_id WHERE price_amount > 1000000000"
    ).fetchone()
    assert greatest == (0,)


def test_history_is_told_in_order_and_ends_with_the_last_day(new_database) -> None:
    connection, _, _ = seeded(new_database)
    impossible = connection.execute(
        """
        SELECT count(*) FROM orders JOIN users ON users.id = buyer_id
        WHERE orders.created_at < users.created_at OR orders.created_at >= deleted_at
            OR confirmed_at AT TIME ZONE 'UTC' < orders.created_at OR shipped_at < confirmed_at AT TIME ZONE 'UTC'
            OR delivered_at < shipped_at OR orders.updated_at < greatest(orders.created_at, delivered_at, shipped_at)
            OR (status IN ('shipped', 'delivered', 'refunded')) <> (shipped_at IS NOT NULL)
        """
    ).fetchone()
    assert impossible == (0,)
    assert connection.execute(
        """
        SELECT count(*) FROM order_items JOIN users ON users.id = seller_id JOIN products ON products.id = product_id
        WHERE order_items.created_at >= deleted_at OR order_items.created_at < published_at
            OR order_items.seller_id <> products.seller_id
        """
    ).fetchone() == (0,)
    latest = connection.execute(
        """
        SELECT greatest((SELECT max(updated_at) FROM orders), (SELECT max(updated_at) FROM users),
            (SELECT max(updated_at) FROM reviews), (SELECT max(received_at) FROM event_log),
            (SELECT max(greatest(created_at, processed_at, event_timestamp)) FROM payments)) < '2026-07-01 00:00Z'
        """
    ).fetchone()
    assert latest == (True,)
    arrivals = [row[0] for row in connection.execute("SELECT received_at FROM event_log ORDER BY id")]
    assert arrivals == sorted(arrivals)


def test_awkward_values_arrive_as_they_were_made(new_database) -> None:
    connection, _, _ = seeded(new_database, 0.4)
    titles = {row[0] for row in connection.execute("SELECT DISTINCT title FROM products")}
    assert {*EMOJI_TITLES.to_pylist(), *QUOTED_TITLES.to_pylist(), *ODD_TITLES.to_pylist()} <= titles
    for document in NESTED_ATTRIBUTES.to_pylist():
        count = connection.execute("SELECT count(*) FROM products WHERE attributes = %s::jsonb", [document]).fetchone()
        assert count is not None and count[0] > 0, document
    tags = [row[0] for row in connection.execute("SELECT DISTINCT tags FROM products")]
    for expected in (None, [], [None], ["sale", None, "gift"], ["NULL", None], ["", "empty"]):
        assert expected in tags
    assert ["two words", "comma, inside", 'quote " inside'] in tags


def schema_of(connection: Connection) -> list[tuple]:
    return connection.execute(
        """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT tablename, indexname, indexdef, true FROM pg_indexes WHERE schemaname = 'public'
        ORDER BY 1, 2, 3
        """
    ).fetchall()


def test_loading_leaves_every_key_index_and_sequence_in_place(new_database) -> None:
    plain = connect(new_database().url)
    run_script(plain, "schema.sql")
    connection, rows, _ = seeded(new_database, 0.02)
    assert schema_of(connection) == schema_of(plain)
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        connection.execute("DELETE FROM users")
    for table in ("categories", "seller_tier_history", "event_log"):
        following = connection.execute(f"SELECT nextval(pg_get_serial_sequence('{table}', 'id'))").fetchone()
        assert following == (rows[table] + 1,)


def test_a_filled_database_is_refused_and_unchanged(new_database) -> None:
    connection, _, _ = seeded(new_database, 0.02)
    before = checksum(connection)
    with pytest.raises(AlreadyFilled, match="users"):
        seed_database(connection, scale=0.02, seed=2, until=UNTIL)
    assert checksum(connection) == before


def test_an_interrupted_seed_leaves_nothing(new_database, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    connection = connect(new_database().url)
    monkeypatch.setattr(generator, "make_reviews", interrupt)
    with pytest.raises(KeyboardInterrupt):
        seed_database(connection, scale=0.02, seed=1, until=UNTIL)
    assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_the_reader_may_read_all_tables_and_write_none(new_database, postgres_server) -> None:
    postgres_server.ensure_role("airbyte", "reader-password")
    database = new_database()
    owner = connect(database.url)
    seed_database(owner, scale=0.02, seed=1, until=UNTIL)
    owner.execute("CREATE TABLE added_later (id int)")
    with psycopg.connect(
        host=database.host,
        port=database.port,
        dbname=database.name,
        user="airbyte",
        password="reader-password",
        autocommit=True,
    ) as reader:
        for table in (*TABLES, "added_later"):
            reader.execute(f"SELECT count(*) FROM {table}")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(f"DELETE FROM {table}")


@pytest.mark.slow
def test_scale_two_loads_within_seconds(new_database) -> None:
    begin = time.perf_counter()
    _, rows, _ = seeded(new_database, 2)
    # Five seconds on two idle cores. The bound catches a return to row-by-row work, not a busy machine.
    assert time.perf_counter() - begin < 40
    assert rows["orders"] == 40_000
