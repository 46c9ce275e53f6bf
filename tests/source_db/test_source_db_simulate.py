"""The simulator: days go on from the latest, and leave behind what incremental readers rely on."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest

import source_db.simulate as simulator
from source_db.database import TABLES, Connection, SourceDatabaseError, connect, run_script
from source_db.day import Day
from source_db.faults import count_faults
from source_db.seed import seed_database
from source_db.simulate import simulate_day

UNTIL = date(2026, 6, 30)
CURSORS = {"users": "updated_at", "orders": "updated_at", "reviews": "updated_at", "event_log": "received_at"}
# Faults that nothing undoes: what a day plants, the report finds more of.
LASTING = (
    "payment_replays",
    "payment_events_with_conflicting_amount",
    "payment_events_with_conflicting_currency",
    "payment_events_with_conflicting_status",
    "payment_events_with_tied_timestamp",
    "payments_without_event_id",
    "late_orders",
    "late_payments",
    "orders_confirmed_near_midnight",
    "orders_total_does_not_add_up",
    "orders_without_items",
    "orders_without_shipping_country",
    "items_in_another_currency_than_their_order",
    "users_soft_deleted",
    "users_without_country",
    "tier_open_for_deleted_seller",
    "events_out_of_order",
    "reviews_hard_deleted",
    "products_hard_deleted",
)


def seeded(new_database: Callable, scale: float, seed: int = 1) -> Connection:
    connection = connect(new_database().url)
    seed_database(connection, scale=scale, seed=seed, until=UNTIL)
    return connection


def live(connection: Connection, days: int, seed: int = 1) -> list[Day]:
    return [simulate_day(connection, seed=seed) for _ in range(days)]


def digest(connection: Connection) -> str:
    rows = [connection.execute(f"SELECT t::text FROM {table} AS t ORDER BY id").fetchall() for table in TABLES]
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def versions(connection: Connection, table: str) -> dict[object, str]:
    """Each row's text by its id."""
    return dict(connection.execute(f"SELECT id, t::text FROM {table} AS t").fetchall())


def test_days_follow_each_other_from_the_end_of_history(new_database) -> None:
    connection = seeded(new_database, 0.05)
    assert [day.date for day in live(connection, 3)] == [date(2026, 7, 1), date(2026, 7, 2), date(2026, 7, 3)]


def test_equal_databases_and_seeds_live_equal_days(new_database) -> None:
    digests = []
    for seed in (1, 1, 2):
        connection = seeded(new_database, 0.03)
        live(connection, 3, seed)
        digests.append(digest(connection))
    assert digests[0] == digests[1] != digests[2]


def test_a_cursor_taken_after_any_day_misses_nothing_of_the_next(new_database) -> None:
    connection = seeded(new_database, 0.1)
    for _ in range(4):
        before = {table: versions(connection, table) for table in CURSORS}
        [day] = live(connection, 1)
        begin = datetime(day.date.year, day.date.month, day.date.day, tzinfo=UTC)
        for table, cursor in CURSORS.items():
            after = versions(connection, table)
            touched = [key for key, row in after.items() if before[table].get(key) != row]
            assert touched, table
            stamps = connection.execute(
                f"SELECT min({cursor}), max({cursor}) FROM {table} WHERE id = ANY(%s)", [touched]
            ).fetchone()
            assert stamps is not None
            assert begin <= stamps[0] and stamps[1] < begin + timedelta(days=1), table
    # Identifiers of the log tell the order of arrival, across days too.
    arrivals = [row[0] for row in connection.execute("SELECT received_at FROM event_log ORDER BY id")]
    assert arrivals == sorted(arrivals)


def test_products_change_within_the_day_unless_stamped_in_the_future(new_database) -> None:
    connection = seeded(new_database, 0.1)
    before = versions(connection, "products")
    live(connection, 2)
    after = versions(connection, "products")
    touched = [key for key, row in after.items() if before.get(key) != row]
    stamps = connection.execute("SELECT updated_at FROM products WHERE id = ANY(%s)", [touched]).fetchall()
    assert all(stamp >= datetime(2026, 7, 1, tzinfo=UTC) for (stamp,) in stamps)
    assert len(set(before) - set(after)) > 0


