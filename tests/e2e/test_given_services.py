"""Services of somebody's own: a source that is only read, a warehouse; and their mistakes told by name."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import date
from io import StringIO
from pathlib import Path

import psycopg
import pytest
from real_services import Database
from rich.console import Console
from stack_driver import Stack, new_stack

from local_stack import settings
from local_stack import stack as local_stack
from local_stack.board import Board
from local_stack.processes import marked
from source_db.seed import seed_database

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# All that can be created in a database or altered by another session, and the rows of one table.
_INVENTORY = """
    SELECT string_agg(line, E'\n' ORDER BY line) FROM (
        SELECT 'table ' || c.oid::regclass || ' ' || coalesce(c.relacl::text, '') AS line FROM pg_class c
        WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT 'column ' || attrelid::regclass || '.' || attname || ' ' || atttypid::regtype
        FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp'
        UNION ALL SELECT 'slot ' || slot_name FROM pg_replication_slots
        UNION ALL SELECT 'publication ' || pubname FROM pg_publication
        UNION ALL SELECT 'order ' || md5(o::text) FROM orders o
    ) AS lines
"""


@pytest.fixture(scope="module")
def given(new_database: Callable[[], Database]) -> Database:
    """A filled marketplace database that belongs to somebody else."""
    database = new_database()
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        seed_database(connection, scale=0.02, seed=1, until=date(2026, 6, 30))
    return database


@pytest.fixture
def stack(given: Database, service_dir: Path) -> Iterator[Stack]:
    stack = new_stack(
        service_dir / f"stack-{uuid.uuid4().hex[:8]}",
        SOURCE_POSTGRES_HOST=given.host,
        SOURCE_POSTGRES_PORT=str(given.port),
        SOURCE_POSTGRES_DATABASE=given.name,
        SOURCE_POSTGRES_USER=given.user,
        SOURCE_POSTGRES_PASSWORD=given.password,
    )
    stack.environment["METADATA_POSTGRES_PORT"] = stack.environment["SOURCE_DB_DSN"].split(":")[-1].split("/")[0]
    yield stack
    if marked(stack.home):
        local_stack.down(settings.load(stack.home, stack.environment))


def test_a_given_source_is_replicated_and_left_as_it_was(stack: Stack, given: Database) -> None:
    with psycopg.connect(given.conninfo) as source:
        before = source.execute(_INVENTORY).fetchone()
        orders = source.execute("SELECT count(*) FROM orders").fetchone()
    shown = StringIO()
    with Board(Console(file=shown, width=200)) as board:  # without Airflow, which has nothing to do with the source
        local_stack.up(settings.load(stack.home, stack.environment), board, airflow=False)
    assert given.password not in shown.getvalue()
    stack.sync()
    with psycopg.connect(given.conninfo) as source:
        assert source.execute(_INVENTORY).fetchone() == before
    assert stack.rows("SELECT COUNT(*) FROM raw.orders") == [orders]


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"SOURCE_POSTGRES_PASSWORD": "not-the-password"}, "SOURCE_POSTGRES_PASSWORD"),
        ({"SOURCE_POSTGRES_PORT": "1"}, "SOURCE_POSTGRES_PORT=1"),
        ({"SOURCE_POSTGRES_HOST": "no-such-host.invalid"}, "SOURCE_POSTGRES_HOST=no-such-host.invalid"),
        ({"SOURCE_POSTGRES_DATABASE": "no_such_database"}, "SOURCE_POSTGRES_DATABASE=no_such_database"),
    ],
)
def test_a_source_that_cannot_be_used_starts_nothing(stack: Stack, variables: dict[str, str], named: str) -> None:
    done = stack("run", **variables)
    assert done.returncode == 1
    assert named in done.stdout
    assert "not-the-password" not in done.stdout
    assert marked(stack.home) == []


def test_a_project_that_the_warehouse_does_not_have_starts_nothing(service_dir: Path, bigquery_endpoint: str) -> None:
    stack = new_stack(service_dir / "stack-with-wrong-project", BIGQUERY_API_ENDPOINT=bigquery_endpoint)
    done = stack("run", BIGQUERY_PROJECT="no-such-project")
    assert done.returncode == 1
    assert "BIGQUERY_PROJECT=no-such-project" in done.stdout and "serves marketplace-analytics" in done.stdout
    assert marked(stack.home) == []
