"""``local-stack``: the command behind ``make run``, ``make status`` and ``make down``.

Google's client takes a second to import: commands that need it import what uses it.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from pathlib import Path

import click
import psycopg
from rich.console import Console
from rich.table import Table

from local_stack import containers, databases, pipeline, preflight, services, settings, sql
from local_stack.board import Board
from local_stack.processes import MARKER

_STYLES = {"running": "green", "starting": "yellow", "stopped": "red", "given": "cyan"}
_MARKS = {"good": "[green]✓[/]", "missing": "[red]✗[/]", "unsure": "[yellow]?[/]"}


class _Commands(click.Group):
    """Turns what a person can mend into a message and exit status 1; anything else stays a traceback."""

    def invoke(self, context: click.Context) -> object:
        try:
            return super().invoke(context)
        except (settings.SettingsError, services.StackError) as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            click.echo("\nInterrupted. What had started stays up; `make run` goes on from here, `make down` stops it.")
            sys.exit(130)


@click.group(cls=_Commands)
def main() -> None:
    """Runs the whole platform on this machine: Postgres, BigQuery emulator, Airbyte and Airflow."""
    settings.isolate(os.environ)


@main.command()
def run() -> None:
    """Start what is not running, then run the pipeline once; exit status 0 only if it succeeded."""
    from local_stack import stack

    console = _console()
    current = settings.load()
    began = time.monotonic()
    with Board(console) as board:
        stack.up(current, board)
        pipeline.run(current, board)
    _print_headlines(console, current)
    _print_addresses(console, current)
    console.print(f"[green]The pipeline succeeded[/] in {time.monotonic() - began:.0f} s. Stop it all with: make down")


@main.command()
@click.option("--select", default="", help="Models, in dbt's syntax: fct_orders+. Without it: all.")
@click.option("--full-refresh", is_flag=True, help="Build incremental models from nothing.")
@click.option("--from", "rebuild_from", metavar="DATE", help="Rewrite the rows of these days, changed or not …")
@click.option("--to", "rebuild_to", metavar="DATE", help="… to this one, inclusive.")
def rebuild(select: str, full_refresh: bool, rebuild_from: str | None, rebuild_to: str | None) -> None:
    """Build models, or the rows of days, again from the raw tables as they are (Airflow's DAG marketplace_rebuild)."""
    console = _console()
    current = settings.load()
    services.require(current, ["airflow-scheduler"])
    began = time.monotonic()
    window = {"rebuild_from": rebuild_from, "rebuild_to": rebuild_to}
    with Board(console) as board:
        pipeline.rebuild(current, board, select=select, full_refresh=full_refresh, **window)
    console.print(f"[green]The rebuild succeeded[/] in {time.monotonic() - began:.0f} s.")


@main.command()
def up() -> None:
    """Start what is not running, without running the pipeline."""
    from local_stack import stack

    console = _console()
    current = settings.load()
    with Board(console) as board:
        stack.up(current, board)
    _print_addresses(console, current)


@main.command()
def down() -> None:
    """Stop every service of the stack; its data stays in the stack's folder."""
    from local_stack import stack

    stopped = stack.down(settings.load())
    click.echo(f"Stopped: {', '.join(stopped)}." if stopped else "Nothing was running.")


@main.command()
def status() -> None:
    """Show each service, whether it is healthy, and where it is."""
    current = settings.load()
    table = Table("Service", "State", "Pid", "Address", box=None, header_style="bold")
    server = services.postgres(current)
    pid = server.pid() if server.data_dir.exists() else None
    _add(table, "Postgres", "running" if pid else "stopped", pid, f"127.0.0.1:{current.postgres_port}")
    for service in services.embedded_services(current):
        process = service.background.process()
        state = service.state()
        if process is None and service.name in ("airbyte", "bigquery") and service.is_healthy():
            state = "given"
        _add(table, service.title, state, process and process.pid, service.url)
    if not current.source_is_embedded:
        _add(table, "Source database", "given", None, f"{current.source['HOST']}:{current.source['PORT']}")
    if not current.bigquery.embedded:
        _add(table, "BigQuery", "given", None, current.bigquery.url or "Google")
    if not current.airbyte.embedded:
        _add(table, "Airbyte", "given", None, current.airbyte.url)
    console = _console()
    console.print(table)
    console.print(f"Logs are in {current.logs}")


@main.command(name="exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--needs", multiple=True, metavar="SERVICE", help="Refuse where this embedded service does not answer.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def execute(needs: tuple[str, ...], command: tuple[str, ...]) -> None:
    """Run COMMAND with the stack's environment, as its services see it: local-stack exec dbt build."""
    current = settings.load()
    services.require(current, needs)
    environment = current.child_environment()
    environment.pop(MARKER, None)
    try:
        os.execvpe(command[0], command, environment)
    except FileNotFoundError as error:
        raise click.ClickException(f"There is no command {shlex.quote(command[0])}.") from error


@main.command(name="sql")
@click.argument("statement")
@click.option("--source", is_flag=True, help="On the source database instead of the warehouse.")
def run_sql(statement: str, source: bool) -> None:
    """Run one SQL STATEMENT on the warehouse and print its rows: local-stack sql "SELECT COUNT(*) FROM raw.orders"."""
    sys.meta_path.insert(0, _WithoutDataFrames())
    for row in (sql.source if source else sql.warehouse)(settings.load(), statement):
        click.echo(" | ".join(row))


@main.command(name="preflight")
@click.argument("names", nargs=-1, type=click.Choice(list(preflight.CHECKS)))
def check_services(names: tuple[str, ...]) -> None:
    """Check that each configured service (or those of NAMES) can be used; exit status 1 if something is missing.

    Nothing is changed anywhere.
    """
    sys.meta_path.insert(0, _WithoutDataFrames())
    current = settings.load()
    found = {name: list(preflight.CHECKS[name](current)) for name in names or preflight.CHECKS}
    console = _console()
    for name, findings in found.items():
        console.print(f"[bold]{name}[/]")
        for finding in findings:
            console.print(f"  {_MARKS[finding.state]} ", end="")
            console.print(finding.what, markup=False, highlight=False)
            if finding.advice:
                console.print(f"      {finding.advice}", markup=False, highlight=False)
    missing = sum(finding.state == "missing" for findings in found.values() for finding in findings)
    if missing:
        raise click.ClickException(f"{missing} thing{'s are' if missing > 1 else ' is'} missing.")
    console.print("Nothing is missing.")


@main.command(name="impact")
@click.option("--base", default="main", show_default=True, help="The commit to compare this folder with.")
@click.option("--scale", default="0.02", show_default=True, help="How much seeded data; 1 is 20,000 orders.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the report to this file, too.")
def show_impact(base: str, scale: str, output: Path | None) -> None:
    """Say what a change does to models, the marts' rows and the connections, as Markdown."""
    from local_stack.impact import run as impact

    with Board(Console(stderr=True)) as board:
        text = impact.of_commit(base, board, scale)
    click.echo(text)
    if output is not None:
        output.write_text(text + "\n")


@main.command(name="databases")
def prepare_databases() -> None:
    """Create the platform's roles and databases in the server of POSTGRES_SUPERUSER_DSN (docker-compose.yml)."""
    try:
        databases.from_environment(os.environ)
    except KeyError as error:
        raise click.ClickException(f"{error.args[0]} is not set; docker-compose.yml shows what is needed.") from error
    except psycopg.Error as error:
        raise click.ClickException(f"The server of POSTGRES_SUPERUSER_DSN cannot be used: {error}") from error


@main.command(name="compose-env")
def compose_env() -> None:
    """Print what docker-compose.yml needs in .env and is not there yet: secrets, made up, and the profile."""
    for name, value in containers.missing_variables(settings.written(), os.environ):
        click.echo(f"{name}={value}")


def _console() -> Console:
    """Wide where nobody looks at it: a line that is wrapped in a log file is hard to search."""
    return Console(width=None if sys.stdout.isatty() else 200)


def _add(table: Table, title: str, state: str, pid: object, address: str) -> None:
    table.add_row(title, f"[{_STYLES[state]}]{state}[/]", str(pid or ""), address)


class _WithoutDataFrames:
    """Where these happen to be installed Google's client imports them: more than half of what a short query takes here,
    and no row comes by them."""

    _NAMES = frozenset({"pandas", "pyarrow", "numpy", "google.cloud.bigquery_storage_v1"})

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name in self._NAMES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def _print_headlines(console: Console, current: settings.Settings) -> None:
    sys.meta_path.insert(0, _WithoutDataFrames())
    from local_stack import headlines

    table = Table(box=None, show_header=False, title="Marts", title_justify="left", title_style="bold")
    for label, value in headlines.headlines(headlines.client(current)):
        table.add_row(label, value)
    console.print(table)


def _print_addresses(console: Console, current: settings.Settings) -> None:
    table = Table(box=None, show_header=False, title="Open", title_justify="left", title_style="bold")
    table.add_row("Airflow", f"{current.airflow_url}/dags/{pipeline.DAG_ID}", "admin / admin")
    table.add_row("Airbyte", current.airbyte.url.split("/api/")[0], "")
    table.add_row("BigQuery", current.bigquery.url or "Google", f"project {current.bigquery_project}")
    source = current.source
    table.add_row("Postgres", f"{source['HOST']}:{source['PORT']}/{source['DATABASE']}", f"user {source['USER']}")
    console.print(table)