def test_late_orders_come_days_after_they_were_made_with_a_small_skew(new_database) -> None:
    connection = seeded(new_database, 0.1)
    days = live(connection, 4)
    rows = connection.execute(
        """
        SELECT orders.created_at, updated_at, received_at, order_number, status FROM orders
        JOIN event_log ON event_type = 'order.created' AND entity_id = orders.id
        WHERE received_at >= '2026-07-01 00:00Z' AND received_at - orders.created_at > interval '1 day'
        """
    ).fetchall()
    assert len(rows) == sum(day.faults["late_orders"] for day in days) >= 4
    for created, updated, received, number, status in rows:
        assert timedelta(days=2) <= received - created <= timedelta(days=9)
        assert number.startswith(f"ORD-{created:%Y%m%d}-")
        assert updated >= received.replace(hour=0, minute=0, second=0, microsecond=0)
        if status == "pending":
            assert timedelta(0) <= received - updated <= timedelta(minutes=5)


def test_every_lasting_fault_that_a_day_plants_is_found(new_database) -> None:
    connection = seeded(new_database, 0.4)
    before = count_faults(connection)
    planted: Counter[str] = Counter()
    for day in live(connection, 10):
        planted += day.faults
    after = count_faults(connection)
    assert {name: after[name] - before[name] for name in LASTING} == {name: planted[name] for name in LASTING}
    for name in ("payment_replays", "late_orders", "late_payments", "events_out_of_order", "users_soft_deleted"):
        assert planted[name] > 0, name


def test_life_goes_on_in_every_table(new_database) -> None:
    connection = seeded(new_database, 0.3)
    before = {table: versions(connection, table) for table in TABLES}
    live(connection, 5)
    for table in TABLES:
        after = versions(connection, table)
        if table == "categories":
            assert after == before[table]
            continue
        assert set(after) - set(before[table]), f"no new row in {table}"
        gone = set(before[table]) - set(after)
        assert bool(gone) == (table in ("products", "reviews")), table
    stayed_draft = connection.execute(
        "SELECT count(*) FROM products WHERE status = 'draft' AND published_at IS NOT NULL"
    ).fetchone()
    assert stayed_draft == (0,)
    # Nobody pays an order of last year all of a sudden.
    touched = connection.execute(
        "SELECT min(created_at) FROM orders WHERE updated_at >= '2026-07-01 00:00Z'"
    ).fetchone()
    assert touched is not None and touched[0] > datetime(2026, 5, 15, tzinfo=UTC)
    # A change of tier closes the interval before it.
    assert connection.execute(
        """
        SELECT count(*) FROM seller_tier_history AS new JOIN seller_tier_history AS old USING (user_id)
        WHERE new.effective_from >= '2026-07-01 00:00Z' AND new.change_reason = 'sales volume'
            AND old.effective_to = new.effective_from AND NOT old.is_current
        """
    ).fetchone() != (0,)


def test_a_failing_day_leaves_the_database_at_the_day_before(new_database, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = seeded(new_database, 0.03)
    before = digest(connection)

    def fail(*_: object) -> None:
        raise RuntimeError("no products today")

    monkeypatch.setattr(simulator, "_new_products", fail)
    with pytest.raises(RuntimeError, match="no products today"):
        simulate_day(connection, seed=1)
    assert digest(connection) == before


def test_a_drifted_schema_goes_on_living(new_database) -> None:
    connection = seeded(new_database, 0.03)
    run_script(connection, "drift.sql")
    column = connection.execute(
        """
        SELECT column_name, data_type, character_maximum_length FROM information_schema.columns
        WHERE table_name = 'products' AND column_name IN ('title', 'weight_grams') ORDER BY 1
        """
    ).fetchall()
    assert column == [("title", "character varying", 800), ("weight_grams", "integer", None)]
    assert connection.execute("SELECT count(*) > 0 FROM products WHERE weight_grams > 0").fetchone() == (True,)
    run_script(connection, "drift.sql")
    live(connection, 1)


def test_an_empty_database_cannot_live(new_database) -> None:
    connection = connect(new_database().url)
    run_script(connection, "schema.sql")
    with pytest.raises(SourceDatabaseError, match="source-db seed"):
        simulate_day(connection, seed=1)
