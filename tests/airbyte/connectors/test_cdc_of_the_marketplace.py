"""The demo database, made ready for CDC by ``source-db cdc``, lives a day: every table can be followed."""

from __future__ import annotations

from typing import Any

import psycopg
from cdc_replica import Replica
from click.testing import CliRunner

from source_db.cli import main as source_db
from source_db.database import TABLES


def test_a_day_of_the_marketplace_is_followed(
    source: Any, configured: Any, execute: Any, database: Any, postgres_server: Any
) -> None:
    def run(*arguments: str) -> None:
        outcome = CliRunner().invoke(source_db, [*arguments, "--dsn", database.url])
        assert outcome.exit_code == 0, outcome.output

    with psycopg.connect(postgres_server.conninfo(), autocommit=True) as superuser:
        superuser.execute(f"ALTER ROLE {database.user} REPLICATION".encode())
    run("seed", "--scale", "0.02")
    run("cdc")
    try:
        run("cdc")
        source.config["replication_method"] = {
            "method": "CDC",
            "replication_slot": "airbyte_slot",
            "publication": "airbyte_publication",
        }
        replica = Replica(source, configured)
        replica.sync()
        run("simulate")
        day = replica.sync()
        for table in TABLES:
            assert day.statuses(table)[-1] == "COMPLETE"
            assert [row["id"] for row in replica.table(table)] == [
                row[0] for row in execute(f"SELECT to_jsonb(id) FROM {table} ORDER BY id")
            ], table
        deleted = [record for record in day.records("reviews") if record["_ab_cdc_deleted_at"]]
        assert len(deleted) == 1
    finally:
        run("cdc", "--off")
    assert execute("SELECT FROM pg_replication_slots WHERE slot_name = 'airbyte_slot'") == []
