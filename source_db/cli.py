"""``source-db``: make the marketplace database, let it live, and tell what is wrong with its data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import click
import psycopg
from rich.console import Console
from rich.table import Table

from source_db import cdc as change_data_capture
from source_db.database import Connection, SourceDatabaseError, connect, missing_tables, run_script
from source_db.faults import FAULTS, count_faults
from source_db.seed import DEFAULT_UNTIL, LEAST_SCALE, AlreadyFilled, seed_database
from source_db.simulate import simulate_day

DEFAULT_DSN = "postgresql://marketplace:marketplace_secret@127.0.0.1:5433/marketplace"

_dsn = click.option(
    "--dsn", envvar="SOURCE_DB_DSN", default=DEFAULT_DSN, help="Postgres address (default: SOURCE_DB_DSN, else local)."
)
_seed = click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=1, show_default=True, help="Same seed, same data."
)
_report_file = click.option(
    "--report", "report_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write the counts as JSON."
)


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (SourceDatabaseError, psycopg.Error) as error:
            raise click.ClickException(str(error).strip()) from error


@click.group(cls=_Group)
def main() -> None:
    """The marketplace's source database: generator, simulator and fault report."""


@main.command()
@click.option(
    "--scale", type=click.FloatRange(min=LEAST_SCALE), default=1.0, show_default=True, help="1 = 20,000 orders."
)
@_seed
@click.option(
    "--until",
    type=click.DateTime(["%Y-%m-%d"]),
    default=DEFAULT_UNTIL.isoformat(),
    show_default=True,
    help="Last day of the year of history.",
)
@click.option("--if-empty", is_flag=True, help="Succeed without a change when the database holds rows already.")
@_report_file
@_dsn
def seed(scale: float, seed: int, until: datetime, if_empty: bool, report_file: Path | None, dsn: str) -> None:
    """Create the tables and fill them with a year of history, in one transaction."""
    with connect(dsn) as connection:
        try:
            rows, faults = seed_database(connection, scale=scale, seed=seed, until=until.date())
        except AlreadyFilled as filled:
            if not if_empty:
                raise
            click.echo(str(filled))
            return
    _print_counts("Rows", rows)
    _print_counts("Planted faults", faults)
    _write_report(report_file, {"rows": dict(rows), "faults": dict(faults)})


@main.command()
@click.option("--days", type=click.IntRange(min=1), default=1, show_default=True, help="How many days to live.")
@_seed
@_report_file
@_dsn
def simulate(days: int, seed: int, report_file: Path | None, dsn: str) -> None:
    """Live more days from the latest day in the database, each in a transaction of its own."""
    lived = []
    with connect(dsn) as connection:
        _require_tables(connection)
        for _ in range(days):
            day = simulate_day(connection, seed=seed)
            click.echo(f"{day.date}: " + ", ".join(f"{name} {count}" for name, count in day.changes.items() if count))
            lived.append({"date": day.date.isoformat(), "changes": dict(day.changes), "faults": dict(+day.faults)})
    _write_report(report_file, {"days": lived})


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON: counts by fault.")
@_dsn
def report(as_json: bool, dsn: str) -> None:
    """Count the planted faults that are in the data now."""
    with connect(dsn) as connection:
        counts = count_faults(connection)
    if as_json:
        click.echo(json.dumps(counts, indent=2))
        return
    table = Table("Fault", "Count", "Meaning")
    for fault in FAULTS:
        table.add_row(fault.name, f"{counts[fault.name]:,}", fault.description)
    Console().print(table)


@main.command()
@_dsn
def drift(dsn: str) -> None:
    """Change the schema as a later version would: products get weight_grams, and their title grows."""
    with connect(dsn) as connection:
        _require_tables(connection)
        run_script(connection, "drift.sql")
    click.echo("products: added weight_grams int, widened title to varchar(800).")


@main.command()
@click.option("--off", is_flag=True, help="Drop both again; changes that were not read are gone.")
@_dsn
def cdc(off: bool, dsn: str) -> None:
    """Make what change data capture reads: a publication of the tables, and a slot, which keeps the log until read."""
    with connect(dsn) as connection:
        if off:
            change_data_capture.disable(connection)
        else:
            _require_tables(connection)
            change_data_capture.enable(connection)
    slot, publication = change_data_capture.SLOT, change_data_capture.PUBLICATION
    click.echo(f"Slot {slot}, publication {publication}: {'dropped' if off else 'there'}.")


def _require_tables(connection: Connection) -> None:
    if missing := missing_tables(connection):
        raise SourceDatabaseError(f"Table {', '.join(missing)} is missing. Run 'source-db seed' first.")


def _print_counts(title: str, counts: Mapping[str, int]) -> None:
    table = Table(title, "Count")
    for name, count in counts.items():
        table.add_row(name, f"{count:,}")
    Console().print(table)


def _write_report(path: Path | None, content: object) -> None:
    if path:
        path.write_text(json.dumps(content, indent=2) + "\n")
